package core

import (
	"slices"
	"time"

	"sluice/router/ledger"
)

const (
	// aloneAfter is how many crashes make a suspect run by itself.
	aloneAfter = 2
	// poisonAfter is how many crashes end a suspect.
	poisonAfter = 3
	// fetchMost is how many events one Fetch asks for.
	fetchMost = 256
	// guessedSize stands for the size of a body that is not known yet.
	guessedSize = 16 << 10
	// statusTooMany and statusUnavailable say that a sink has no room, as HTTP has
	// them (RFC 6585, section 4; RFC 9110, section 15.6.4).
	statusTooMany, statusUnavailable = 429, 503
	// loadLeast is how many due deliveries are loaded ahead at least.
	loadLeast = 32
)

// mayStart tells whether attempts may start at all. Too much that is not
// written yet would be repeated after a crash.
func (c *Core) mayStart() bool {
	if c.phase != serving {
		return false
	}
	count, oldest := len(c.pending.outcomes), c.pending.since
	if c.flight != nil {
		count += len(c.flight.outcomes)
		if c.flight.since != 0 {
			oldest = c.flight.since
		}
	}
	if count >= c.options.UnwrittenLimit || oldest != 0 && c.now-oldest >= int64(c.options.UnwrittenAge) {
		c.pending.blocked = true
		return false
	}
	return true
}

// attempt starts what t has room for.
func (c *Core) attempt(t *trigger) {
	for c.mayBegin(t) {
		d := c.next(t)
		if d == nil {
			return
		}
		c.start(d)
	}
}

// mayBegin tells whether an attempt of t may start, whatever its key is.
func (c *Core) mayBegin(t *trigger) bool {
	if t.running >= t.most() || t.standsStill() || !c.mayStart() {
		return false
	}
	return !t.flows || c.flowing(t)
}

// flowing tells whether the flow of t lets an attempt start.
func (c *Core) flowing(t *trigger) bool {
	if t.config.Flow.Ordered && t.nameless > 0 {
		return false
	}
	if until := t.breaker.waits(c.now); until != 0 {
		if until != never {
			c.look(t, until)
		}
		return false
	}
	return c.withinRate(t)
}

// most is how many deliveries of t may be under way.
func (t *trigger) most() int {
	if !t.config.Flow.Adaptive {
		return t.config.Concurrency
	}
	unit := max(1, t.config.Batch)
	return unit * t.adaptive.allows(max(1, t.config.Concurrency/unit))
}

// Attempts returns how many attempts of a trigger may be under way, each of one
// batch if it has batches.
func (c *Core) Attempts(id uint32) int {
	t := c.triggers[id]
	if t == nil {
		return 1
	}
	return max(1, t.most()/max(1, t.config.Batch))
}

func (t *trigger) bed() *int64 { return &t.alarm }

// woken looks at what has become possible.
func (t *trigger) woken(c *Core) { c.touch(t) }

// next takes the delivery that is attempted next.
func (c *Core) next(t *trigger) *delivery {
	for {
		if d := c.pick(t); d == nil || !t.flows || c.admit(d) {
			return d
		}
	}
}

// pick takes suspects when they may run, then new and due deliveries by turns.
func (c *Core) pick(t *trigger) *delivery {
	if c.alone == nil {
		if d := popUnsettled(&t.suspects); d != nil {
			return d
		}
	}
	t.turn = !t.turn
	first, second := &t.buffered, &t.loaded
	if t.turn {
		first, second = second, first
	}
	if d := popUnsettled(first); d != nil {
		return d
	}
	return popUnsettled(second)
}

// popUnsettled passes over what was discarded while it waited.
func popUnsettled(q *queue[*delivery]) *delivery {
	for q.len() > 0 {
		if d := q.pop(); d.phase != settled {
			return d
		}
	}
	return nil
}

// start has an attempt begin; that of a suspect only once it is written down
// (invariant I7).
func (c *Core) start(d *delivery) {
	t := d.t
	crashes := c.state.Suspects[d.key].Crashes
	switch {
	case crashes >= poisonAfter:
		c.die(d, ledger.ReasonPoison)
		return
	case crashes >= aloneAfter && c.alone != nil:
		t.suspects.push(d)
		return
	case crashes >= aloneAfter:
		c.alone = d
	case crashes == 0 && (d.tried || t.quota <= 0 || d.key.Sequence > c.crashLast):
		c.begun(d, running)
		c.emitStart(d)
		return
	}
	t.quota--
	c.begun(d, starting)
	c.pending.started = append(c.pending.started, d)
	c.pending.important(c.now)
}

func (c *Core) begun(d *delivery, p phase) {
	c.undelay(d)
	d.phase, d.tried = p, true
	d.t.running++
	c.running++
	if d.t.flows {
		c.spend(d)
		d.press()
		d.t.breaker.starts(d)
		c.lookAhead(d)
	}
}

func (c *Core) emitStart(d *delivery) {
	d.phase = running
	if d.first == 0 {
		d.first = c.now
	}
	c.emit(Start{Key: d.key, Attempt: d.attempts + 1, Body: d.body, Batch: d.batch(), Alone: c.alone == d})
}

func (d *delivery) batch() string {
	if d.keys == nil {
		return ""
	}
	return d.keys.Batch
}

// finished turns the end of an attempt into an outcome.
func (c *Core) finished(in Finished) {
	d := c.live[in.Key]
	if d == nil || d.phase != running {
		return
	}
	t, r := d.t, in.Result
	if t.flows {
		c.learn(d, &r)
		c.vacate(d)
	}
	t.running--
	c.running--
	if c.alone == d {
		c.alone = nil
		c.touchSuspects()
	}
	c.release(d)
	c.touch(t)
	if r.Class == Gone {
		c.gone(t, r)
	}
	v := decide(r, d.attempts+1, time.Duration(c.now-d.first), t.config.Retry)
	o := ledger.Outcome{Key: d.key, Kind: v.Kind, Attempt: d.attempts + 1, Time: c.now, Duration: int64(r.Duration), Status: r.Status}
	if v.Kind != ledger.Throttled {
		d.attempts++
	}
	if v.Kind == ledger.Done {
		c.settle(d, o)
		return
	}
	o.Detail = &ledger.Detail{Reason: v.Reason, Error: r.Error}
	if v.Kind == ledger.Discarded {
		c.settle(d, o)
		return
	}
	c.delay(d)
	if v.Kind == ledger.Dying {
		d.phase = dying
		d.press()
		c.pending.outcome(d, o, c.now)
		return
	}
	d.phase, d.due = waiting, c.now+int64(v.Delay)
	d.press()
	o.Detail.Due = d.due
	c.pending.outcome(d, o, c.now)
	c.timers.push(d)
}

// learn lets the flow of a trigger learn from the end of an attempt. One that
// was made to see whether the sink works again, and failed, counts as none.
func (c *Core) learn(d *delivery, r *Result) {
	t, flow := d.t, &d.t.config.Flow
	if flow.Adaptive {
		if r.Class == Failed && r.Status == statusTooMany {
			r.Class = Busy // it was asked for too much, which is how the limit is found
		}
		unit := max(1, t.config.Batch)
		t.adaptive.ends(*r, t.running/unit, max(1, t.config.Concurrency/unit), c.now)
	}
	if t.breaker.ends(d, r.Class, c.now, flow.Breaker) && r.Class == Failed {
		r.Class = Busy
	}
}

// die ends a delivery without another attempt.
func (c *Core) die(d *delivery, reason string) {
	c.release(d)
	c.handBack(d)
	c.vacate(d)
	c.delay(d)
	d.phase = dying
	c.pending.outcome(d, ledger.Outcome{
		Key: d.key, Kind: ledger.Dying, Attempt: d.attempts, Time: c.now, Detail: &ledger.Detail{Reason: reason},
	}, c.now)
}

// buried settles a delivery whose letter is durable (invariant I3).
func (c *Core) buried(key ledger.Key) {
	d := c.live[key]
	if d == nil || d.phase != dying {
		return
	}
	c.settle(d, ledger.Outcome{Key: key, Kind: ledger.Dead, Attempt: d.attempts, Time: c.now})
}

// discard settles a delivery without a letter.
func (c *Core) discard(d *delivery, reason string) {
	c.release(d)
	c.settle(d, ledger.Outcome{Key: d.key, Kind: ledger.Discarded, Attempt: d.attempts, Time: c.now, Detail: &ledger.Detail{Reason: reason}})
}

func (c *Core) settle(d *delivery, o ledger.Outcome) {
	c.undelay(d)
	d.phase = settled
	if d.t.flows {
		c.leave(d)
	}
	c.pending.outcome(d, o, c.now)
	c.touch(d.t)
}

// leave takes a settled delivery from all that its flow keeps of it.
func (c *Core) leave(d *delivery) {
	if d.nameless {
		d.nameless = false
		d.t.nameless--
	}
	c.handBack(d)
	c.vacate(d)
	c.stepLane(d)
}

// delay counts d among what waits for a retry or a letter.
func (c *Core) delay(d *delivery) {
	if !d.delayed {
		d.delayed = true
		d.t.delayed++
		c.delayed++
	}
}

func (c *Core) undelay(d *delivery) {
	if d.delayed {
		d.delayed = false
		d.t.delayed--
		c.delayed--
	}
}

func (c *Core) hold(d *delivery, e *Entry) {
	d.body, d.size = e.Body, e.Size
	d.t.held += d.size
	c.held += d.size
	d.holds = true
}

func (c *Core) release(d *delivery) {
	if d.t.over == d {
		d.t.over = nil
	}
	if d.holds {
		d.t.held -= d.size
		c.held -= d.size
		d.body, d.holds = nil, false
		if d.phase == parked {
			d.t.parked--
		}
	}
}

// Full tells whether no more deliveries of a trigger will start before some of
// those under way have ended, or somebody does something about it.
func (c *Core) Full(id uint32) bool {
	t := c.triggers[id]
	if t == nil || t.standsStill() || c.phase != serving || t.running >= t.most() {
		return true
	}
	if t.breaker.probe != nil || t.buffered.len() == 0 && t.pressed > 0 {
		return true
	}
	shut := t.gate.Behind && !t.live && !t.open && !c.mayOpen(t)
	return shut || t.over != nil && t.ready.len() > 0
}

func (c *Core) touchSuspects() {
	for _, t := range c.order {
		if t.suspects.len() > 0 {
			c.touch(t)
		}
	}
}

// ripen makes ready what is due.
func (c *Core) ripen() {
	for {
		d := c.timers.due(c.now)
		if d == nil {
			break
		}
		d.phase = ready
		c.enter(d)
		c.touch(d.t)
	}
	for {
		who := c.alarms.due(c.now)
		if who == nil {
			break
		}
		who.woken(c)
	}
	c.expire()
}

// load gets bodies for the deliveries of t that are due, a few ahead of the
// attempts.
func (c *Core) load(t *trigger) {
	if t.standsStill() || c.phase != serving {
		return
	}
	ahead := max(2*t.config.Concurrency, loadLeast)
	for t.ready.len() > 0 && t.loaded.len()+t.asked < ahead {
		d := t.ready.first()
		if d.phase != ready {
			t.ready.pop()
			continue
		}
		size := d.size
		if size == 0 {
			size = guessedSize
		}
		if t.held+t.asking+size > c.share(t) {
			if t.over != nil { // one at a time may be over the share
				return
			}
			t.over = d
		}
		t.ready.pop()
		if e := c.ring.at(d.key.Sequence); e != nil {
			c.loadedWith(d, e)
			continue
		}
		t.asked++
		d.size, d.asked = size, true
		t.asking += size
		c.wanted[d.key.Sequence] = append(c.wanted[d.key.Sequence], d)
	}
}

func (c *Core) loadedWith(d *delivery, e *Entry) {
	c.hold(d, e)
	d.phase = loaded
	d.t.loaded.push(d)
}

// fetch asks for the lowest wanted bodies.
func (c *Core) fetch() {
	if len(c.fetching) > 0 || len(c.wanted) == 0 {
		return
	}
	for sequence := range c.wanted {
		c.fetching = append(c.fetching, sequence)
	}
	slices.Sort(c.fetching)
	c.fetching = c.fetching[:min(len(c.fetching), fetchMost)]
	c.emit(Fetch{Sequences: slices.Clone(c.fetching)})
}

func (c *Core) fetched(in Fetched) {
	found := map[uint64]*Entry{}
	for i := range in.Entries {
		found[in.Entries[i].Sequence] = &in.Entries[i]
	}
	for _, sequence := range c.fetching {
		for _, d := range c.wanted[sequence] {
			d.t.asked--
			d.t.asking -= d.size
			d.asked = false
			c.touch(d.t)
			if d.phase != ready {
				c.release(d)
				continue
			}
			if e := found[sequence]; e != nil {
				c.loadedWith(d, e)
			} else {
				c.discard(d, ledger.ReasonMissing)
			}
		}
		delete(c.wanted, sequence)
	}
	c.fetching = c.fetching[:0]
}
