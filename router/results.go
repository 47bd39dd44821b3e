package router

import (
	"context"
	"fmt"
	"log/slog"

	"sluice/dlq"
	"sluice/event"
	"sluice/router/core"
	"sluice/router/ledger"
	"sluice/sinks"
)

// A Result tells another trigger of deliveries that have ended, by a record of
// each that is directed to it. It is durable before the delivery ends (invariant
// I3).
type Result struct {
	// Trigger is the name of the one that takes the records.
	Trigger string
	// Record makes one. When it fails after a success, the delivery becomes a
	// letter; after a failure there is no record, and the letter alone.
	Record func(*sinks.End) (event.Event, error)
}

// Results is where records go. PublishResults returns nil when the entries are
// durable, each for its trigger. The origin of an entry is the delivery that has
// ended; for the same one again none is stored twice.
type Results interface {
	PublishResults(ctx context.Context, entries ...event.Directed) error
}

// tellSuccess publishes the records of what an attempt has delivered. Places are
// those of its deliveries in errs, which gets what went wrong.
func (u *run) tellSuccess(ctx context.Context, t *Trigger, a *sinks.Attempt, response *sinks.Response, places []int, errs []error) {
	if t.OnSuccess == nil {
		return
	}
	var entries []event.Directed
	var of []int // the places of the entries
	for n, i := range places {
		if errs[i] != nil {
			continue
		}
		entry, err := t.OnSuccess.entry(&sinks.End{Delivery: a.Deliveries[n], Response: *response, Time: u.clock.now()})
		if err != nil {
			errs[i] = sinks.Permanent(fmt.Errorf("no record for on_success can be made: %w", err))
			continue
		}
		entries, of = append(entries, entry), append(of, i)
	}
	if len(entries) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, replyWithin)
	defer cancel()
	err := guarded(func() error { return u.options.Results.PublishResults(ctx, entries...) })
	for _, i := range of {
		errs[i] = unpublished("record for on_success", err)
	}
}

// entry makes a record. A panic in it is an error (invariant I7).
func (r *Result) entry(end *sinks.End) (event.Directed, error) {
	entry := event.Directed{Trigger: r.Trigger, Origin: end.Delivery.ID}
	err := guarded(func() (err error) {
		entry.Event, err = r.Record(end)
		return err
	})
	return entry, err
}

// recordData is how much data, kept apart, is loaded for a record.
const recordData = 1 << 20

// tellFailure publishes the record of a delivery that becomes a letter.
func (u *run) tellFailure(ctx context.Context, l core.WriteLetter, letter *dlq.Letter) error {
	t := u.configured.Load().triggers[l.Key.Trigger]
	if t == nil || t.OnFailure == nil || letter.Event == nil {
		return nil
	}
	delivered, err := u.asDelivered(ctx, t, letter.Event)
	if err != nil {
		return fmt.Errorf("the record for on_failure: %w", err)
	}
	entry, err := t.OnFailure.entry(&sinks.End{
		Delivery: sinks.Delivery{ID: letter.ID.String(), Attempt: letter.Made, Event: delivered},
		Failed:   true, Expired: letter.Reason == ledger.ReasonExpired, Error: letter.Error, Time: letter.DiedAt,
	})
	if err != nil {
		u.logger.Warn("no record for on_failure can be made", slog.String("delivery", letter.ID.String()), slog.Any("error", err))
		return nil //nolint:nilerr // it would fail again, and the letter has everything
	}
	if err := u.options.Results.PublishResults(ctx, entry); err != nil {
		return fmt.Errorf("the record for on_failure: %w", err)
	}
	return nil
}

// asDelivered returns the event as the attempts delivered it. Where it can be
// had no more, or that was the failure, it is as it came.
func (u *run) asDelivered(ctx context.Context, t *Trigger, e *event.Event) (*event.Event, error) {
	if e.Large != nil && e.Large.Size > recordData {
		return e, nil
	}
	whole, err := u.whole(ctx, e)
	if err != nil && !sinks.IsPermanent(err) {
		return nil, err
	}
	if err != nil {
		return e, nil //nolint:nilerr // its data is lost
	}
	changed, err := u.transform(ctx, t, whole)
	if err != nil {
		return whole, ctx.Err()
	}
	return changed, nil
}
