package s3

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"sluice/sources/sourcetest"
)

// stored returns how many bytes the shards hold.
func stored(out *sourcetest.Out) int {
	n := 0
	for _, shard := range out.Shards() {
		n += len(out.StoredCursor(shard))
	}
	return n
}

func all(t *testing.T, c *catalog, from, to string) []object {
	t.Helper()
	var found []object
	for o, err := range c.known(t.Context(), from, to) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, o)
	}
	return found
}

func puts(objects []object) []entry {
	var changes []entry
	for _, o := range objects {
		changes = append(changes, entry{object: o})
	}
	return changes
}

func TestPagesHoldWhatWasWritten(t *testing.T) {
	out := sourcetest.NewOut()
	c := &catalog{out: out}
	const n = 20_000
	for i := 0; i < n; i += 1000 {
		if err := c.change(t.Context(), puts(numberedAll(i, i+1000)), nil); err != nil {
			t.Fatal(err)
		}
		if err := c.foldIfDue(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := &catalog{out: out.Restart()}
	if err := again.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := all(t, again, "", endKey); !slices.Equal(got, numberedAll(0, n)) {
		t.Errorf("%d objects, want %d", len(got), n)
	}
	if got := all(t, again, "key-004000", "key-004100"); !slices.Equal(got, numberedAll(4000, 4100)) {
		t.Errorf("%d objects, want 100", len(got))
	}
	if n := len(again.root.pages); n < 3 || again.objects() != 20_000 {
		t.Errorf("%d pages of %d objects", n, again.objects())
	}
	for _, i := range []int{0, 1, 9999, n - 1} {
		o := numbered(i)
		if got, found, err := again.lookup(t.Context(), o.slot()); got != o || !found || err != nil {
			t.Errorf("%+v %v %v, want %+v", got, found, err, o)
		}
	}
	if _, found, err := again.lookup(t.Context(), slot{"key-004000x", ""}); found || err != nil {
		t.Errorf("found what is not there, %v", err)
	}
}

// TestPagesShrink removes nearly everything: what is not used is emptied.
func TestPagesShrink(t *testing.T) {
	out := sourcetest.NewOut()
	m := remember(t, out)
	const n = 100_000
	show(t, m, numberedAll(0, n))
	full := stored(out)
	show(t, m, numberedAll(n-10, n))
	show(t, m, numberedAll(n-10, n))
	if err := m.fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := stored(out); left > full/10 || len(m.root.pages) != 1 {
		t.Errorf("%d bytes of %d are left, in %d pages", left, full, len(m.root.pages))
	}
	if got := all(t, &m.catalog, "", endKey); !slices.Equal(got, numberedAll(n-10, n)) {
		t.Errorf("%d objects, want 10", len(got))
	}
}

// TestCatalogIsASortedMap compares it with a map, through folds and restarts.
func TestCatalogIsASortedMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		out := sourcetest.NewOut()
		c := &catalog{out: out}
		model := map[slot]object{}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1)) //nolint:gosec // repeatable
		long := strings.Repeat("x", rapid.SampledFrom([]int{0, 900}).Draw(rt, "long"))
		for range rapid.IntRange(1, 8).Draw(rt, "rounds") {
			var changes []entry
			gone := rapid.Bool().Draw(rt, "gone")
			for range random.IntN(400) {
				o := newObject(fmt.Sprintf("%d%s", random.IntN(1000), long), fmt.Sprintf("%032x-3", random.Uint64()), strconv.Itoa(random.IntN(3)), 5, moment)
				changes = append(changes, entry{object: o, gone: gone})
				if model[o.slot()] = o; gone {
					delete(model, o.slot())
				}
			}
			if err := c.change(t.Context(), changes, nil); err != nil {
				rt.Fatal(err)
			}
			if err := c.fold(t.Context()); err != nil {
				rt.Fatal(err)
			}
			c = &catalog{out: out.Restart()}
			if err := c.load(t.Context()); err != nil {
				rt.Fatal(err)
			}
		}
		found := all(t, c, "", endKey)
		if len(found) != len(model) || !slices.IsSortedFunc(found, func(a, b object) int { return a.slot().compare(b.slot()) }) {
			rt.Fatalf("%d objects, want %d", len(found), len(model))
		}
		for _, o := range found {
			if model[o.slot()] != o {
				rt.Fatalf("%+v, want %+v", o, model[o.slot()])
			}
		}
	})
}

func TestEntries(t *testing.T) {
	text := rapid.String()
	hexText := rapid.StringMatching(`[0-9a-fA-F]{32}(-[0-9]{0,5})?`)
	uuidText := rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-fA-F]{12}`)
	rapid.Check(t, func(t *rapid.T) {
		before := text.Draw(t, "before")
		o := newObject(text.Draw(t, "key"), rapid.OneOf(text, hexText).Draw(t, "etag"), rapid.OneOf(text, uuidText).Draw(t, "version"),
			rapid.Int64Min(0).Draw(t, "size"), time.UnixMilli(rapid.Int64Range(-1e12, 1e14).Draw(t, "time")))
		o.marker = rapid.Bool().Draw(t, "marker")
		e := entry{object: o, gone: rapid.Bool().Draw(t, "gone")}
		data := appendEntry(nil, before, &e)
		if len(data) > e.weight() {
			t.Errorf("%d bytes, and a weight of %d", len(data), e.weight())
		}
		in := &reader{data: data}
		if got := in.entry(before); got != e || in.err != nil || len(in.data) > 0 {
			t.Errorf("%+v became %+v, %v", e, got, in.err)
		}
	})
}

func goodRoot() *root {
	return &root{
		complete: true, since: moment, listed: moment, scope: testScope, next: 3,
		pages:   []pageRef{{number: 2, sum: 7, objects: 1}, {start: slot{"k", "v"}, number: 0, objects: 4}},
		changes: []entry{{object: numbered(1)}, {object: numbered(2), gone: true}},
	}
}

func TestDamagedCursors(t *testing.T) {
	good := goodRoot().encode()
	cases := []struct {
		name string
		data []byte
		want string
	}{
		{"newer", []byte{9}, "it has format 9, and this sluice knows format 2: a newer one has written it"},
		{"short", good[:10], "it ends in the middle"},
		{"cut", good[:len(good)-1], "it ends in the middle"},
		{"former", []byte{1, 1}, "it ends after 2 bytes, but its head has 26"},
		{"disorder", (&root{changes: []entry{{object: numbered(2)}, {object: numbered(1)}}}).encode(), "it is not in order"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			out := sourcetest.NewOut()
			out.SetCursor(rootShard, tc.data)
			_, err := recall(t.Context(), out, bucket, testScope, everyKey)
			if want := `the cursor "root" of what is known cannot be read: ` + tc.want; err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

func TestPageOfAnotherTime(t *testing.T) {
	out := sourcetest.NewOut()
	m := remember(t, out)
	show(t, m, numberedAll(0, 10))
	for data, want := range map[string]string{
		string(encodePage(puts(numberedAll(0, 9)))): "it is not the one that root names: they are not of the same time",
		"":     "it is empty",
		"\x09": "it has format 9, and this sluice knows format 2: a newer one has written it",
	} {
		out.SetCursor(pageShard(0), []byte(data))
		m = remember(t, out.Restart())
		want = `the cursor "page-0" of what is known cannot be read: ` + want
		if err := m.compare(t.Context(), parts(nil, 1)[0]); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestFormerFormat begins anew where hashes are stored.
func TestFormerFormat(t *testing.T) {
	out := sourcetest.NewOut()
	listed := &reader{data: (&root{since: moment.Add(-time.Hour), listed: moment}).encode()[2:18]}
	former := append([]byte{1, flagComplete}, listed.data...)
	former = append(former, make([]byte, 8+3*16)...)
	out.SetCursor(rootShard, former)
	out.SetCursor("base-07", append([]byte{1}, make([]byte, 160)...))
	m := recallIn(t, out, testScope, everyKey)
	if !m.former || stored(out) > 100 {
		t.Errorf("%d bytes are stored", stored(out))
	}
	before, since := newObject("before", "e", "", 1, moment.Add(-time.Second)), newObject("since", "e", "", 1, moment.Add(time.Second))
	show(t, m, []object{before, since})
	m = recallIn(t, out.Restart(), testScope, everyKey)
	show(t, m, []object{since})
	expect(t, out, "since/"+since.state(), "before/"+before.state()+" removed")
	if m.former {
		t.Error("it is in the former format for ever")
	}
}

// TestTooManyPages has the root not hold the names of the pages.
func TestTooManyPages(t *testing.T) {
	c := &catalog{out: sourcetest.NewOut()}
	w := &pageWriter{catalog: c}
	for i := range maxRefs / 8 {
		w.pages = append(w.pages, pageRef{start: slot{key: fmt.Sprintf("%08d", i)}, number: uint32(i)})
	}
	if err := c.install(t.Context(), w); err == nil || !strings.Contains(err.Error(), "use several sources with longer prefixes") {
		t.Errorf("%v", err)
	}
}

func FuzzCursors(f *testing.F) {
	f.Add(goodRoot().encode())
	f.Add(encodePage(puts(numberedAll(0, 3))))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := decodeRoot(data); err == nil {
			again, err := decodeRoot(r.encode())
			if err != nil || again.scope != r.scope || !slices.Equal(again.pages, r.pages) || !slices.Equal(again.changes, r.changes) {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
		}
		if objects, err := decodePage(data, checksum(data)); err == nil && len(objects) > len(data) {
			t.Error("more entries than bytes")
		}
	})
}

func TestSeparators(t *testing.T) {
	keys := rapid.StringN(1, 4, -1).Filter(utf8.ValidString)
	rapid.Check(t, func(t *rapid.T) {
		a, b := slot{keys.Draw(t, "a"), keys.Draw(t, "va")}, slot{keys.Draw(t, "b"), keys.Draw(t, "vb")}
		if a.compare(b) >= 0 {
			return
		}
		if s := separator(a, b); a.compare(s) >= 0 || s.compare(b) > 0 {
			t.Errorf("%q does not part %q and %q", s, a, b)
		}
	})
}

// BenchmarkMillion prints what a million objects cost: at the first listing, and
// at one that finds nothing new.
func BenchmarkMillion(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		out := sourcetest.NewOut()
		m, err := recall(b.Context(), out, bucket, testScope, everyKey)
		if err != nil {
			b.Fatal(err)
		}
		m.root.since = moment.Add(24 * time.Hour)
		for _, name := range []string{"first", "again"} {
			began := time.Now()
			heap := listGenerated(b, m, n)
			b.ReportMetric(heap, name+"-MB-heap")
			b.ReportMetric(time.Since(began).Seconds(), name+"-s")
		}
		b.ReportMetric(float64(stored(out))/1e6, "MB-stored")
		b.ReportMetric(float64(len(out.StoredCursor(rootShard)))/1e3, "KB-root")
	}
}

// listGenerated lists n objects without holding them, and returns how many MB
// the memory takes beside what is stored.
func listGenerated(b *testing.B, m *memory, n int) float64 {
	b.Helper()
	m.beginListing(false)
	v := view{listing: true}
	most := uint64(0)
	before := inUse() - uint64(stored(m.out.(*sourcetest.Out)))
	for i := 0; i < n; i += pageObjects {
		v.objects, v.to = numberedAll(i, i+pageObjects), numbered(i+pageObjects).key
		if i+pageObjects >= n {
			v.to = endKey
		}
		if err := m.compare(b.Context(), v); err != nil {
			b.Fatal(err)
		}
		if v.from = v.to; i%(n/20) == 0 {
			most = max(most, inUse()-uint64(stored(m.out.(*sourcetest.Out))))
		}
	}
	if err := m.endListing(b.Context(), moment); err != nil {
		b.Fatal(err)
	}
	return float64(most-min(before, most)) / 1e6
}

func inUse() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
