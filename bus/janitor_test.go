package bus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

const forever = time.Nanosecond // a MaxAge that everything is over

// line returns a Line that stands still.
func line(needed, ledger uint64) func() (uint64, uint64, bool) {
	return func() (uint64, uint64, bool) { return needed, ledger, true }
}

func pass(t *testing.T, b *Bus, o JanitorOptions) Passed {
	t.Helper()
	return must(NewJanitor(b, o).Pass(limited(t)))(t)
}

func TestJanitorKeepsWhatIsNeeded(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), samples("e", 10)...))
	unknown := func() (uint64, uint64, bool) { return 99, 99, false }
	equal(t, "unknown", pass(t, b, JanitorOptions{MaxAge: forever, Line: unknown}), Passed{})
	equal(t, "line", pass(t, b, JanitorOptions{MaxAge: forever, Line: line(4, 0)}), Passed{Events: 3, First: 4, Held: true})
	equal(t, "again", pass(t, b, JanitorOptions{MaxAge: forever, Line: line(4, 0)}), Passed{First: 4, Held: true})
	equal(t, "young", pass(t, b, JanitorOptions{MaxAge: time.Hour, Line: line(99, 0)}), Passed{First: 4})
	equal(t, "no limit", pass(t, b, JanitorOptions{Line: line(99, 0)}), Passed{First: 4})
	equal(t, "all", pass(t, b, JanitorOptions{MaxAge: forever, Line: line(99, 0)}), Passed{Events: 7, First: 11})
	check(t, b.Source("web").Publish(limited(t), sample("next")))
	equal(t, "next", must(b.Range(limited(t), 1, 10, 1<<20))(t).Entries[0].Sequence, 11)
}

func TestJanitorGoesByAge(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), samples("old", 10)...))
	waitFor(t, "a later time", func() bool {
		return time.Since(entries(t, b)[9].Time) > 2*time.Second
	})
	check(t, b.Source("web").Publish(limited(t), samples("young", 10)...))
	age := time.Since(entries(t, b)[10].Time) + time.Second
	equal(t, "passed", pass(t, b, JanitorOptions{MaxAge: age, Line: line(99, 0)}).First, 11)
}

func TestJanitorGoesBySpace(t *testing.T) {
	b := open(t, small(t))
	for i := range 40 {
		check(t, b.Source("web").Publish(limited(t), sized(strconv.Itoa(i), 64<<10)))
	}
	passed := pass(t, b, JanitorOptions{MaxBytes: 1 << 20, Line: line(999, 0)})
	stats := must(b.Stats(limited(t)))(t)[0]
	if stats.Bytes > 1<<20 || stats.Bytes < 1<<19 || passed.First != stats.First {
		t.Fatalf("%+v leaves %+v", passed, stats)
	}
}

// Cursors and positions that nobody moves are stored again, and their writers
// go on without noticing.
func TestJanitorMovesIdleCursors(t *testing.T) {
	b := open(t, small(t))
	s3, idle := b.Source("s3"), b.Source("idle")
	check(t, idle.PublishAt(limited(t), "0", []byte("idle"), sample("i")))
	check(t, b.Direct(limited(t), "job", []byte("position")))
	check(t, s3.PublishAt(limited(t), "0", []byte("1"), samples("a", 10)...))
	check(t, s3.PublishAt(limited(t), "0", []byte("2"), samples("b", 10)...))
	last := must(b.Stats(limited(t)))(t)[0].Last

	j := NewJanitor(b, JanitorOptions{MaxAge: forever, Line: line(last, 0)})
	passed := must(j.Pass(limited(t)))(t)
	equal(t, "first", passed.First, last)
	for range 3 { // cursors only are left: they are not moved without end
		must(j.Pass(limited(t)))(t)
	}
	_, end, err := b.Bounds(limited(t))
	check(t, err)
	if end > last+2 {
		t.Fatalf("the log went from %d to %d", last, end)
	}
	equal(t, "idle", string(must(b.Source("idle").Cursor(limited(t), "0"))(t)), "idle")
	equal(t, "s3", string(must(b.Source("s3").Cursor(limited(t), "0"))(t)), "2")
	equal(t, "job", string(must(b.Position(limited(t), "job"))(t)), "position")
	check(t, idle.PublishAt(limited(t), "0", []byte("on"), sample("j")))
	check(t, b.Forget(limited(t), "job"))
	check(t, b.Source("web").Publish(limited(t), samples("c", 10)...))
	_, end, err = b.Bounds(limited(t))
	check(t, err)
	j.options.Line = line(end+1, 0)
	must(j.Pass(limited(t)))(t)
	equal(t, "idle", string(must(b.Source("idle").Cursor(limited(t), "0"))(t)), "on")
	equal(t, "jobs", fmt.Sprint(must(b.Positions(limited(t)))(t)), "[]")
	equal(t, "events", len(entries(t, b)), 0)
}

// The last message of a fenced subject is never purged, whatever its writer and
// the janitor do at the same time.
func TestJanitorBesideAWriter(t *testing.T) {
	b := open(t, small(t))
	j := NewJanitor(b, JanitorOptions{MaxAge: forever, Line: line(1<<60, 0)})
	ctx, stop := context.WithCancel(limited(t))
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			if _, err := j.Pass(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	out := b.Source("s3")
	for i := range 100 {
		check(t, out.PublishAt(limited(t), strconv.Itoa(i%3), []byte(strconv.Itoa(i)), sample(strconv.Itoa(i))))
	}
	stop()
	group.Wait()
	for i, want := range []string{"99", "97", "98"} {
		equal(t, "cursor", string(must(b.Source("s3").Cursor(limited(t), strconv.Itoa(i)))(t)), want)
	}
}

func TestJanitorTrimsTheLedgerWithTheEvents(t *testing.T) {
	b := open(t, small(t))
	last := uint64(0)
	for i := range 10 {
		last = must(b.AppendRecord(limited(t), "c", last, []byte("record")))(t)
		check(t, b.Source("web").Publish(limited(t), sample(strconv.Itoa(i))))
	}
	equal(t, "no snapshot", pass(t, b, JanitorOptions{MaxAge: forever, Line: line(6, 0)}).Records, 0)
	// Event 6 is left, and came after record 6; the snapshot is further on.
	equal(t, "with the events", pass(t, b, JanitorOptions{MaxAge: forever, Line: line(6, 9)}), Passed{First: 6, Records: 6, Held: true})
	equal(t, "up to the snapshot", pass(t, b, JanitorOptions{MaxAge: forever, Line: line(99, 9)}), Passed{Events: 5, First: 11, Records: 2})
	stats := must(b.Stats(limited(t)))(t)[1]
	equal(t, "first", stats.First, 9)
}

// replays hold the log from a sequence on, until they yield.
type replays struct{ line, yielded uint64 }

func (r *replays) Line() uint64 {
	if r.yielded > 0 {
		return math.MaxUint64
	}
	return r.line
}

func (r *replays) Yield(below uint64) bool {
	r.yielded = below
	return r.line < below
}

// Replays of history hold the log, but not against new events.
func TestReplaysOfHistoryHoldAndYield(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), samples("e", 10)...))
	held := &replays{line: 4}
	equal(t, "held", pass(t, b, JanitorOptions{MaxAge: forever, Line: line(9, 0), Replays: held}), Passed{Events: 3, First: 4, Held: true})
	equal(t, "nobody is pressed", held.yielded, 0)

	b = full(t)
	_, last, err := b.Bounds(limited(t))
	check(t, err)
	inTheWay := &replays{line: 1}
	passed := pass(t, b, JanitorOptions{Line: line(last, 0), Replays: inTheWay})
	if inTheWay.yielded == 0 || inTheWay.yielded > last || passed.Events == 0 {
		t.Errorf("%+v, yielded below %d", passed, inTheWay.yielded)
	}
	check(t, b.Source("web").Publish(limited(t), sized("next", 30<<10)))
}

// Replays leave the last of the room to new events, unless they hold it up
// themselves: then going on is what makes room.
func TestRoomForReplays(t *testing.T) {
	b := full(t)
	_, last, err := b.Bounds(limited(t))
	check(t, err)
	triggers := NewJanitor(b, JanitorOptions{Line: line(1, 0), Replays: &replays{line: last}})
	if err := triggers.Room(limited(t)); !errors.Is(err, event.ErrFull) {
		t.Errorf("got %v", err)
	}
	check(t, NewJanitor(b, JanitorOptions{Line: line(last, 0), Replays: &replays{line: 1}}).Room(limited(t)))
	check(t, NewJanitor(open(t, small(t)), JanitorOptions{Line: line(1, 0)}).Room(limited(t)))
}

func full(t *testing.T) *Bus {
	t.Helper()
	o := small(t)
	o.MaxBytes = 2 << 20
	b := open(t, o)
	out := b.Source("web")
	check(t, out.PublishAt(limited(t), "0", []byte("cursor")))
	for i := range 1000 {
		err := out.Publish(limited(t), sized(strconv.Itoa(i), 30<<10))
		if errors.Is(err, event.ErrFull) {
			fillUp(t, out)
			return b
		}
		check(t, err)
	}
	t.Fatal("the stream was never full")
	return nil
}

// fillUp leaves no room even for a cursor.
func fillUp(t *testing.T, out *Out) {
	t.Helper()
	for i := range 1000 {
		err := out.Publish(limited(t), sample(fmt.Sprintf("small-%d", i)))
		if errors.Is(err, event.ErrFull) {
			return
		}
		check(t, err)
	}
	t.Fatal("the stream was never full")
}

func TestFullMeansThatAllIsNeeded(t *testing.T) {
	b := full(t)
	first, last, err := b.Bounds(limited(t))
	check(t, err)
	equal(t, "nothing was dropped", first, 1)
	batch := samples("more", 50)
	if err := b.Source("web").Publish(limited(t), batch...); !errors.Is(err, event.ErrFull) {
		t.Fatalf("batch: got %v", err)
	}
	if err := b.Source("s3").PublishAt(limited(t), "0", []byte("c"), sample("x")); !errors.Is(err, event.ErrFull) {
		t.Fatalf("cursor: got %v", err)
	}
	if _, err := b.PublishDirected(limited(t), event.Directed{Trigger: "t", Event: sample("x")}); !errors.Is(err, event.ErrFull) {
		t.Fatalf("directed: got %v", err)
	}
	_, after, err := b.Bounds(limited(t))
	check(t, err)
	equal(t, "nothing was stored", after, last)
}

// With history that may go, nobody is refused: room is made at once, although
// there was none even for the cursor that holds the line.
func TestFullMakesRoom(t *testing.T) {
	b := full(t)
	_, last, err := b.Bounds(limited(t))
	check(t, err)
	j := NewJanitor(b, JanitorOptions{Line: line(last, 0), Every: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	b.publisher.onFull(func(ctx context.Context) bool {
		passed, err := j.Pass(ctx)
		return err == nil && passed.Events > 0
	})
	check(t, b.Source("web").Publish(limited(t), sized("next", 30<<10)))
	check(t, b.Source("web").Publish(limited(t), samples("more", 50)...))
	equal(t, "cursor", string(must(b.Source("web").Cursor(limited(t), "0"))(t)), "cursor")
	go func() { done <- j.Run(ctx) }()
	check(t, b.Source("web").Publish(limited(t), samples("others", 50)...))
	cancel()
	check(t, <-done)
}

// An unfiltered purge up to a sequence leaves that sequence.
func TestServerPurgesUpToASequence(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), samples("e", 5)...))
	check(t, b.events.Purge(limited(t), jetstream.WithPurgeSequence(3)))
	first, last, err := b.Bounds(limited(t))
	check(t, err)
	equal(t, "bounds", fmt.Sprint(first, last), "3 5")
}

// History does not grow old by a clock that jumps, forward or back; it does by
// time.
func TestJanitorWithAClockThatJumps(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), samples("a", 10)...))
	j := NewJanitor(b, JanitorOptions{MaxAge: time.Hour, Line: line(100, 0)})
	var wall, steady time.Duration
	j.now = earlier(
		func() time.Time { return time.Now().Add(wall) },
		func() time.Time { return time.Now().Add(steady) },
	)
	for _, jump := range []time.Duration{1000 * time.Hour, -1000 * time.Hour, 0} {
		wall = jump
		if passed := must(j.Pass(limited(t)))(t); passed.Events != 0 {
			t.Fatalf("a jump by %v: %+v", jump, passed)
		}
	}
	wall, steady = 2*time.Hour, 2*time.Hour
	equal(t, "events", must(j.Pass(limited(t)))(t).Events, 10)
}
