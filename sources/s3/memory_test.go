package s3

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/event"
	"sluice/sources/sourcetest"
)

func numbered(i int) object {
	return newObject(fmt.Sprintf("key-%d", i), "etag", "", 1, moment.Add(time.Duration(i)*time.Millisecond))
}

func numberedAll(from, to int) []object {
	var all []object
	for i := from; i < to; i++ {
		all = append(all, numbered(i))
	}
	return all
}

func remember(t *testing.T, out *sourcetest.Out) *memory {
	t.Helper()
	m, err := recall(t.Context(), out, bucket, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.start(t.Context(), moment, true); err != nil {
		t.Fatal(err)
	}
	return m
}

func learn(t *testing.T, m *memory, objects []object) int {
	t.Helper()
	n, err := m.learn(t.Context(), objects)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func list(t *testing.T, m *memory, objects []object) {
	t.Helper()
	m.beginListing()
	learn(t, m, objects)
	if err := m.endListing(t.Context(), moment.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
}

func TestMemorySurvivesRestartsAtAnyPoint(t *testing.T) {
	out := sourcetest.NewOut()
	const all = 3000
	for to := 100; to <= all; to += 700 {
		m := remember(t, out)
		learn(t, m, numberedAll(0, to))
		if to%200 == 0 {
			list(t, m, numberedAll(0, to))
		}
		out = out.Restart()
	}
	m := remember(t, out)
	learn(t, m, slices.Concat(numberedAll(0, all), numberedAll(0, all)))
	if len(out.Events()) != all || len(out.Repeats()) > 0 {
		t.Errorf("%d events and %d again, want %d", len(out.Events()), len(out.Repeats()), all)
	}
}

func TestMemoryAfterFailures(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		out := sourcetest.NewOut()
		m := remember(t, out)
		for to := 0; to <= 900; to += rapid.IntRange(100, 600).Draw(rt, "step") {
			fails := rapid.IntRange(0, 3).Draw(rt, "fails")
			if rapid.Bool().Draw(rt, "keeps") {
				out.LoseAnswers(fails, event.ErrUnavailable)
			} else {
				out.FailNext(fails, event.ErrUnavailable)
			}
			for {
				m.beginListing()
				_, err := m.learn(t.Context(), numberedAll(0, to))
				if err == nil {
					err = m.endListing(t.Context(), moment)
				}
				if err == nil {
					break
				}
				if rapid.Bool().Draw(rt, "restart") {
					out.FailWith(nil)
					out = out.Restart()
					m = remember(t, out)
				}
			}
			if got := len(out.Events()); got != to {
				rt.Fatalf("%d events, want %d", got, to)
			}
		}
	})
}

func TestMemoryDropsWhatIsGone(t *testing.T) {
	out := sourcetest.NewOut()
	m := remember(t, out)
	list(t, m, numberedAll(0, 2000))
	list(t, m, numberedAll(1990, 2000))
	if m.seen.size != 10 {
		t.Errorf("%d are known, want 10", m.seen.size)
	}
	// What is added while a listing is under way is not dropped by it.
	m.beginListing()
	learn(t, m, numberedAll(3000, 3001))
	learn(t, m, numberedAll(1990, 2000))
	if err := m.endListing(t.Context(), moment); err != nil || m.seen.size != 11 {
		t.Errorf("%d are known, want 11: %v", m.seen.size, err)
	}
	stored := 0
	for _, shard := range out.Shards() {
		stored += len(out.StoredCursor(shard))
	}
	if want := rootHead + bases*baseHead + 11*identitySize; stored > want {
		t.Errorf("%d bytes are stored, want at most %d", stored, want)
	}
}

func TestMemoryKeepsOldObjectsQuiet(t *testing.T) {
	out := sourcetest.NewOut()
	begin := func() *memory {
		m, err := recall(t.Context(), out, bucket, 1)
		if err != nil {
			t.Fatal(err)
		}
		// Here it is moment, there ten seconds later: as at the first start.
		if err := m.start(t.Context(), moment, false); err != nil {
			t.Fatal(err)
		}
		m.adjust(10 * time.Second)
		return m
	}
	objects := []object{
		newObject("old", "e", "", 1, moment.Add(9*time.Second)),
		newObject("during", "e", "", 1, moment.Add(11*time.Second)),
	}
	m := begin()
	m.beginListing()
	learn(t, m, objects) // and a crash before the end of the listing
	out = out.Restart()
	m = begin()
	list(t, m, objects)
	// From now on, all that is not known is new, whatever its time.
	late := newObject("restored", "e", "", 1, moment.Add(-time.Hour))
	learn(t, m, []object{late})
	if got, want := subjects(out.Events()), []string{"during", "restored"}; !slices.Equal(got, want) {
		t.Errorf("events of %q, want %q", got, want)
	}
	if len(out.Repeats()) > 0 {
		t.Errorf("again: %q", subjects(out.Repeats()))
	}
}

func TestMemoryWithAnotherScope(t *testing.T) {
	out := sourcetest.NewOut()
	m := remember(t, out)
	list(t, m, numberedAll(0, 1)) // at moment plus a minute
	m, err := recall(t.Context(), out.Restart(), bucket, 2)
	if err != nil {
		t.Fatal(err)
	}
	list(t, m, []object{
		newObject("wider", "e", "", 1, moment.Add(59*time.Second)),
		newObject("since", "e", "", 1, moment.Add(61*time.Second)),
	})
	if got, want := subjects(out.Events()), []string{"key-0", "since"}; !slices.Equal(got, want) {
		t.Errorf("events of %q, want %q", got, want)
	}
}

func TestMemoryIsFenced(t *testing.T) {
	out := sourcetest.NewOut()
	m := remember(t, out)
	out.Fence(rootShard)
	if _, err := m.learn(t.Context(), numberedAll(0, 1)); !errors.Is(err, event.ErrFenced) || !final(err) {
		t.Errorf("%v, want fenced", err)
	}
}

func TestDamagedCursors(t *testing.T) {
	good := (&root{complete: true, since: moment, listed: moment, scope: 1}).encode(identity{1})
	cases := []struct {
		name, shard string
		data        []byte
		want        string
	}{
		{"newer root", "root", []byte{9}, `the cursor "root" of what is known cannot be read: it has format 9, and this sluice knows format 1: a newer one has written it`},
		{"short root", "root", good[:10], `the cursor "root" of what is known cannot be read: it ends after 10 bytes, but its head has 26`},
		{"cut root", "root", good[:30], `the cursor "root" of what is known cannot be read: its last identity has 4 bytes of 16`},
		{"newer base", "base-03", []byte{2}, `the cursor "base-03" of what is known cannot be read: it has format 2, and this sluice knows format 1: a newer one has written it`},
		{"cut base", "base-63", []byte{1, 2, 3}, `the cursor "base-63" of what is known cannot be read: its last identity has 2 bytes of 16`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			out := sourcetest.NewOut()
			out.SetCursor("root", good)
			out.SetCursor(tc.shard, tc.data)
			_, err := recall(t.Context(), out, bucket, 1)
			if err == nil || err.Error() != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func TestTooManyObjects(t *testing.T) {
	var s seen
	s.shards[0].entries = make([]entry, maxEntries+1)
	_, err := s.encode(0)
	if err == nil || !strings.Contains(err.Error(), "more than 2092800 objects below the prefix: use several sources with longer prefixes") {
		t.Errorf("%v", err)
	}
}

func FuzzCursors(f *testing.F) {
	f.Add((&root{since: moment, listed: moment, scope: 7}).encode(identity{1}, identity{2}))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := decodeRoot(data); err == nil {
			again, err := decodeRoot(r.encode())
			if err != nil || again.scope != r.scope || len(again.ids) != len(r.ids) || !again.since.Equal(r.since) {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
		}
		var s seen
		if err := s.load(0, data); err == nil && len(s.shards[0].entries) > len(data) {
			t.Error("more entries than bytes")
		}
	})
}

// BenchmarkHundredThousand prints what 100,000 objects cost.
func BenchmarkHundredThousand(b *testing.B) {
	objects := numberedAll(0, 100_000)
	for b.Loop() {
		out := sourcetest.NewOut()
		m := &memory{out: out, bucket: bucket}
		m.root.since = moment.Add(time.Hour)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m.beginListing()
		if _, err := m.learn(b.Context(), objects); err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-heap")
		if err := m.endListing(b.Context(), moment); err != nil {
			b.Fatal(err)
		}
		stored := 0
		for _, shard := range out.Shards() {
			stored += len(out.StoredCursor(shard))
		}
		b.ReportMetric(float64(stored)/1e6, "MB-stored")
		runtime.KeepAlive(m)
	}
}
