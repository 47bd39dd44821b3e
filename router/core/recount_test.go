package core

import "fmt"

// A count is what a trigger counts of its deliveries.
type count struct{ running, held, delayed, parked, nameless, asked, asking int }

// Recount finds out from the deliveries themselves what is counted, and that each
// stands where something lets it go on. It returns the first that is wrong.
func (c *Core) Recount() error {
	found, all := map[*trigger]*count{}, count{}
	for _, t := range c.order {
		found[t] = &count{}
	}
	for _, d := range c.live {
		if n := found[d.t]; n != nil { // whose trigger has not left
			n.add(d)
		}
		all.add(d)
	}
	for _, wanted := range c.wanted { // also by what has ended meanwhile
		for _, d := range wanted {
			if n := found[d.t]; n != nil {
				n.asked++
				n.asking += d.size
			}
		}
	}
	leaving := 0
	for _, t := range c.order {
		if t.leaving {
			leaving++
		}
		n := found[t]
		if counted := (count{t.running, t.held, t.delayed, t.parked, t.nameless, t.asked, t.asking}); counted != *n {
			return fmt.Errorf("%s has %+v, and counts %+v", t.gate.Name, *n, counted)
		}
		if err := c.placed(t); err != nil {
			return fmt.Errorf("%s: %w", t.gate.Name, err)
		}
	}
	if leaving != c.leaving {
		return fmt.Errorf("%d triggers are leaving, and %d are counted", leaving, c.leaving)
	}
	if c.running != all.running || c.held != all.held || c.delayed != all.delayed {
		return fmt.Errorf("all have %+v, and %d are counted as running, %d held, %d delayed", all, c.running, c.held, c.delayed)
	}
	return nil
}

func (n *count) add(d *delivery) {
	one := func(holds bool) int {
		if holds {
			return 1
		}
		return 0
	}
	n.running += one(d.underWay())
	n.held += one(d.holds) * d.size
	n.delayed += one(d.delayed)
	n.parked += one(d.phase == parked && d.holds)
	n.nameless += one(d.nameless)
}

// placed tells whether each delivery that waits for its start stands in one
// place, and whether what its keys hold is let go by something.
func (c *Core) placed(t *trigger) error {
	places := map[*delivery]int{}
	stands := func(q *queue[*delivery], in ...phase) error {
		for _, d := range q.all() {
			if d.phase == settled {
				continue
			}
			if places[d]++; d.phase != in[0] && d.phase != in[len(in)-1] {
				return fmt.Errorf("%d has the phase %d in a queue of %v", d.key.Sequence, d.phase, in)
			}
		}
		return nil
	}
	for _, err := range []error{
		stands(&t.buffered, buffered), stands(&t.ready, ready), stands(&t.loaded, loaded), stands(&t.suspects, buffered, loaded),
		t.checkSlots(stands), t.checkMeters(stands), t.checkQuiets(stands), t.checkLanes(places),
	} {
		if err != nil {
			return err
		}
	}
	for _, d := range c.live {
		waits := d.t == t && (d.phase == buffered || d.phase == ready && !d.asked || d.phase == loaded || d.phase == parked)
		switch n := places[d]; {
		case d.nameless || d.early:
			if n > 0 && d.phase == parked || n > 1 {
				return fmt.Errorf("%d waits for its key, and in %d other places", d.key.Sequence, n)
			}
		case waits && n != 1 || !waits && n > 0:
			return fmt.Errorf("%d, of the phase %d, waits in %d places", d.key.Sequence, d.phase, n)
		}
	}
	return nil
}

type stands func(q *queue[*delivery], in ...phase) error

func (t *trigger) checkSlots(in stands) error {
	used := map[*slots]int{}
	for _, d := range t.flow.all() {
		if d.slots != nil && d.phase != settled {
			used[d.slots]++
		}
	}
	for key, s := range t.slots {
		switch {
		case s.used < used[s]: // what an earlier run has left is not in the flow
			return fmt.Errorf("of the slots %s %d are used, and %d counted", key, used[s], s.used)
		case s.used == 0 && s.out == nil && s.empty():
			return fmt.Errorf("nobody needs the slots %s", key)
		case s.out == nil && !s.empty() && s.used < t.config.Flow.PerKey:
			return fmt.Errorf("nothing is let out of the slots %s", key)
		}
		if err := s.check(in); err != nil {
			return err
		}
	}
	return nil
}

func (t *trigger) checkMeters(in stands) error {
	for key, m := range t.meters {
		if key == "" && !t.config.Flow.Rate.Keyed {
			continue
		}
		if m.out == nil && m.alarm == 0 {
			return fmt.Errorf("nothing wakes the rate %s, for which %d wait", key, m.parked.len())
		}
		if err := m.check(in); err != nil {
			return err
		}
	}
	return nil
}

func (p *pen) check(in stands) error {
	if d := p.out; d != nil && (d.pen != p || !d.pending()) {
		return fmt.Errorf("%d is let out, and has the phase %d", d.key.Sequence, d.phase)
	}
	return in(&p.parked, parked)
}

func (t *trigger) checkQuiets(in stands) error {
	for key, q := range t.quiets {
		if q.alarm == 0 {
			return fmt.Errorf("nothing wakes what is collected of %s", key)
		}
		if err := in(&q.collected, parked); err != nil {
			return err
		}
	}
	return nil
}

func (t *trigger) checkLanes(places map[*delivery]int) error {
	pressed := 0
	for key, l := range t.lanes {
		if len(l.all) == 0 {
			return fmt.Errorf("the lane %s is empty", key)
		}
		if len(l.all) > 1 && l.first().underWay() {
			pressed++
		}
		for i, d := range l.all {
			switch {
			case d.phase == settled || d.lane != l:
				return fmt.Errorf("%d is not of the lane %s any more", d.key.Sequence, key)
			case i > 0 && l.all[i-1].key.Sequence >= d.key.Sequence:
				return fmt.Errorf("the lane %s is not in order", key)
			case d.phase == parked && d.penned == nil && i > 0 && !d.early:
				places[d]++
			}
		}
	}
	if pressed != t.pressed {
		return fmt.Errorf("%d lanes are pressed, and %d counted", pressed, t.pressed)
	}
	return nil
}

// pending tells whether d waits for its start.
func (d *delivery) pending() bool {
	switch d.phase {
	case buffered, ready, loaded, parked:
		return true
	case starting, running, waiting, dying, settled:
	}
	return false
}
