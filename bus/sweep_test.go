package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/event"
)

// A clock is moved by the test.
type movedClock struct{ at time.Time }

func (c *movedClock) now() time.Time { return c.at }

// sweepable returns a bus for large events whose clock the test moves.
func sweepable(t *testing.T) (*Bus, *movedClock) {
	t.Helper()
	o := small(t)
	o.MaxEventSize, o.MaxInline = 4<<20, 1<<10
	b := open(t, o)
	clock := &movedClock{at: time.Now()}
	b.objects.now = clock.now
	return b, clock
}

// sweeping returns a janitor that sweeps at each pass, without waiting for what
// may be copied at the moment.
func sweeping(b *Bus, o JanitorOptions) *Janitor {
	if o.Letters == nil {
		o.Letters = lettersOf()
	}
	j := NewJanitor(b, o)
	j.sweeper.every, j.sweeper.linger = 0, 0
	return j
}

// lettersOf returns letters that refer to objects.
func lettersOf(objects ...string) func(context.Context, func(string)) error {
	return func(_ context.Context, yield func(string)) error {
		for _, object := range objects {
			yield(object)
		}
		return nil
	}
}

// later moves the clock past the time in which somebody may refer to an object.
func (c *movedClock) later() { c.at = c.at.Add(generationTime + objectGrace) }

func TestSweepTakesWhatNothingRefersTo(t *testing.T) {
	b, clock := sweepable(t)
	web := b.Source("web")
	check(t, web.Publish(limited(t), large("trimmed", 2<<10), large("lettered", 2<<10), large("kept", 2<<10)))
	garbage := must(b.objects.put(limited(t), large("no event", 2<<10).Data))(t).Object
	all := logged(t, b)
	trimmed, lettered, kept := all[0].Event.Large.Object, all[1].Event.Large.Object, all[2].Event.Large.Object
	j := sweeping(b, JanitorOptions{MaxAge: forever, Line: line(3, 0), Letters: lettersOf(lettered)})

	equal(t, "young", must(j.Pass(limited(t)))(t).Objects, 0)
	clock.later()
	equal(t, "old", must(j.Pass(limited(t)))(t).Objects, 2)
	left := objectsOf(t, b)
	for object, want := range map[string]bool{garbage: false, trimmed: false, lettered: true, kept: true} {
		equal(t, object, slices.Contains(left, object), want)
	}
	must(b.Body(limited(t), all[2].Event.Large))(t)

	// Another janitor, which has seen nothing yet, comes to the same.
	equal(t, "another", must(sweeping(b, j.options).Pass(limited(t)))(t).Objects, 0)
	equal(t, "no letter", must(sweeping(b, JanitorOptions{Line: line(3, 0)}).Pass(limited(t)))(t).Objects, 1)
}

// What is about to be copied lingers: an object goes only when nothing has
// referred to it for a while.
func TestSweepWaitsForCopies(t *testing.T) {
	b, clock := sweepable(t)
	must(b.objects.put(limited(t), large("copied", 2<<10).Data))(t)
	clock.later()
	j := sweeping(b, JanitorOptions{Line: line(1, 0)})
	j.sweeper.linger = time.Hour
	equal(t, "lingers", must(j.Pass(limited(t)))(t).Objects, 0)
	j.sweeper.linger = 0
	equal(t, "gone", must(j.Pass(limited(t)))(t).Objects, 1)
}

// A long log is walked in steps, and nothing is taken away before its end is
// reached; when space runs out it is walked at once.
func TestSweepWalksInSteps(t *testing.T) {
	o := small(t)
	o.MaxEventSize, o.MaxInline, o.ObjectBytes = 4<<20, 1<<10, 16<<20
	b := open(t, o)
	clock := &movedClock{at: time.Now()}
	b.objects.now = clock.now
	check(t, b.Source("web").Publish(limited(t), samples("trimmed", 100)...))
	for n := range 3 {
		check(t, b.Source("web").Publish(limited(t), samples(fmt.Sprint("small", n), 10)...))
		check(t, b.Source("web").Publish(limited(t), large(strconv.Itoa(n), 2<<10)))
	}
	must(b.objects.put(limited(t), large("garbage", 2<<10).Data))(t)
	clock.later()
	pass(t, b, JanitorOptions{MaxAge: forever, Line: line(101, 0)})
	j := sweeping(b, JanitorOptions{Line: line(1, 0)})
	j.sweeper.step = 10
	for step := range 3 { // of 33 events
		equal(t, "objects", must(j.Pass(limited(t)))(t).Objects, 0)
		equal(t, "walked", j.sweeper.walked, 110+10*uint64(step))
	}
	equal(t, "objects", must(j.Pass(limited(t)))(t).Objects, 1)

	for n := range 4 {
		must(b.objects.put(limited(t), large(strconv.Itoa(n), 3900<<10).Data))(t)
	}
	clock.later()
	hurried := sweeping(b, JanitorOptions{Line: line(1, 0)})
	hurried.sweeper.step = 10
	equal(t, "in a hurry", must(hurried.Pass(limited(t)))(t).Objects, 4)
	for _, e := range logged(t, b) {
		if e.Event.Large != nil {
			must(b.Body(limited(t), e.Event.Large))(t)
		}
	}
}

// A letter is replayed while the letters are read: its object is kept by the
// entry, which the sweep sees after the letters.
func TestSweepMeetsAReplay(t *testing.T) {
	b, clock := sweepable(t)
	check(t, b.Source("web").Publish(limited(t), large("e", 2<<10)))
	whole := *logged(t, b)[0].Event
	pass(t, b, JanitorOptions{MaxAge: forever, Line: line(99, 0)}) // only the letter is left
	clock.later()
	replayed := func(ctx context.Context, _ func(string)) error {
		_, err := b.PublishDirected(ctx, event.Directed{Trigger: "t", Event: whole})
		return err // the letter has gone before it was read
	}
	j := sweeping(b, JanitorOptions{Line: line(1, 0), Letters: replayed})
	equal(t, "objects", must(j.Pass(limited(t)))(t).Objects, 0)
	must(b.Body(limited(t), whole.Large))(t)
}

// Another router has trimmed what this janitor has not seen: it takes nothing.
func TestSweepMeetsAnotherJanitor(t *testing.T) {
	b, clock := sweepable(t)
	check(t, b.Source("web").Publish(limited(t), large("e", 2<<10)))
	whole := *logged(t, b)[0].Event
	clock.later()
	moved := func(ctx context.Context, _ func(string)) error {
		check(t, b.Source("web").Publish(ctx, samples("after", 3)...))
		_, err := NewJanitor(b, JanitorOptions{MaxAge: forever, Line: line(99, 0)}).Pass(ctx)
		return err
	}
	j := sweeping(b, JanitorOptions{MaxAge: time.Hour, Line: line(1, 0), Letters: moved})
	must(j.Pass(limited(t)))(t)
	j.sweeper.references = map[uint64]*event.Large{} // as if it had begun after the event
	equal(t, "objects", must(j.Pass(limited(t)))(t).Objects, 0)
	must(b.Body(limited(t), whole.Large))(t)
}

func TestSweepLeavesWhatItDoesNotUnderstand(t *testing.T) {
	b, clock := sweepable(t)
	must(b.objects.put(limited(t), large("garbage", 2<<10).Data))(t)
	must(b.js.PublishMsg(limited(t), &nats.Msg{Subject: b.names.Object("future.form"), Data: []byte("x")}))(t)
	clock.later()

	unreadable := errors.New("a letter of a newer sluice")
	j := sweeping(b, JanitorOptions{Line: line(1, 0), Letters: func(context.Context, func(string)) error { return unreadable }})
	if _, err := j.Pass(limited(t)); !errors.Is(err, unreadable) {
		t.Errorf("got %v", err)
	}
	store(t, b, "sluice.ev.0.web", nats.Header{event.HeaderFormat: {"7"}}, "future")
	equal(t, "a newer event", must(sweeping(b, JanitorOptions{Line: line(1, 0)}).Pass(limited(t)))(t).Objects, 0)
	check(t, b.events.Purge(limited(t)))
	equal(t, "without it", must(sweeping(b, JanitorOptions{Line: line(1, 0)}).Pass(limited(t)))(t).Objects, 1)
	equal(t, "left", objectsOf(t, b)[0], "future.form")
}

// When the objects take too much, the oldest events go, and their objects after
// them; publishers that found no room try again.
func TestObjectsMakeRoom(t *testing.T) {
	o := small(t)
	o.MaxEventSize, o.ObjectBytes = 8<<20, 32<<20
	b := open(t, o)
	clock := &movedClock{at: time.Now()}
	b.objects.now = clock.now
	j := sweeping(b, JanitorOptions{Line: line(99, 0)})
	for i := range 20 {
		check(t, b.Source("web").Publish(limited(t), large(string(rune('a'+i)), 5<<20)))
		clock.later()
		must(j.Pass(limited(t)))(t)
	}
	left := logged(t, b)
	if len(left) < 3 || len(left) > 6 {
		t.Errorf("%d events are left", len(left))
	}
	equal(t, "objects", len(objectsOf(t, b)), len(left))
	for _, e := range left {
		must(b.Body(limited(t), e.Event.Large))(t)
	}
}
