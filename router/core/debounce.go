package core

import "sluice/router/ledger"

// A quiet collects the deliveries of one debounce key until no more come.
type quiet struct {
	t         *trigger
	key       string
	collected queue[*delivery]
	first     int64 // when the first one came
	last      int64 // when the last one came
	alarm     int64
}

func (q *quiet) bed() *int64 { return &q.alarm }

// due is when what is collected goes.
func (q *quiet) due() int64 {
	f := &q.t.config.Flow.Debounce
	at := q.last + int64(f.Window)
	if f.Most > 0 {
		at = min(at, q.first+int64(f.Most))
	}
	return at
}

// debounce takes a delivery that has never been attempted. Unless all are kept,
// it replaces the one before it, which is in the log and unsettled until now:
// so is this one (invariant I3).
func (c *Core) debounce(d *delivery) {
	t, key := d.t, ""
	if d.keys != nil {
		key = d.keys.Debounce
	}
	q := t.quiets[key]
	if q == nil {
		q = &quiet{t: t, key: key, first: c.now}
		put(&t.quiets, key, q)
	}
	q.last = c.now
	c.park(d, nil)
	if !t.config.Flow.Debounce.All {
		d = c.replace(q, d)
	}
	if d != nil {
		q.collected.push(d)
	}
	if due := q.due(); q.alarm == 0 || due < q.alarm {
		c.alarms.set(q, due)
	}
}

// replace discards the older of two, whichever comes first, and returns the
// newer one; nil when that is collected already.
func (c *Core) replace(q *quiet, d *delivery) *delivery {
	for _, other := range q.collected.all() {
		switch {
		case other.phase == settled:
		case other.key.Sequence > d.key.Sequence:
			c.discard(d, ledger.ReasonDebounced)
			return nil
		default:
			c.discard(other, ledger.ReasonDebounced)
		}
	}
	q.collected = queue[*delivery]{}
	return d
}

// woken lets what is collected go, unless more has come meanwhile.
func (q *quiet) woken(c *Core) {
	if due := q.due(); due > c.now {
		c.alarms.set(q, due)
		return
	}
	delete(q.t.quiets, q.key)
	for d := popUnsettled(&q.collected); d != nil; d = popUnsettled(&q.collected) {
		if d.quiet = true; d.phase == parked {
			c.reenter(d)
		}
	}
	c.touch(q.t)
}
