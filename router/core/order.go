package core

import "slices"

// A lane is the unsettled deliveries of one order key, ascending. Only the
// first one is attempted.
type lane struct {
	key string
	all []*delivery
	// pressed: the first one is under way, and others wait for it.
	pressed bool
}

func (l *lane) first() *delivery { return l.all[0] }

// press counts the lane of d among those that are pressed, or no more. Behind one
// that waits for its time nothing is: it may do so for long.
func (d *delivery) press() {
	l := d.lane
	if l == nil {
		return
	}
	pressed := len(l.all) > 1 && l.first().underWay()
	switch {
	case pressed == l.pressed:
		return
	case pressed:
		d.t.pressed++
	default:
		d.t.pressed--
	}
	l.pressed = pressed
}

// line puts d into the lane of its key.
func (c *Core) line(d *delivery) {
	t := d.t
	if !t.config.Flow.Ordered || d.keys == nil || d.keys.Order == "" {
		return
	}
	l := t.lanes[d.keys.Order]
	if l == nil {
		l = &lane{key: d.keys.Order}
		put(&t.lanes, l.key, l)
	}
	d.lane = l
	c.anticipate(d)
	at := len(l.all)
	if at > 0 && l.all[at-1].key.Sequence > d.key.Sequence {
		at, _ = slices.BinarySearchFunc(l.all, d, func(a, b *delivery) int { return compareKeys(a.key, b.key) })
	}
	l.all = slices.Insert(l.all, at, d)
	d.press()
}

// stepLane takes a settled delivery from its lane, and lets the next one go.
func (c *Core) stepLane(d *delivery) {
	l := d.lane
	if l == nil {
		return
	}
	d.lane = nil
	if l.first() == d {
		l.all[0] = nil
		l.all = l.all[1:]
	} else if at := slices.Index(l.all, d); at > 0 {
		l.all = slices.Delete(l.all, at, at+1)
	}
	if len(l.all) == 0 {
		delete(d.t.lanes, l.key)
		return
	}
	l.first().press()
	c.letGo(l.first())
}

// heldBack tells whether d must wait for others of its key, or may have to.
func (d *delivery) heldBack() bool {
	return d.nameless || d.early || d.lane != nil && d.lane.first() != d
}

// letGo lets a delivery go on that is parked in its lane.
func (c *Core) letGo(d *delivery) {
	if d.phase == parked && d.penned == nil && !d.nameless && !d.early {
		c.unpark(d)
		c.queue(d)
		c.touch(d.t)
	}
}

// lookAhead loads what comes next in the lane of a delivery that starts, if its
// body was let go.
func (c *Core) lookAhead(d *delivery) {
	if l := d.lane; l != nil && len(l.all) > 1 && l.first() == d && !l.all[1].holds {
		c.letGo(l.all[1])
	}
}

// anticipate holds a delivery that an earlier run knew until its trigger has been
// offered what comes before it: some of that may be unsettled.
func (c *Core) anticipate(d *delivery) {
	t := d.t
	if d.key.Sequence <= c.offered(t) || d.holds {
		return
	}
	d.early = true
	at, _ := slices.BinarySearchFunc(t.early, d, func(a, b *delivery) int { return compareKeys(a.key, b.key) })
	if len(t.early) == 0 {
		c.early = append(c.early, t)
	}
	t.early = slices.Insert(t.early, at, d)
}

// offered is the last sequence that t was offered.
func (c *Core) offered(t *trigger) uint64 {
	if t.gate.Behind && !t.live {
		return t.read
	}
	return c.tail
}

// arrive lets those go on whose triggers have been offered all before them.
func (c *Core) arrive() {
	c.early = slices.DeleteFunc(c.early, func(t *trigger) bool {
		for len(t.early) > 0 && t.early[0].key.Sequence <= c.offered(t) {
			d := t.early[0]
			t.early = t.early[1:]
			if d.early = false; d.lane != nil && d.lane.first() == d {
				c.letGo(d)
			}
		}
		return len(t.early) == 0
	})
}
