package router

import (
	"context"
	"slices"
	"strings"
	"time"

	"sluice/event"
	"sluice/router/core"
	"sluice/router/ledger"
)

// A Life is what has become of one event for one trigger.
type Life struct {
	Trigger    string
	DeliveryID string
	// State is "waiting", "dying", or how it has ended: "done", "dead",
	// "discarded".
	State    string
	Attempts []Attempt
	Reason   string
	EndedAt  time.Time
}

// An Attempt is one try of a delivery, as the ledger has it.
type Attempt struct {
	Number   int
	Time     time.Time // of its end
	Duration time.Duration
	Status   int
	Outcome  string // a name of ledger.Kind
	Error    string
	Due      time.Time // of the next attempt; zero for none
}

// Life returns what the ledger knows of the event at a sequence, by trigger.
// Triggers that it did not match, or that have not taken it yet, are not in it.
func (r *Router) Life(ctx context.Context, sequence uint64) ([]Life, error) {
	names, waiting, err := r.waiting(ctx, sequence)
	if err != nil {
		return nil, err
	}
	lives := map[uint32]*Life{}
	of := func(number uint32) *Life {
		l := lives[number]
		if l == nil {
			l = &Life{State: "waiting"}
			lives[number] = l
		}
		return l
	}
	for _, number := range waiting {
		of(number)
	}
	err = r.outcomes(ctx, sequence, func(_ uint64, _ time.Time, rec *ledger.Record) {
		for i := range rec.Gates {
			if g := &rec.Gates[i]; g.Name != "" {
				names[g.Trigger] = g.Name
			}
		}
		for i := range rec.Outcomes {
			if o := &rec.Outcomes[i]; o.Key.Sequence == sequence {
				of(o.Key.Trigger).add(o)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	all := make([]Life, 0, len(lives))
	for number, l := range lives {
		l.Trigger = names[number]
		l.DeliveryID = event.DeliveryID{Incarnation: r.options.Incarnation, Sequence: sequence, Trigger: l.Trigger}.String()
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b Life) int { return strings.Compare(a.Trigger, b.Trigger) })
	return all, nil
}

// waiting returns the names of the triggers, and for which of them the event
// waits.
func (r *Router) waiting(ctx context.Context, sequence uint64) (map[uint32]string, []uint32, error) {
	names := map[uint32]string{}
	var waiting []uint32
	err := r.ask(ctx, func(c *core.Core) {
		for number, t := range c.State().Triggers {
			names[number] = t.Name
			if c.State().Waiting[ledger.Key{Trigger: number, Sequence: sequence}] != nil {
				waiting = append(waiting, number)
			}
		}
	})
	return names, waiting, err
}

func (l *Life) add(o *ledger.Outcome) {
	if o.Kind.Settles() {
		l.State, l.EndedAt = o.Kind.String(), time.Unix(0, o.Time)
	} else if o.Kind == ledger.Dying {
		l.State = o.Kind.String()
	}
	if o.Detail != nil && o.Detail.Reason != "" && o.Kind != ledger.Throttled {
		l.Reason = o.Detail.Reason
	}
	if o.Kind == ledger.Dead || o.Kind == ledger.Discarded || o.Kind == ledger.Dying && o.Duration == 0 {
		return // no attempt
	}
	a := Attempt{
		Number: o.Attempt, Time: time.Unix(0, o.Time), Duration: time.Duration(o.Duration), Status: o.Status, Outcome: o.Kind.String(),
	}
	if o.Detail != nil {
		a.Error = o.Detail.Error
		if o.Detail.Due > 0 {
			a.Due = time.Unix(0, o.Detail.Due)
		}
	}
	l.Attempts = append(l.Attempts, a)
}

// clockSlack is by how much the times of the log and of the ledger may differ.
const clockSlack = time.Second

// outcomes gives the records of the ledger's history that may tell of what
// happened to a sequence; to all of them for 0.
func (r *Router) outcomes(ctx context.Context, sequence uint64, take func(uint64, time.Time, *ledger.Record)) error {
	from := uint64(1)
	if sequence > 0 {
		entries, err := r.options.Log.Fetch(ctx, []uint64{sequence})
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			if from, err = r.options.Ledger.RecordSince(ctx, entries[0].Time.Add(-clockSlack)); err != nil {
				return err
			}
		}
	}
	return r.options.Ledger.ReadRecords(ctx, "", from, func(position uint64, at time.Time, data []byte) error {
		rec, err := r.codec.Decode(data)
		if err != nil {
			return err
		}
		take(position, at, rec)
		return nil
	})
}
