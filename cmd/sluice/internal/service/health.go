package service

import (
	"context"
	"sync"
	"time"

	"sluice/cmd/sluice/internal/admin"
	"sluice/event"
	"sluice/sources"
)

// settleTime is how long a source must run after a failure to count as well
// again, when it says nothing itself.
const settleTime = 5 * time.Second

// A health is what is known of one source. It is shared by the source, by its
// keeper, and by whoever asks.
type health struct {
	mu       sync.Mutex
	now      func() time.Time
	state    admin.CheckState
	err      error
	since    time.Time
	restarts int
	events   uint64
	failures uint64
	last     time.Time
}

func newHealth(now func() time.Time) *health {
	return &health{now: now, state: admin.StateOK, since: now()}
}

// report takes what the source says of itself; nil is well.
func (h *health) report(err error) {
	state := admin.StateOK
	if err != nil {
		state = admin.StateDegraded
	}
	h.set(state, err)
}

func (h *health) set(state admin.CheckState, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != state {
		h.since = h.now()
	}
	h.state, h.err = state, err
}

// failed notes that the source has stopped with an error.
func (h *health) failed(err error) {
	h.set(admin.StateFailed, err)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.restarts++
}

// recovered takes a failure back.
func (h *health) recovered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == admin.StateFailed {
		h.state, h.err, h.since = admin.StateOK, nil, h.now()
	}
}

// published counts what the source has published.
func (h *health) published(n int, err error) {
	if err == nil {
		h.recovered()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil:
		h.failures++
	case n > 0:
		h.events += uint64(n)
		h.last = h.now()
	}
}

// fill writes what is known into a.
func (h *health) fill(a *admin.Source) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a.State, a.Since, a.Restarts, a.Events, a.LastEvent = h.state, h.since, h.restarts, h.events, h.last
	if h.err != nil {
		a.Error = h.err.Error()
	}
}

// A countingOut is an Out that notes what passes.
type countingOut struct {
	sources.Out
	name     string
	health   *health
	accepted func(source string, events []event.Event)
}

func (o *countingOut) note(err error, events []event.Event) {
	o.health.published(len(events), err)
	if err == nil && o.accepted != nil && len(events) > 0 {
		o.accepted(o.name, events)
	}
}

// Publish is for sources.Out.
func (o *countingOut) Publish(ctx context.Context, events ...event.Event) error {
	err := o.Out.Publish(ctx, events...)
	o.note(err, events)
	return err
}

// PublishAt is for sources.Out.
func (o *countingOut) PublishAt(ctx context.Context, shard string, cursor []byte, events ...event.Event) error {
	err := o.Out.PublishAt(ctx, shard, cursor, events...)
	o.note(err, events)
	return err
}
