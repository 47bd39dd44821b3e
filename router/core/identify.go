package core

import (
	"slices"

	"sluice/router/ledger"
)

// keysOf returns the keys that a trigger's limits go by, or nil.
func (e *Entry) keysOf(id uint32) *Keys {
	if e.Keys == nil {
		return nil
	}
	if at, found := slices.BinarySearch(e.Triggers, id); found {
		return e.Keys[at]
	}
	return nil
}

// name gives a new delivery its keys, if its trigger has any. Those of a stretch
// that was matched before the trigger's keys have changed are asked for anew.
func (c *Core) name(d *delivery, e *Entry, version uint64) {
	if d.t.config.KeySpec == "" {
		return
	}
	if keys := e.keysOf(d.t.id); keys != nil && version >= d.t.keyVersion {
		d.keys = keys
		return
	}
	c.unname(d)
}

func (c *Core) unname(d *delivery) {
	d.keys, d.nameless = nil, true
	d.t.nameless++
	c.nameless.push(d)
}

// identify asks for the keys of deliveries whose keys are not known.
func (c *Core) identify() {
	if len(c.naming) > 0 || c.phase != serving {
		return
	}
	for c.nameless.len() > 0 && len(c.naming) < fetchMost {
		if d := c.nameless.pop(); d.nameless && d.phase != settled && d.t.configured {
			c.naming = append(c.naming, d)
		}
	}
	if len(c.naming) == 0 {
		return
	}
	slices.SortFunc(c.naming, func(a, b *delivery) int { return compareKeys(a.key, b.key) })
	c.naming = slices.Compact(c.naming)
	out := Identify{}
	for _, d := range c.naming {
		out.Deliveries = append(out.Deliveries, d.key)
	}
	c.emit(out)
}

func (c *Core) identified(in Identified) {
	asked := c.naming
	c.naming = nil
	for _, d := range asked {
		switch keys := in.Keys[d.key]; {
		case !d.nameless || d.phase == settled || !d.t.configured:
		case in.Version < d.t.keyVersion:
			c.nameless.push(d)
		case keys == nil && d.phase == parked:
			c.discard(d, ledger.ReasonMissing)
		case keys == nil: // its end shows what became of it
			c.named(d, &Keys{})
		default:
			c.named(d, keys)
		}
	}
}

// named has a delivery go on whose keys are known now.
func (c *Core) named(d *delivery, keys *Keys) {
	d.keys, d.nameless = keys, false
	d.t.nameless--
	c.settleIn(d)
	c.touch(d.t)
}

// rebuild has every unsettled delivery of a trigger, ascending, wait anew where
// a changed flow has it wait. With renamed its keys are found anew.
func (c *Core) rebuild(t *trigger, all []*delivery, renamed bool) {
	t.buffered, t.loaded, t.suspects = queue[*delivery]{}, queue[*delivery]{}, queue[*delivery]{}
	t.ready, t.parking = queue[*delivery]{}, queue[*delivery]{}
	t.sleep()
	t.limits, t.parked, t.pressed, t.early, t.nameless, t.flowSince = limits{}, 0, 0, nil, 0, c.now
	for _, d := range all {
		if d.phase == settled {
			continue
		}
		d.lane, d.slots, d.pen, d.penned, d.early, d.nameless = nil, nil, nil, nil, false, false
		if d.idle() {
			c.park(d, nil)
		}
		if t.config.KeySpec != "" && (renamed || d.keys == nil) {
			c.unname(d)
			continue
		}
		c.settleIn(d)
	}
}

// idle tells whether d stands in one of its trigger's queues.
func (d *delivery) idle() bool {
	switch d.phase {
	case buffered, loaded, parked:
		return true
	case ready:
		return !d.asked
	case starting, running, waiting, dying, settled:
	}
	return false
}

// settleIn counts d among those of its keys, and has it wait where its flow has
// it wait.
func (c *Core) settleIn(d *delivery) {
	c.line(d)
	switch d.phase { //nolint:exhaustive // what else there is comes here when it is due
	case starting, running:
		if s := c.slotsOf(d); s != nil {
			s.take(c, d)
		}
	case parked:
		c.reenter(d)
	}
}

// reenter has a parked delivery wait where it would if it came now: what is in
// memory and was never attempted counts against the buffer.
func (c *Core) reenter(d *delivery) {
	c.unpark(d)
	if d.phase = ready; d.holds && !d.tried && d.attempts == 0 {
		d.phase = buffered
	}
	c.enter(d)
}
