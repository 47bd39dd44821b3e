// Package sinktest is the suite that every sink passes: what the router relies
// on, whatever the sink's protocol is.
package sinktest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/event"
	"sluice/integration/conformance"
	"sluice/sinks"
)

// A Behaviour is what a worker does with what it is sent.
type Behaviour int

// The behaviours.
const (
	// Succeed takes the delivery and says so.
	Succeed Behaviour = iota
	// Fail answers that it has failed, in a way that may pass.
	Fail
	// Refuse answers in a way that says: never again. A protocol that cannot say
	// so has Fixture.CannotRefuse.
	Refuse
	// Hang takes the delivery and answers only after it was told to behave
	// otherwise, or when the test ends.
	Hang
	// Break goes away in the middle of an answer.
	Break
	// FailEven fails those whose number is even, and takes the others; see
	// Received.Even.
	FailEven
	// Answer takes the delivery and answers with its data as text/plain.
	Answer
	// Leave answers that nobody takes deliveries there any more. A protocol that
	// cannot say so has Fixture.CannotLeave.
	Leave
)

// A Received is what a worker has seen of one delivery.
type Received struct {
	ID      string // of the delivery
	Attempt int
	Data    string
	Key     string // the event's partition key, in stores
}

// Even tells whether a worker that behaves as FailEven fails the delivery.
func (r Received) Even() bool { return r.Number() >= 0 && r.Number()%2 == 0 }

// A Worker is the real other side of a sink, in this process.
type Worker struct {
	// Behave sets what the worker does from now on; it begins with Succeed.
	Behave func(Behaviour)
	// Received returns everything that was sent, in the order of its arrival,
	// whatever the worker has answered.
	Received func() []Received
	// Stop ends the worker, so that nobody answers there any more.
	Stop func()
}

// A Fixture makes the sink under test.
type Fixture struct {
	// Name is the sink's row in the table of docs/conformance.md; empty for none.
	Name string
	// Worker starts a worker that ends with the test at the latest.
	Worker func(t *testing.T) Worker
	// Sink returns a new sink for the worker that was started last.
	Sink func(t *testing.T) sinks.Sink
	// Replying returns a new sink for the same worker that gives answers back as
	// events under the name "answers", of two hops at most; nil when there is no
	// such thing.
	Replying func(t *testing.T) sinks.Sink
	// CannotLeave is set when no worker can say that it is gone.
	CannotLeave bool
	// CannotRefuse is set when no worker can say that a delivery never will do.
	CannotRefuse bool
}

// patience is how long anything may take that should be done at once.
const patience = 10 * time.Second

// cannotSay is why a case is not for a sink.
const cannotSay = "its protocol has no answer that says so"

// A workerTrial is one case, with a sink of its own that make returns. It is not
// for a sink where there is a reason.
type workerTrial struct {
	name   string
	run    func(*testing.T, *bench)
	make   func(t *testing.T) sinks.Sink
	reason string
}

// workerTrials are the cases. They begin with those for every sink.
func workerTrials(f *Fixture) []workerTrial {
	unless := func(not bool, reason string) string {
		if not {
			return reason
		}
		return ""
	}
	all := []workerTrial{
		{name: "delivers all", run: delivers},
		{name: "failure is tried again", run: failureIsTriedAgain},
		{name: "broken answer is tried again", run: brokenAnswer},
		{name: "nobody there is tried again", run: nobodyThere},
		{name: "ends with its deadline", run: endsWithDeadline},
		{name: "ends when cancelled", run: endsWhenCancelled},
		{name: "cancelled before", run: cancelledBefore},
		{name: "one attempt, one request", run: oneRequest},
		{name: "many at once", run: manyAtOnce},
		{name: "batches, one by one", run: batch},
		{name: "leaves the event as it is", run: leavesTheEvent},
		{name: "refused for ever", run: refusalIsPermanent, reason: unless(f.CannotRefuse, cannotSay)},
		{name: "worker is gone", run: gone, reason: unless(f.CannotLeave, cannotSay)},
		{name: "answers with events", run: replies, make: f.Replying, reason: unless(f.Replying == nil, "its answers are no events")},
	}
	for i := range all {
		if all[i].make == nil {
			all[i].make = f.Sink
		}
	}
	return all
}

// Exercise runs the suite. Each case has a worker and a sink of its own.
func Exercise(t *testing.T, f Fixture) {
	t.Helper()
	keep := func(t *testing.T, name, reason string) {
		t.Helper()
		conformance.Keep(t, conformance.Result{Kind: conformance.Worker, Adapter: f.Name, Case: name, Reason: reason})
	}
	for _, c := range workerTrials(&f) {
		t.Run(c.name, func(t *testing.T) {
			keep(t, c.name, c.reason)
			if c.reason != "" {
				return
			}
			b := &bench{worker: f.Worker(t), sink: c.make(t)}
			c.run(t, b)
			b.close(t)
		})
	}
	const last = "leaves nothing"
	t.Run(last, func(t *testing.T) {
		keep(t, last, "")
		leavesNothing(t, f)
	})
}

// A bench is a sink and its worker.
type bench struct {
	worker Worker
	sink   sinks.Sink
}

func (b *bench) close(t *testing.T) {
	t.Helper()
	if closer, ok := b.sink.(sinks.Closer); ok {
		if err := closer.Close(); err != nil {
			t.Errorf("closing the sink: %v", err)
		}
	}
}

func sample(n int) *event.Event {
	return &event.Event{
		ID: fmt.Sprintf("e%d", n), Source: "/test", Type: "test.made", Subject: "a \"b\" é",
		Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), DataContentType: "application/json",
		Data: fmt.Appendf(nil, `{"n":%d}`, n), Extensions: map[string]any{"partitionkey": "k", "flag": true, "count": int32(n)},
	}
}

// attempt returns the attempt of one delivery for each number.
func attempt(try int, numbers ...int) sinks.Attempt {
	a := sinks.Attempt{Trigger: "test", Claim: 1}
	for _, n := range numbers {
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: fmt.Sprintf("inc.%d.test", n), Attempt: try, Event: sample(n)})
	}
	return a
}

func (b *bench) deliver(t *testing.T, a sinks.Attempt) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := b.sink.Deliver(ctx, a)
	return err
}

// await polls until the worker has received n deliveries.
func (b *bench) await(t *testing.T, n int) []Received {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		got := b.worker.Received()
		if len(got) >= n || time.Now().After(deadline) {
			if len(got) != n {
				t.Fatalf("the worker has received %d deliveries, want %d", len(got), n)
			}
			return got
		}
		time.Sleep(time.Millisecond)
	}
}

func delivers(t *testing.T, b *bench) {
	t.Helper()
	if err := b.deliver(t, attempt(3, 1)); err != nil {
		t.Fatal(err)
	}
	if got, want := b.await(t, 1)[0], (Received{ID: "inc.1.test", Attempt: 3, Data: `{"n":1}`}); got != want {
		t.Errorf("the worker has received %+v, want %+v", got, want)
	}
}

func failureIsTriedAgain(t *testing.T, b *bench) {
	t.Helper()
	b.worker.Behave(Fail)
	if err := b.deliver(t, attempt(1, 1)); err == nil || sinks.IsPermanent(err) {
		t.Fatalf("the failure came as %v", err)
	}
	b.worker.Behave(Succeed)
	if err := b.deliver(t, attempt(2, 1)); err != nil {
		t.Fatal(err)
	}
	got := b.await(t, 2)
	if got[0].ID != got[1].ID || got[0].Attempt != 1 || got[1].Attempt != 2 {
		t.Errorf("the attempts came as %+v", got)
	}
}

func refusalIsPermanent(t *testing.T, b *bench) {
	t.Helper()
	b.worker.Behave(Refuse)
	if err := b.deliver(t, attempt(1, 1)); !sinks.IsPermanent(err) {
		t.Errorf("the refusal came as %v", err)
	}
}

func gone(t *testing.T, b *bench) {
	t.Helper()
	b.worker.Behave(Leave)
	err := b.deliver(t, attempt(1, 1))
	if _, ok := errors.AsType[*sinks.GoneError](err); !ok || sinks.IsPermanent(err) {
		t.Errorf("a worker that is gone came as %v", err)
	}
}

// replies checks that an answer comes back as an event whose id is the same for
// every attempt of its delivery, that hops are counted, and that they end.
func replies(t *testing.T, b *bench) {
	t.Helper()
	b.worker.Behave(Answer)
	a := attempt(1, 1, 2)
	for try := 1; try <= 2; try++ {
		response, err := b.sink.Deliver(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		for i := range a.Deliveries {
			d, all := &a.Deliveries[i], response.Replies[i]
			if len(all) != 1 || all[0].ID != d.ID+".0" || all[0].Source != "/answers" || string(all[0].Data) != string(d.Event.Data) || sinks.Hops(&all[0]) != 1 {
				t.Fatalf("attempt %d of delivery %d was answered with %+v", try, i, all)
			}
			d.Attempt++
		}
	}
	for hops, ends := range map[int]bool{1: false, 2: true} {
		far := attempt(1, 3)
		if err := far.Deliveries[0].Event.SetExtension(sinks.AttributeHops, hops); err != nil {
			t.Fatal(err)
		}
		if response, err := b.sink.Deliver(t.Context(), far); sinks.IsPermanent(err) != ends || ends == (len(response.Replies[0]) > 0) {
			t.Errorf("the reply to hop %d: %+v, %v", hops, response.Replies, err)
		}
	}
	b.worker.Behave(Succeed)
	if response, err := b.sink.Deliver(t.Context(), attempt(1, 4)); err != nil || len(response.Replies) != 0 {
		t.Errorf("an empty answer: %+v, %v", response.Replies, err)
	}
}

func brokenAnswer(t *testing.T, b *bench) {
	t.Helper()
	b.worker.Behave(Break)
	if err := b.deliver(t, attempt(1, 1)); err == nil || sinks.IsPermanent(err) {
		t.Errorf("the broken answer came as %v", err)
	}
	b.await(t, 1) // and not more: the repetition is the trigger's
	b.worker.Behave(Succeed)
	if err := b.deliver(t, attempt(2, 1)); err != nil {
		t.Errorf("after a broken answer: %v", err)
	}
}

func nobodyThere(t *testing.T, b *bench) {
	t.Helper()
	if err := b.deliver(t, attempt(1, 1)); err != nil {
		t.Fatal(err)
	}
	b.worker.Stop()
	if err := b.deliver(t, attempt(1, 2)); err == nil || sinks.IsPermanent(err) {
		t.Errorf("nobody there came as %v", err)
	}
}

func endsWithDeadline(t *testing.T, b *bench) {
	t.Helper()
	b.worker.Behave(Hang)
	defer b.worker.Behave(Succeed)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	endsSoon(t, func() error {
		_, err := b.sink.Deliver(ctx, attempt(1, 1))
		return err
	}, context.DeadlineExceeded)
}

func endsWhenCancelled(t *testing.T, b *bench) {
	t.Helper()
	b.worker.Behave(Hang)
	defer b.worker.Behave(Succeed)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	endsSoon(t, func() error {
		done := make(chan error, 1)
		go func() {
			_, err := b.sink.Deliver(ctx, attempt(1, 1))
			done <- err
		}()
		b.await(t, 1)
		cancel()
		return <-done
	}, context.Canceled)
}

// endsSoon checks that a delivery ends, with the context's error.
func endsSoon(t *testing.T, deliver func() error, want error) {
	t.Helper()
	began := time.Now()
	if err := deliver(); !errors.Is(err, want) || sinks.IsPermanent(err) {
		t.Errorf("the delivery ended with %v, want %v", err, want)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %v to end", took)
	}
}

func cancelledBefore(t *testing.T, b *bench) {
	t.Helper()
	if err := b.deliver(t, attempt(1, 0)); err != nil { // so that there is a connection to use
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.sink.Deliver(ctx, attempt(1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := b.worker.Received(); len(got) != 1 {
		t.Errorf("the worker has received %+v", got)
	}
}

func oneRequest(t *testing.T, b *bench) {
	t.Helper()
	for i, behaviour := range []Behaviour{Succeed, Fail, Fail, Break, Succeed} {
		b.worker.Behave(behaviour)
		err := b.deliver(t, attempt(1, i))
		if (err == nil) != (behaviour == Succeed) {
			t.Errorf("delivery %d ended with %v", i, err)
		}
		b.await(t, i+1)
	}
}

func manyAtOnce(t *testing.T, b *bench) {
	t.Helper()
	const workers, each = 32, 20
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range each {
				if err := b.deliver(t, attempt(1, w*each+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	seen := map[Received]bool{}
	for _, r := range b.await(t, workers*each) {
		seen[r] = true
	}
	for n := range workers * each {
		if want := (Received{ID: fmt.Sprintf("inc.%d.test", n), Attempt: 1, Data: fmt.Sprintf(`{"n":%d}`, n)}); !seen[want] {
			t.Fatalf("the worker has not received %+v", want)
		}
	}
}

func batch(t *testing.T, b *bench) {
	t.Helper()
	if err := b.deliver(t, attempt(1, 1, 2, 3)); err != nil {
		t.Fatal(err)
	}
	b.await(t, 3)
	b.worker.Behave(FailEven)
	var some *sinks.PartialError
	if err := b.deliver(t, attempt(2, 4, 5, 6)); !errors.As(err, &some) || len(some.Failed) != 2 || some.Failed[0] == nil || some.Failed[2] == nil {
		t.Errorf("a batch of which the first and the last failed ended with %v", err)
	}
	b.worker.Behave(Fail)
	err := b.deliver(t, attempt(1, 4, 5))
	var partial *sinks.PartialError
	if err == nil || errors.As(err, &partial) && (partial.Failed[0] == nil || partial.Failed[1] == nil || len(partial.Failed) != 2) {
		t.Errorf("a batch that failed ended with %v", err)
	}
}

func leavesTheEvent(t *testing.T, b *bench) {
	t.Helper()
	a := attempt(1, 7)
	if err := b.deliver(t, a); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a.Deliveries[0].Event, sample(7)) {
		t.Errorf("the event is now %+v", a.Deliveries[0].Event)
	}
}

// leavesNothing counts goroutines only where the worker was there before.
func leavesNothing(t *testing.T, f Fixture) {
	t.Helper()
	worker := f.Worker(t)
	before := goleak.IgnoreCurrent()
	b := &bench{worker: worker, sink: f.Sink(t)}
	for i := range 10 {
		if err := b.deliver(t, attempt(1, i)); err != nil {
			t.Fatal(err)
		}
	}
	b.close(t)
	worker.Stop()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
