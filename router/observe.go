package router

import (
	"log/slog"
	"strings"
	"time"

	"sluice/event"
	"sluice/router/core"
	"sluice/router/ledger"
)

// An Observation is one outcome, as it is being written down.
type Observation struct {
	Sequence                       uint64
	Source, EventID, Type, Subject string
	Trigger, DeliveryID            string
	Attempt                        int
	Outcome                        string // a name of ledger.Kind
	Status                         int
	Error, Reason                  string
	Duration, RetryIn              time.Duration
}

// about is what is said of an event beside its outcome.
type about struct{ source, id, typ, subject string }

// know keeps what the outcomes of a delivery are about, until it is settled. It
// keeps copies: the texts of an event are parts of all its headers, which would stay
// as long as a retry waits.
func (u *run) know(key ledger.Key, e *event.Entry) {
	if u.options.Observe == nil || e == nil || e.Event == nil {
		return
	}
	u.observed[key] = about{
		source: e.Source, id: strings.Clone(e.Event.ID), typ: strings.Clone(e.Event.Type), subject: strings.Clone(e.Event.Subject),
	}
}

// observe counts the outcomes of a record, and tells of them.
func (u *run) observe(out core.Append) {
	if out.Snapshot {
		return
	}
	for _, r := range out.Records {
		u.reportGone(r.Pauses)
		for i := range r.Outcomes {
			u.observeOne(&r.Outcomes[i])
		}
	}
}

// reportGone logs the triggers whose sinks have just said that nobody is there.
func (u *run) reportGone(pauses []ledger.Pause) {
	for i := range pauses {
		p := &pauses[i]
		if known := u.core.State().Triggers[p.Trigger]; p.Reason != ledger.PausedGone || known != nil && known.Pause.Since == p.Since {
			continue
		}
		u.logger.Warn("trigger is paused: its sink is gone", slog.String("trigger", u.nameOf(p.Trigger)), slog.String("error", p.Error))
	}
}

// nameOf returns the name of a configured trigger.
func (u *run) nameOf(number uint32) string {
	if t := u.configured.Load().triggers[number]; t != nil {
		return t.Name
	}
	return ""
}

func (u *run) observeOne(o *ledger.Outcome) {
	name := u.nameOf(o.Key.Trigger)
	u.metrics.outcome(name, o)
	if u.options.Observe == nil {
		return
	}
	a := u.observed[o.Key]
	if o.Kind.Settles() {
		delete(u.observed, o.Key)
	}
	seen := Observation{
		Sequence: o.Key.Sequence, Source: a.source, EventID: a.id, Type: a.typ, Subject: a.subject, Trigger: name,
		DeliveryID: event.DeliveryID{Incarnation: u.options.Incarnation, Sequence: o.Key.Sequence, Trigger: name}.String(),
		Attempt:    o.Attempt, Outcome: o.Kind.String(), Status: o.Status, Duration: time.Duration(o.Duration),
	}
	if d := o.Detail; d != nil {
		seen.Error, seen.Reason = d.Error, d.Reason
		if d.Due > 0 {
			seen.RetryIn = time.Duration(d.Due - o.Time)
		}
	}
	u.options.Observe(seen)
}
