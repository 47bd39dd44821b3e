package router

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"

	"sluice/event"
	"sluice/router/core"
	"sluice/sinks"
)

// errorLength is how many bytes of an error are kept.
const errorLength = 512

// start runs one attempt beside the core.
func (u *run) start(ctx context.Context, s core.Start) {
	t := u.configured.Load().triggers[s.Key.Trigger]
	entry, _ := s.Body.(*event.Entry)
	u.know(s.Key, entry)
	u.wait.Go(func() {
		began := time.Now()
		response, err := u.deliver(ctx, t, s, entry)
		if ctx.Err() != nil {
			return // the run is over: nobody listens
		}
		result := classify(response, err)
		result.Duration, result.Jitter = time.Since(began), rand.Float64()
		u.inbox.put(core.Finished{Key: s.Key, Result: result})
	})
}

// deliver makes the attempt. A panic is a failed attempt, not a crash
// (invariant I7).
func (u *run) deliver(ctx context.Context, t *Trigger, s core.Start, entry *event.Entry) (response sinks.Response, err error) {
	if t == nil {
		return response, &sinks.ThrottledError{Err: errors.New("the trigger is being reconfigured"), After: time.Second}
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the attempt panicked: %v", p)
		}
	}()
	if entry.Err != nil {
		return response, sinks.Permanent(entry.Err)
	}
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	id := event.DeliveryID{Incarnation: u.options.Incarnation, Sequence: s.Key.Sequence, Trigger: t.Name}
	return t.Sink.Deliver(ctx, sinks.Attempt{
		Trigger: t.Name, Claim: u.core.Claim(),
		Deliveries: []sinks.Delivery{{ID: id.String(), Attempt: s.Attempt, Event: entry.Event}},
	})
}

// classify turns what a sink has said into what the core decides on.
func classify(response sinks.Response, err error) core.Result {
	r := core.Result{Class: core.Succeeded, Status: response.Status}
	if err == nil {
		return r
	}
	r.Error = shorten(err.Error())
	if partial, ok := errors.AsType[*sinks.PartialError](err); ok {
		failed, found := partial.Failed[0]
		if !found {
			return core.Result{Class: core.Succeeded, Status: response.Status}
		}
		return classify(response, failed)
	}
	var throttled *sinks.ThrottledError
	var after *sinks.RetryAfterError
	var gone *sinks.GoneError
	switch {
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
