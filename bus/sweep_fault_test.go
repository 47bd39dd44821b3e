package bus

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/event"
)

// TestNothingRefersToWhatWasSwept draws publishes, replies, replays, letters,
// trims, sweeps and restarts at random, also in the midst of sweeps: whatever an
// event or a letter refers to is there, and in the end nothing else is.
func TestNothingRefersToWhatWasSwept(t *testing.T) {
	for run := range 3 {
		seed := uint64(time.Now().UnixNano())
		t.Run(strconv.Itoa(run), func(t *testing.T) {
			t.Logf("seed %d", seed)
			b, clock := sweepable(t)
			m := &mess{t: t, b: b, clock: clock, rng: rand.New(rand.NewPCG(seed, 1)), letters: map[int]event.Event{}}
			m.restart()
			for range 250 {
				m.step()
				m.verify()
			}
			m.end()
		})
	}
}

// A mess does to a bus what all of sluice does, in a random order.
type mess struct {
	t       *testing.T
	b       *Bus
	clock   *movedClock
	rng     *rand.Rand
	janitor *Janitor
	line    uint64
	n       int
	letters map[int]event.Event
	late    []*event.Event // whose objects are stored, and which are not
	// lateSince is when the object of the first of them was stored.
	lateSince time.Time
}

// restart begins with a janitor that has seen nothing.
func (m *mess) restart() {
	m.janitor = sweeping(m.b, JanitorOptions{
		MaxAge: forever, Line: func() (uint64, uint64, bool) { return m.line, 0, true }, Letters: m.read,
	})
}

// read is how the janitor reads the letters, while others go on.
func (m *mess) read(ctx context.Context, yield func(string)) error {
	m.meanwhile(ctx)
	for _, e := range m.letters {
		yield(e.Large.Object)
	}
	m.meanwhile(ctx)
	return nil
}

func (m *mess) meanwhile(ctx context.Context) {
	for range m.rng.IntN(4) {
		m.write(ctx)
	}
}

func (m *mess) step() {
	switch m.rng.IntN(10) {
	case 0:
		m.restart()
	case 1:
		m.store() // nobody takes longer than the clock goes on now
		m.clock.later()
	case 2:
		m.clock.at = m.clock.at.Add(time.Duration(m.rng.IntN(300)) * time.Second / 2)
		if len(m.late) > 3 || m.clock.at.Sub(m.lateSince) > objectGrace/2 {
			m.store() // a publish is not as slow as the grace is long
		}
	case 3, 4:
		_, last, err := m.b.Bounds(limited(m.t))
		check(m.t, err)
		m.line = max(m.line, last-min(last, m.rng.Uint64N(20)))
		must(m.janitor.Pass(limited(m.t)))(m.t)
	case 5:
		must(m.janitor.Pass(limited(m.t)))(m.t)
	default:
		m.write(limited(m.t))
	}
}

// write does one thing that makes or drops references.
func (m *mess) write(ctx context.Context) {
	all := slices.DeleteFunc(must(m.b.Range(ctx, 1, 100_000, 1<<30))(m.t).Entries, func(e *event.Entry) bool { return e.Sequence < m.line })
	letters := slices.Sorted(maps.Keys(m.letters))
	switch action := m.rng.IntN(8); {
	case action == 0: // an event whose object is stored long before it
		e := m.event()
		if len(m.late) == 0 {
			m.lateSince = m.clock.at
		}
		m.late = append(m.late, must(m.b.objects.detach(ctx, &e))(m.t))
	case action == 1:
		check(m.t, m.b.Source("s3").PublishAt(ctx, strconv.Itoa(m.n), []byte("1"), m.event(), m.event()))
	case action == 2:
		check(m.t, m.b.PublishReplies(ctx, "t", fmt.Sprintf("inc.%d.t", m.n), m.event()))
	case action == 3 && len(all) > 0: // a delivery dies
		m.letters[m.n] = *all[m.rng.IntN(len(all))].Event
		m.n++
	case action == 4 && len(letters) > 0: // and is replayed
		id := letters[m.rng.IntN(len(letters))]
		must(m.b.PublishDirected(ctx, event.Directed{Trigger: "t", Event: m.letters[id]}))(m.t)
		delete(m.letters, id)
	case action == 5 && len(letters) > 0: // or purged
		delete(m.letters, letters[m.rng.IntN(len(letters))])
	default:
		check(m.t, m.b.Source("web").Publish(ctx, m.event()))
	}
}

// event returns a new event. Every other one has the data of some other.
func (m *mess) event() event.Event {
	m.n++
	e := large(strconv.Itoa(m.n), 2<<10)
	if m.rng.IntN(2) == 0 {
		e.Data = large(strconv.Itoa(m.rng.IntN(10)), 3<<10).Data
	}
	return e
}

// store stores the events whose objects were stored before.
func (m *mess) store() {
	for _, e := range m.late {
		check(m.t, m.b.Source("web").Publish(limited(m.t), *e))
	}
	m.late = nil
}

// verify looks for every object that something refers to.
func (m *mess) verify() {
	m.t.Helper()
	there := objectsOf(m.t, m.b)
	for object, who := range m.needed() {
		if !slices.Contains(there, object) {
			m.t.Fatalf("%s refers to %s, which is not there", who, object)
		}
	}
}

func (m *mess) needed() map[string]string {
	needed := map[string]string{}
	for _, e := range entries(m.t, m.b) {
		needed[e.Event.Large.Object] = fmt.Sprintf("event %d", e.Sequence)
	}
	for id, e := range m.letters {
		needed[e.Large.Object] = fmt.Sprintf("letter %d", id)
	}
	for _, e := range m.late {
		needed[e.Large.Object] = "an event to come"
	}
	return needed
}

// end sweeps until nothing is left to sweep.
func (m *mess) end() {
	m.store()
	m.clock.later()
	m.janitor = sweeping(m.b, JanitorOptions{Line: line(m.line, 0), Letters: func(_ context.Context, yield func(string)) error {
		for _, e := range m.letters {
			yield(e.Large.Object)
		}
		return nil
	}})
	must(m.janitor.Pass(limited(m.t)))(m.t)
	m.verify()
	equal(m.t, "objects", len(objectsOf(m.t, m.b)), len(m.needed()))
}

// hurry is how much faster than time the clock of the child goes by which
// objects are swept.
const hurry = 2000

// largeChild publishes large events, singly and with cursors, and trims and
// sweeps what is older than the last fifty, until it is killed.
func largeChild(dir string) {
	ctx := context.Background()
	b, err := Open(ctx, largeChildOptions(dir))
	report(err)
	b.objects.now = func() time.Time {
		day := time.Now().Truncate(24 * time.Hour)
		return day.Add(time.Since(day) * hurry)
	}
	run := strconv.Itoa(os.Getpid())
	j := NewJanitor(b, JanitorOptions{
		MaxAge: forever, Letters: func(context.Context, func(string)) error { return nil },
		Line: func() (uint64, uint64, bool) {
			_, last, err := b.Bounds(ctx)
			return last - min(last, 50), 0, err == nil
		},
	})
	j.sweeper.every, j.sweeper.linger = 0, 0
	var group sync.WaitGroup
	for caller := range 3 {
		group.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("single-%s-%d-%d", run, caller, i)
				report(b.Source("web").Publish(ctx, large(id, 20<<10)), id)
			}
		})
	}
	group.Go(func() { largeCursor(ctx, b) })
	group.Go(func() {
		for {
			passed, err := j.Pass(ctx)
			if err != nil || passed.Objects > 0 {
				report(err, fmt.Sprintf("swept-%d", passed.Objects))
			}
		}
	})
	group.Wait()
}

func largeChildOptions(dir string) Options {
	return Options{
		Dir: dir, MaxBytes: 256 << 20, ObjectBytes: 256 << 20, LedgerBytes: 64 << 20, LetterBytes: 16 << 20,
		MaxEventSize: 4 << 20, MaxInline: 1 << 10,
	}
}

// largeCursor counts: each batch has the next three large events, and the cursor
// says how many there were.
func largeCursor(ctx context.Context, b *Bus) {
	out := b.Source("s3")
	cursor, err := out.Cursor(ctx, "0")
	report(err)
	n, _ := strconv.Atoi(string(cursor))
	for {
		events := make([]event.Event, 3)
		for i := range events {
			events[i] = large(fmt.Sprintf("cursor-%d", n+i), 2<<10)
		}
		n += len(events)
		report(out.PublishAt(ctx, "0", []byte(strconv.Itoa(n)), events...), events[2].ID)
	}
}

// TestKilledWhileObjectsAreStoredAndSwept kills a process with -9 again and
// again, between objects and their events, and during sweeps: no event refers to
// an object that is not there whole (invariant I1), and what was left behind
// without an event goes.
func TestKilledWhileObjectsAreStoredAndSwept(t *testing.T) {
	dir := t.TempDir()
	seen, garbage := map[string]bool{}, 0
	const kills = 8
	for kill := range kills {
		runChild(t, largeVariable+dir, 60+kill*37, seen, new(int))
		garbage += checkLargeAfterKill(t, dir)
	}
	swept := 0
	for id := range seen {
		if rest, found := strings.CutPrefix(id, "swept-"); found {
			n, _ := strconv.Atoi(rest)
			swept += n
		}
	}
	t.Logf("%d ids acknowledged, %d objects swept at least, %d left without an event, after %d kills", len(seen), swept, garbage, kills)
	if swept == 0 {
		t.Error("nothing was swept")
	}
}

// checkLargeAfterKill returns how many objects were there without an event.
func checkLargeAfterKill(t *testing.T, dir string) (garbage int) {
	t.Helper()
	b, err := Open(t.Context(), largeChildOptions(dir))
	check(t, err)
	defer shut(t, b)
	needed, cursors, last := map[string]bool{}, -1, ""
	for _, e := range entries(t, b) {
		must(b.Body(limited(t), e.Event.Large))(t)
		needed[e.Event.Large.Object] = true
		if rest, counted := strings.CutPrefix(e.Event.ID, "cursor-"); counted {
			cursors, _ = strconv.Atoi(rest)
			last = e.Event.ID
		}
	}
	if cursor := string(must(b.Source("s3").Cursor(limited(t), "0"))(t)); cursors >= 0 && cursor != strconv.Itoa(cursors+1) {
		t.Errorf("the cursor is %s, and the last event %s", cursor, last)
	}
	garbage = len(objectsOf(t, b)) - len(needed)
	b.objects.now = func() time.Time { return time.Now().AddDate(20, 0, 0) }
	must(sweeping(b, JanitorOptions{Line: line(1, 0)}).Pass(limited(t)))(t)
	equal(t, "objects", len(objectsOf(t, b)), len(needed))
	return garbage
}
