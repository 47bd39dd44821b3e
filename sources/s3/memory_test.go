package s3

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/event"
	"sluice/sources/sourcetest"
)

func numbered(i int) object {
	return newObject(fmt.Sprintf("key-%06d", i), fmt.Sprintf("%032x", i), "", 1, moment.Add(time.Duration(i)*time.Millisecond))
}

func numberedAll(from, to int) []object {
	var all []object
	for i := from; i < to; i++ {
		all = append(all, numbered(i))
	}
	return all
}

var testScope = scope{bucket: hash(bucket), filter: hash("", "")}

func everyKey(string) bool { return true }

func recallIn(t *testing.T, out *sourcetest.Out, in scope, wants func(string) bool) *memory {
	t.Helper()
	m, err := recall(t.Context(), out, bucket, in, wants)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func remember(t *testing.T, out *sourcetest.Out) *memory {
	t.Helper()
	m := recallIn(t, out, testScope, everyKey)
	if err := m.start(t.Context(), moment, true); err != nil {
		t.Fatal(err)
	}
	return m
}

func learn(t *testing.T, m *memory, objects ...object) {
	t.Helper()
	if err := m.learn(t.Context(), objects); err != nil {
		t.Fatal(err)
	}
}

// parts returns what a listing shows as views of n objects.
func parts(objects []object, n int) []view {
	v := view{listing: true, at: moment}
	var all []view
	for i, o := range objects {
		if len(v.objects) >= n && objects[i-1].key != o.key {
			v.to = objects[i-1].key + "\x00"
			all = append(all, v)
			v = view{from: v.to, listing: true, at: moment}
		}
		v.objects = append(v.objects, o)
	}
	v.to = endKey
	return append(all, v)
}

// show lists the objects, which are sorted by key.
func show(t *testing.T, m *memory, objects []object) {
	t.Helper()
	m.beginListing(false)
	for _, v := range parts(objects, pageObjects) {
		if err := m.compare(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.endListing(t.Context(), moment.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
}

func lookAt(t *testing.T, m *memory, key string, objects ...object) {
	t.Helper()
	if err := m.compare(t.Context(), keyView(key, objects, moment)); err != nil {
		t.Fatal(err)
	}
}

func ids(events []event.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.ID)
	}
	return all
}

// expect checks the events, each as key, version or etag, and - for what is gone.
func expect(t *testing.T, out *sourcetest.Out, want ...string) {
	t.Helper()
	var got []string
	for _, e := range out.Events() {
		name := strings.TrimPrefix(e.ID, bucket+"/")
		if strings.HasSuffix(name, "/removed") != (e.Type == TypeRemoved) {
			t.Errorf("%s has type %s", e.ID, e.Type)
		}
		got = append(got, strings.ReplaceAll(name, "/removed", " removed"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("events\n%q, want\n%q", got, want)
	}
	if n := len(out.Repeats()); n > 0 {
		t.Errorf("again: %q", ids(out.Repeats()))
	}
}

func version(id string, after time.Duration) object {
	return newObject("k", "e-"+id, id, 1, moment.Add(after))
}

func marker(id string, after time.Duration) object {
	o := newObject("k", "", id, 0, moment.Add(after))
	o.marker = true
	return o
}

func TestMemorySurvivesRestartsAtAnyPoint(t *testing.T) {
	out := sourcetest.NewOut()
	const all = 9000
	for to := 100; to <= all; to += 890 {
		m := remember(t, out)
		if to%200 == 0 {
			show(t, m, numberedAll(0, to))
		} else {
			learn(t, m, numberedAll(0, to)...)
		}
		out = out.Restart()
	}
	m := remember(t, out)
	show(t, m, numberedAll(0, all))
	show(t, m, numberedAll(all-10, all))
	if n := len(out.Events()); n != all+all-10 || len(out.Repeats()) > 0 {
		t.Errorf("%d events and %d again, want %d", n, len(out.Repeats()), all+all-10)
	}
}

func TestRemovedAndOverwritten(t *testing.T) {
	out := sourcetest.NewOut()
	m := remember(t, out)
	a, b, b2 := newObject("a", "1", "", 1, moment), newObject("b", "1", "", 1, moment), newObject("b", "1", "", 1, moment.Add(time.Second))
	show(t, m, []object{a, b})
	out = out.Restart()
	m = remember(t, out)
	show(t, m, []object{b2})
	show(t, m, []object{b2})
	show(t, m, nil)
	expect(t, out, "a/"+a.state(), "b/"+b.state(), "a/"+a.state()+" removed", "b/"+b2.state(), "b/"+b2.state()+" removed")
	removed := out.Events()[2]
	if want := `{"bucket":"photos","key":"a","size":1,"etag":"1","last_modified":"2026-11-23T07:00:00.123Z"}`; string(removed.Data) != want || removed.Subject != "a" {
		t.Errorf("%s of %s, want %s", removed.Data, removed.Subject, want)
	}
}

func TestVersionsAndMarkers(t *testing.T) {
	out := sourcetest.NewOut()
	m := remember(t, out)
	null := newObject("k", "e", "null", 1, moment)
	show(t, m, []object{null, version("v1", 1), version("v2", time.Second)})
	show(t, m, []object{null, version("v1", 1), version("v2", time.Second), marker("m1", time.Minute)})
	// The marker goes, which is no event, and so does a version.
	lookAt(t, m, "k", null, version("v2", time.Second))
	// A marker takes the place of what was written without versions.
	show(t, m, []object{version("v2", time.Second), marker("null", time.Hour)})
	expect(t, out, "k/"+null.state(), "k/v1", "k/v2", "k/m1", "k/v1 removed", "k/"+marker("", time.Hour).state())
	if e := out.Events()[3]; e.Type != TypeMarker || string(e.Data) != `{"bucket":"photos","key":"k","version_id":"m1","last_modified":"2026-11-23T07:01:00.123Z"}` {
		t.Errorf("%s %s", e.Type, e.Data)
	}
}

// TestOlderNewsChangesNothing has notifications come late.
func TestOlderNewsChangesNothing(t *testing.T) {
	out := sourcetest.NewOut()
	m := remember(t, out)
	show(t, m, nil)
	first, second, missed := newObject("k", "1", "", 1, moment), newObject("k", "2", "", 1, moment.Add(time.Hour)), newObject("k", "0", "", 1, moment.Add(time.Minute))
	learn(t, m, first)
	lookAt(t, m, "k", second)
	learn(t, m, first, missed, second) // missed was overwritten before it was seen
	lookAt(t, m, "k")
	learn(t, m, first, second)
	show(t, m, nil)
	expect(t, out, "k/"+first.state(), "k/"+second.state(), "k/"+missed.state(), "k/"+second.state()+" removed")
}

// TestListingThatIsBehind has a listing show what has changed since it was read.
func TestListingThatIsBehind(t *testing.T) {
	out := sourcetest.NewOut()
	m := remember(t, out)
	stays, changes, goes := newObject("a", "1", "", 1, moment), newObject("b", "1", "", 1, moment), newObject("c", "1", "", 1, moment)
	show(t, m, []object{stays, changes, goes})
	m.beginListing(false)
	shown := parts([]object{stays, changes, goes}, pageObjects)
	changed, added := newObject("b", "2", "", 1, moment.Add(time.Second)), newObject("d", "1", "", 1, moment.Add(time.Second))
	learn(t, m, changed, added)
	lookAt(t, m, "c")
	for _, v := range shown {
		if err := m.compare(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.endListing(t.Context(), moment); err != nil {
		t.Fatal(err)
	}
	show(t, m, []object{stays, changed, added})
	expect(t, out, "a/"+stays.state(), "b/"+changes.state(), "c/"+goes.state(), "b/"+changed.state(), "d/"+added.state(), "c/"+goes.state()+" removed")
}

// TestOldVersionsStayOld has a new version be told during the first listing.
func TestOldVersionsStayOld(t *testing.T) {
	out := sourcetest.NewOut()
	m := recallIn(t, out, testScope, everyKey)
	if err := m.start(t.Context(), moment, false); err != nil {
		t.Fatal(err)
	}
	shown := []object{version("v1", -time.Hour)}
	m.beginListing(false)
	learn(t, m, version("v2", time.Second))
	if err := m.compare(t.Context(), parts(shown, 1)[0]); err != nil {
		t.Fatal(err)
	}
	if err := m.endListing(t.Context(), moment); err != nil {
		t.Fatal(err)
	}
	show(t, m, append(shown, version("v2", time.Second)))
	expect(t, out, "k/v2")
}

// A world is a bucket and all the states that it ever had.
type world struct {
	now     map[string]object
	had     map[string]bool
	changes int
}

func (w *world) put(key string) object {
	w.changes++
	o := newObject(key, fmt.Sprintf("%032x", w.changes), "", int64(w.changes), moment.Add(time.Duration(w.changes)*time.Second))
	w.now[key] = o
	w.had[bucket+"/"+key+"/"+o.state()] = true
	return o
}

func (w *world) list() []object {
	var all []object
	for _, key := range slices.Sorted(maps.Keys(w.now)) {
		all = append(all, w.now[key])
	}
	return all
}

// TestMemoryAfterFailures lets uploads, removals, listings, notifications,
// failures and restarts come in any order: each state is an event once, and so
// is its removal, unless it was overwritten (I1, I5).
func TestMemoryAfterFailures(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		out := sourcetest.NewOut()
		m := remember(t, out)
		w := &world{now: map[string]object{}, had: map[string]bool{}}
		loses := rapid.Bool().Draw(rt, "loses answers")
		insist := func(do func() error) {
			fails := rapid.IntRange(0, 2).Draw(rt, "fails")
			if loses {
				out.LoseAnswers(fails, event.ErrUnavailable)
			} else {
				out.FailNext(fails, event.ErrUnavailable)
			}
			for do() != nil {
			}
			out.FailWith(nil)
		}
		key := func() string {
			return fmt.Sprintf("%s-%d", rapid.SampledFrom([]string{"a", "b/c", "ü"}).Draw(rt, "stem"), rapid.IntRange(0, 300).Draw(rt, "n"))
		}
		for range rapid.IntRange(1, 12).Draw(rt, "rounds") {
			for range rapid.IntRange(0, 200).Draw(rt, "changes") {
				switch k := key(); rapid.IntRange(0, 3).Draw(rt, "change") {
				case 0:
					delete(w.now, k)
				case 1:
					o := w.put(k)
					insist(func() error { return m.learn(t.Context(), []object{o}) })
				case 2:
					delete(w.now, k)
					insist(func() error { return m.compare(t.Context(), keyView(k, nil, moment)) })
				default:
					w.put(k)
				}
			}
			if rapid.Bool().Draw(rt, "restart") {
				out = out.Restart()
				m = remember(t, out)
			}
			if rapid.Bool().Draw(rt, "fold") {
				insist(func() error { return m.fold(t.Context()) })
			}
			insist(func() error {
				m.beginListing(false)
				for _, v := range parts(w.list(), 50) {
					if err := m.compare(t.Context(), v); err != nil {
						return err
					}
				}
				return m.endListing(t.Context(), moment)
			})
			check(rt, out, w)
			if n := len(out.Repeats()); n > 0 && !loses {
				rt.Fatalf("again: %q", ids(out.Repeats()))
			}
		}
	})
}

// check compares the events with what the world has and had.
func check(rt *rapid.T, out *sourcetest.Out, w *world) {
	rt.Helper()
	there := map[string]bool{}
	for _, e := range out.Events() {
		state, removed := strings.CutSuffix(e.ID, "/removed")
		if !w.had[state] || (removed && !there[state]) {
			rt.Fatalf("an event of %s", e.ID)
		}
		there[state] = !removed
	}
	for _, o := range w.now {
		if !there[bucket+"/"+o.key+"/"+o.state()] {
			rt.Fatalf("no event of %s %s", o.key, o.state())
		}
	}
	for state, is := range there {
		key := strings.TrimPrefix(state[:strings.LastIndex(state, "/")], bucket+"/")
		if _, exists := w.now[key]; is && !exists && w.last(out, key) == state {
			rt.Fatalf("no event of the removal of %s", state)
		}
	}
}

// last returns the state of a key that was an event last.
func (w *world) last(out *sourcetest.Out, key string) string {
	state := ""
	for _, e := range out.Events() {
		if e.Subject == key {
			state = strings.TrimSuffix(e.ID, "/removed")
		}
	}
	return state
}

func TestMemoryKeepsOldObjectsQuiet(t *testing.T) {
	out := sourcetest.NewOut()
	begin := func() *memory {
		m := recallIn(t, out, testScope, everyKey)
		// Here it is moment, there ten seconds later: as at the first start.
		if err := m.start(t.Context(), moment, false); err != nil {
			t.Fatal(err)
		}
		m.adjust(10 * time.Second)
		return m
	}
	objects := []object{
		newObject("during", "e", "", 1, moment.Add(11*time.Second)),
		newObject("old", "e", "", 1, moment.Add(9*time.Second)),
	}
	m := begin()
	m.beginListing(false)
	if err := m.compare(t.Context(), parts(objects, pageObjects)[0]); err != nil { // and a crash before the end of the listing
		t.Fatal(err)
	}
	out = out.Restart()
	m = begin()
	show(t, m, objects)
	// From now on, all that is not known is new, whatever its time.
	late := newObject("restored", "e", "", 1, moment.Add(-time.Hour))
	learn(t, m, late)
	show(t, m, []object{objects[0], late})
	expect(t, out, "during/"+objects[0].state(), "restored/"+late.state(), "old/"+objects[1].state()+" removed")
}

func TestMemoryWithAnotherScope(t *testing.T) {
	out := sourcetest.NewOut()
	narrow := func(key string) bool { return strings.HasPrefix(key, "key") }
	m := recallIn(t, out, testScope, everyKey)
	if err := m.start(t.Context(), moment, true); err != nil {
		t.Fatal(err)
	}
	first, other := numbered(0), newObject("other", "e", "", 1, moment)
	show(t, m, []object{first, other}) // at moment plus a minute
	out = out.Restart()
	m = recallIn(t, out, scope{testScope.bucket, 1}, narrow)
	wider := newObject("key-wider", "e", "", 1, moment.Add(59*time.Second))
	since := newObject("key-since", "e", "", 1, moment.Add(61*time.Second))
	show(t, m, []object{first, since, wider})
	show(t, m, []object{first, since})
	want := []string{first.key + "/" + first.state(), "other/" + other.state(), "key-since/" + since.state(), "key-wider/" + wider.state() + " removed"}
	expect(t, out, want...)
	// Of another bucket nothing is known, and so nothing is gone.
	out = out.Restart()
	m = recallIn(t, out, scope{1, 1}, narrow)
	show(t, m, nil)
	expect(t, out, want...)
	if n := m.objects(); n != 0 {
		t.Errorf("%d objects are known", n)
	}
}

func TestHiddenVersionsAreNoRemovals(t *testing.T) {
	out := sourcetest.NewOut()
	m := remember(t, out)
	show(t, m, []object{version("v1", 0)})
	m.beginListing(true)
	if err := m.compare(t.Context(), parts([]object{version("", 0)}, 1)[0]); err != nil {
		t.Fatal(err)
	}
	if err := m.endListing(t.Context(), moment); err != nil {
		t.Fatal(err)
	}
	expect(t, out, "k/v1")
}

func TestMemoryIsFenced(t *testing.T) {
	out := sourcetest.NewOut()
	m := remember(t, out)
	out.Fence(rootShard)
	if err := m.learn(t.Context(), numberedAll(0, 1)); !errors.Is(err, event.ErrFenced) || !final(err) {
		t.Errorf("%v, want fenced", err)
	}
}

func TestRecentIsBounded(t *testing.T) {
	var r recent
	for i := range 2 * maxRecent {
		o := numbered(i)
		r.add(&o)
		r.add(&o)
	}
	first, last := numbered(maxRecent-1), numbered(maxRecent)
	if len(r.ids) != maxRecent || len(r.order) != maxRecent || r.has(&first) || !r.has(&last) {
		t.Errorf("%d are kept", len(r.ids))
	}
}
