package router

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sluice/event"
	"sluice/router/core"
	"sluice/sinks"
)

// errorLength is how many bytes of an error are kept.
const errorLength = 512

// start has one attempt made beside the core, of one delivery or of several of
// the same trigger. Ended is called before the core is told.
func (u *run) start(ctx context.Context, starts []core.Start, ended func()) {
	for i := range starts {
		u.note(&starts[i])
	}
	u.give(ctx, job{trigger: u.configured.Load().triggers[starts[0].Key.Trigger], starts: starts, ended: ended})
}

// startOne is start for a delivery by itself.
func (u *run) startOne(ctx context.Context, t *Trigger, s core.Start) {
	u.note(&s)
	u.give(ctx, job{trigger: t, one: s})
}

// note keeps what a delivery is about that is attempted.
func (u *run) note(s *core.Start) {
	entry, _ := s.Body.(*event.Entry)
	u.know(s.Key, entry)
}

func (u *run) give(ctx context.Context, j job) {
	u.workers.give(j, func(w *worker) { u.wait.Go(func() { u.labour(ctx, w) }) })
}

// labour is the life of a worker.
func (u *run) labour(ctx context.Context, w *worker) {
	for j := range w.jobs {
		u.do(ctx, w, &j)
		kept := u.workers.keep(w) // before the core is told, which may have more at once
		u.inbox.put(w.results...)
		w.rest()
		if !kept {
			return
		}
	}
}

// do makes an attempt, and leaves with the worker what the core is told of it:
// nothing when the run is over, because nobody listens.
func (u *run) do(ctx context.Context, w *worker, j *job) {
	starts := w.begin(j)
	release, err := u.reserve(ctx, j.trigger, starts)
	if err != nil {
		return
	}
	defer release()
	began := time.Now()
	response, errs := u.attempt(ctx, w, j.trigger, starts)
	if ctx.Err() != nil {
		return
	}
	if j.ended != nil {
		j.ended()
	}
	took, jitter := time.Since(began), rand.Float64() // what was together is due together
	for i := range starts {
		result := classify(response, errs[i])
		result.Duration, result.Jitter = took, jitter
		w.results = append(w.results, core.Finished{Key: starts[i].Key, Result: result})
	}
}

// attempt makes one attempt, and returns what became of each delivery. Those
// that hold no event are no part of it.
func (u *run) attempt(ctx context.Context, w *worker, t *Trigger, starts []core.Start) (sinks.Response, []error) {
	w.errs, w.places = slices.Grow(w.errs[:0], len(starts))[:len(starts)], w.places[:0]
	errs := w.errs
	if t == nil {
		for i := range errs {
			errs[i] = &sinks.ThrottledError{Err: errReconfigured, After: time.Second}
		}
		return sinks.Response{}, errs
	}
	a := sinks.Attempt{Trigger: t.Name, Claim: u.core.Claim(), Batch: t.Batch.Size > 0, Deliveries: make([]sinks.Delivery, 0, len(starts))}
	for i := range starts {
		delivery, err := u.delivery(ctx, t, &starts[i])
		if err != nil {
			errs[i] = err
			continue
		}
		a.Deliveries = append(a.Deliveries, delivery)
		w.places = append(w.places, i) // in starts, of each delivery
	}
	if len(w.places) == 0 {
		return sinks.Response{}, errs
	}
	response, err := u.deliver(ctx, t, a)
	for n, i := range w.places {
		if errs[i] = errorOf(err, n); errs[i] == nil && len(response.Replies[n]) > 0 {
			errs[i] = guarded(func() error { return u.reply(ctx, t, a.Deliveries[n].ID, response.Replies[n]) })
		}
	}
	u.tellSuccess(ctx, t, &a, &response, w.places, errs)
	return response, errs
}

// delivery makes of what starts what a sink is given.
func (u *run) delivery(ctx context.Context, t *Trigger, s *core.Start) (d sinks.Delivery, err error) {
	entry := s.Body.(*event.Entry)
	if entry.Err != nil {
		return d, sinks.Permanent(entry.Err)
	}
	if d.Event, err = u.prepare(ctx, t, entry.Event); err != nil {
		return d, err
	}
	id := event.DeliveryID{Incarnation: u.options.Incarnation, Sequence: s.Key.Sequence, Trigger: t.Name}
	d.ID, d.Attempt = id.String(), s.Attempt
	return d, nil
}

// prepare returns the event that an attempt delivers: with all of its data, as
// the trigger's transform makes it.
func (u *run) prepare(ctx context.Context, t *Trigger, e *event.Event) (*event.Event, error) {
	whole, err := u.whole(ctx, e)
	if err != nil {
		return nil, err
	}
	return u.transform(ctx, t, whole)
}

var errReconfigured = errors.New("the trigger is being reconfigured")

// deliver gives an attempt to the sink.
func (u *run) deliver(ctx context.Context, t *Trigger, a sinks.Attempt) (response sinks.Response, err error) {
	u.metrics.attempted(t, len(a.Deliveries))
	ctx, bounded := u.bounds.within(ctx, t.Timeout)
	defer bounded.release()
	err = guarded(func() (err error) {
		response, err = t.Sink.Deliver(ctx, a)
		return err
	})
	return response, err
}

// guarded makes a panic a failed attempt, not a crash (invariant I7).
func guarded(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the attempt panicked: %v", p)
		}
	}()
	return call()
}

const (
	// replyWithin bounds the publishing of one reply, and of the records of one
	// attempt.
	replyWithin = 15 * time.Second
	// replyAgain is when a delivery is attempted again whose reply or record could
	// not be published.
	replyAgain = 5 * time.Second
)

// reply publishes what a delivery was answered with, before it is done
// (invariant I3). While that cannot be, the delivery waits, and nothing counts
// as an attempt.
func (u *run) reply(ctx context.Context, t *Trigger, delivery string, replies []event.Event) error {
	if t.ReplyAs == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, replyWithin)
	defer cancel()
	err := u.options.Replies.PublishReplies(ctx, t.ReplyAs, delivery, replies...)
	if err == nil {
		u.metrics.replied(t.Name, len(replies))
	}
	return unpublished("reply", err)
}

// unpublished is what becomes of a delivery when what is to be published before
// it is done could not be.
func unpublished(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, event.ErrTooLarge):
		return sinks.Permanent(fmt.Errorf("the %s cannot be published: %w", what, err))
	}
	return &sinks.ThrottledError{Err: fmt.Errorf("the %s could not be published: %w", what, err), After: replyAgain}
}

// errorOf returns what an attempt's error says of one of its deliveries.
func errorOf(err error, n int) error {
	if partial, ok := errors.AsType[*sinks.PartialError](err); ok {
		return partial.Failed[n]
	}
	return err
}

// classify turns what a sink has said of a delivery into what the core decides on.
func classify(response sinks.Response, err error) core.Result {
	r := core.Result{Class: core.Succeeded, Status: response.Status}
	if err == nil {
		return r
	}
	r.Error = shorten(err.Error())
	var throttled *sinks.ThrottledError
	var after *sinks.RetryAfterError
	var gone *sinks.GoneError
	switch {
	case errors.Is(err, errFiltered):
		r.Class = core.Dropped
	case sinks.IsPermanent(err):
		r.Class = core.Refused
	case errors.As(err, &gone):
		r.Class = core.Gone
	case errors.As(err, &throttled):
		r.Class, r.After = core.Busy, throttled.After
	case errors.As(err, &after):
		r.Class, r.After = core.Failed, after.After
	default:
		r.Class = core.Failed
	}
	return r
}

// shorten cuts a text to errorLength bytes of valid UTF-8.
func shorten(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= errorLength {
		return text
	}
	cut := errorLength - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
