package core

import (
	"slices"

	"sluice/router/ledger"
)

// A trigger is the live side of one trigger.
type trigger struct {
	id     uint32
	config Trigger
	gate   ledger.Gate // as it stands now; the ledger's may be older
	pause  ledger.Pause
	// resumed is when a pause was last taken back.
	resumed int64
	// changed: the gate is to be written.
	changed bool
	// durable: the ledger knows where the trigger starts, so that attempts may
	// start.
	durable bool
	// configured: it is in the newest configuration.
	configured bool
	// version is that of the index which it needs.
	version uint64
	// read is the last sequence that it was offered while behind.
	read     uint64
	recorded uint64 // its cursor in the newest built record
	open     bool   // while behind: it takes events again
	full     bool   // it was closed because too many wait
	// live: it has caught up, so that the shared reader feeds it, but stays
	// behind in the ledger until the mark reaches its cursor.
	live    bool
	leaving bool // its last deliveries are being discarded

	flow     queue[*delivery] // above c(t), ascending
	cleared  int              // how many of flow's first are clear
	buffered queue[*delivery] // never attempted, with bodies
	ready    queue[*delivery] // due, without bodies
	loaded   queue[*delivery] // due, with bodies
	suspects queue[*delivery] // to be attempted one at a time
	asked    int              // bodies under way
	asking   int              // their bytes, as far as they are known
	over     *delivery        // whose body is held although it is over the share
	short    int              // size of the event that there was no room for
	delayed  int              // deliveries that wait for a retry or a letter
	running  int
	held     int    // bytes of bodies
	served   uint64 // when a sweep last reached it, in turns
	quota    int    // how many more attempts are written down before they start

	flows bool // its flow is not the zero one
	limits
	parked     int              // with bodies
	pressed    int              // lanes whose first is under way, and others wait for it
	parking    queue[*delivery] // those, and some that are no more
	early      []*delivery      // ascending
	nameless   int              // deliveries whose keys are not known
	keyVersion uint64           // of the index that its keys are found with
	flowSince  int64            // when its flow began
	breaker    breaker
	adaptive   adaptive
	alarm      int64

	turn   bool
	dirty  bool
	active bool
}

// A delivery is one event for one trigger, unsettled.
type delivery struct {
	key      ledger.Key
	t        *trigger
	phase    phase
	clear    bool   // c(t) may pass it: the newest built record says what becomes of it
	delayed  bool   // counted in its trigger's delayed
	asked    bool   // its body is under way
	nameless bool   // its keys are not known
	early    bool   // what comes before it is not all known
	quiet    bool   // it has waited for others, as its debounce asks for
	holds    bool   // counted in its trigger's held
	tried    bool   // by this claim
	counted  bool   // as matched, by an earlier claim
	attempts int    // that have ended
	keys     *Keys  // nil when its trigger's flow has none
	lane     *lane  // of its order key
	slots    *slots // that it occupies
	penned   *pen   // that it is parked in
	pen      *pen   // that has let it out
	size     int
	body     any
	since    int64 // when it was offered
	first    int64 // when its first attempt began, and later by the time without a router; 0: none has
	due      int64
}

type phase uint8

const (
	buffered phase = iota
	starting       // to be written down before it starts
	running
	waiting // for its time
	ready   // for its body
	loaded
	parked // until a limit of its keys lets it go on
	dying
	settled
)

// underWay tells whether an attempt of d is, or is about to be.
func (d *delivery) underWay() bool { return d.phase == starting || d.phase == running }

// standsStill tells whether no attempt of t may start.
func (t *trigger) standsStill() bool {
	return t.gate.Paused || !t.configured || !t.durable
}

// room tells whether t may take one more event of this size. What its keys hold
// back is no reason that it may not, as long as that may wait without bodies.
func (c *Core) room(t *trigger, size int) bool {
	if t.delayed >= c.waitingLimit() {
		t.full = true
		return false
	}
	if c.fits(t, size) {
		return true
	}
	c.stow(t)
	return c.fits(t, size)
}

// crowd is how many events in memory wait for an attempt.
func (t *trigger) crowd() int { return t.buffered.len() + t.parked }

func (c *Core) fits(t *trigger, size int) bool {
	return t.crowd() < t.config.Buffer && (t.held == 0 || t.held+size <= c.share(t))
}

// waitingShare is the least that a trigger may have waiting, however many wait
// in all.
const waitingShare = 64

// waitingLimit is how many deliveries of one trigger may wait, so that all of
// them together fit into a snapshot.
func (c *Core) waitingLimit() int {
	if c.delayed < c.options.WaitingTotal {
		return c.options.WaitingLimit
	}
	return min(c.options.WaitingLimit, max(waitingShare, c.options.WaitingTotal/max(1, len(c.order))))
}

// tooMany tells whether so many of t wait that its gate stays closed. When it was
// closed for that, there must be fewer: else each sweep would end with what has
// become free.
func (c *Core) tooMany(t *trigger) bool {
	most := c.waitingLimit()
	if t.full {
		most -= most / 8
	}
	return t.delayed >= most
}

// share is how many bytes of bodies t may hold. Half of the budget is for whoever
// needs it, up to an eighth of all for one trigger; the other half is parted among
// all, so that each has something however greedy others are.
func (c *Core) share(t *trigger) int {
	all := c.options.Budget
	free := max(0, all/2-c.held)
	return max(all/2/max(8, len(c.order)), min(all/8, t.held+free))
}

// matched takes the next stretch of the shared reader.
func (c *Core) matched(in Matched) {
	if in.To <= c.tail {
		return
	}
	c.tailVersion = in.Version
	c.begin(in)
	for i := range in.Entries {
		e := &in.Entries[i]
		if e.Sequence <= c.tail {
			continue
		}
		for _, id := range e.Triggers {
			t := c.triggers[id]
			if t == nil || t.gate.Behind && !t.live || t.gate.Start == 0 {
				continue
			}
			if !c.offer(t, e, in.Version) {
				c.shut(t, e.Sequence-1)
			}
		}
	}
	c.ring.add(in, c.version, c.options)
	c.tail = in.To
	c.pending.slow(c.now)
	c.touchBehind()
}

// begin starts the triggers that wait for the first stretch matched with their
// version.
func (c *Core) begin(in Matched) {
	if len(c.unbegun) == 0 {
		return
	}
	c.unbegun = slices.DeleteFunc(c.unbegun, func(t *trigger) bool {
		if t.version > in.Version {
			return false
		}
		c.beginAt(t, in.From)
		return true
	})
}

// beginAt has t begin with its fingerprint. What an earlier run has matched
// with another one is not to be held against it.
func (c *Core) beginAt(t *trigger, from uint64) {
	if t.gate.Start == 0 {
		t.gate.Start, t.gate.Since = from, from
	} else {
		t.gate.Since = max(from, t.gate.Start, c.recovered+1)
	}
	if t.gate.Paused {
		c.shut(t, from-1)
	}
	c.changed(t)
}

// touchBehind lets the triggers rejoin that are behind and take events.
func (c *Core) touchBehind() {
	for _, t := range c.behind {
		if t.open && !t.live {
			c.touch(t)
		}
	}
}

// offer gives an event to t, or returns false because it has no room. What the
// ledger knows already is only followed until c(t) passes it.
func (c *Core) offer(t *trigger, e *Entry, version uint64) bool {
	if e.Sequence < t.gate.Start {
		return true
	}
	key := ledger.Key{Trigger: t.id, Sequence: e.Sequence}
	if e.Sequence <= c.recovered {
		if known := c.known(t, key); known != nil {
			c.follow(t, known)
			return true
		}
	}
	if !c.room(t, e.Size) {
		t.short = e.Size
		return false
	}
	d := &delivery{key: key, t: t, since: c.now}
	c.live[key] = d
	c.hold(d, e)
	c.follow(t, d)
	if t.flows {
		c.name(d, e, version)
		c.line(d)
		c.enter(d)
	} else {
		t.buffered.push(d)
	}
	c.touch(t)
	return true
}

// known returns a delivery that was recovered from the ledger, or nil.
func (c *Core) known(t *trigger, key ledger.Key) *delivery {
	if d := c.live[key]; d != nil {
		return d
	}
	known := c.state.Triggers[t.id]
	if known == nil || !known.Known.Has(key.Sequence) && !known.Settled.Has(key.Sequence) {
		return nil
	}
	return &delivery{key: key, t: t, phase: settled, clear: true, counted: true}
}

func (c *Core) follow(t *trigger, d *delivery) {
	t.flow.push(d)
	if !t.active {
		t.active = true
		c.active = append(c.active, t)
	}
	if !d.clear {
		c.ages(d)
	}
	c.pending.slow(c.now)
}

// shut closes the gate of a trigger; if the shared reader feeds it, it is behind
// from here on.
func (c *Core) shut(t *trigger, read uint64) {
	t.open = false
	if t.gate.Start == 0 || t.gate.Behind && !t.live {
		return
	}
	t.live = false
	t.read = max(read, c.mark)
	if !t.gate.Behind {
		t.gate.Behind, t.recorded = true, c.mark
		c.behind = append(c.behind, t)
		c.changed(t)
	}
}

// changed has the standing of t written.
func (c *Core) changed(t *trigger) {
	if !t.changed {
		t.changed = true
		c.pending.gates = append(c.pending.gates, t)
	}
	c.pending.important(c.now)
}

// reopen opens the gate of t again when half of its buffer is free, and lets it
// join when the ring reaches back to where it is.
func (c *Core) reopen(t *trigger) {
	if !t.gate.Behind || t.live || t.gate.Paused || !t.configured || c.phase != serving {
		return
	}
	if t.parked > 0 && t.crowd() > t.config.Buffer/2 {
		c.ease(t)
	}
	if !t.open {
		if !c.mayOpen(t) {
			return
		}
		t.open, t.short, t.full = true, 0, false
	}
	if t.read <= c.tail && c.ring.from <= t.read+1 && c.tailVersion >= t.version {
		c.join(t)
	}
}

// mayOpen tells whether half of t's buffer is free, and what it was closed for
// would fit.
func (c *Core) mayOpen(t *trigger) bool {
	return t.crowd() <= t.config.Buffer/2 &&
		!c.tooMany(t) &&
		(t.held == 0 || t.held <= c.share(t)/2 && t.held+t.short <= c.share(t))
}

// join offers t what the ring has and t has not seen; with all of it, t is fed
// by the shared reader again.
func (c *Core) join(t *trigger) {
	missed := c.ring.after(t.read)
	for i := range missed {
		e := &missed[i]
		if e.matches(t.id) && !c.offer(t, e, c.tailVersion) {
			c.stay(t, e.Sequence-1)
			return
		}
	}
	t.live, t.read = true, c.tail
	c.pending.important(c.now)
}

// stay closes the gate of a trigger that is behind.
func (c *Core) stay(t *trigger, read uint64) {
	t.open = false
	t.read = max(t.read, read)
	c.pending.slow(c.now)
}

// sweepsInARow is how many sweeps go on where the last one ended before another
// position has its turn.
const sweepsInARow = 16

// sweep asks for the next stretch of the log for the hungry trigger that was
// served the longest ago, and with it for all that wait at its position.
func (c *Core) sweep() {
	if c.sweeping || c.phase != serving {
		return
	}
	var first *trigger
	for _, t := range c.behind {
		if !c.hungry(t) || t.read >= c.tail {
			continue
		}
		if first == nil || t.served < first.served || t.served == first.served && t.read < first.read {
			first = t
		}
	}
	if first == nil {
		return
	}
	c.sweeping = true
	c.emit(Read{From: first.read + 1, Max: c.sweepRoom(first.read + 1)})
}

// hungry tells whether a sweep is worth its while for t: it takes events, and
// half of its buffer is free. With less, sweeps would become ever shorter, and
// the last one end within what it has read.
func (c *Core) hungry(t *trigger) bool {
	return t.open && !t.live && t.crowd() <= t.config.Buffer/2
}

// sweepRoom is how many events the hungry triggers that wait at a position can
// take, so that the next sweep goes on where this one ends.
func (c *Core) sweepRoom(from uint64) int {
	most := c.options.Sweep
	for _, t := range c.behind {
		if c.hungry(t) && t.read+1 == from {
			most = min(most, t.config.Buffer-t.crowd())
		}
	}
	return max(most, 1)
}

// sweptTo offers a stretch to every trigger whose position it covers.
func (c *Core) sweptTo(in Swept) {
	c.sweeping = false
	to := min(in.To, c.tail)
	c.sweeps++
	for _, t := range c.behind {
		covered := in.From <= t.read+1 && t.read < to
		if t.open && !t.live && covered && in.Version >= t.version {
			t.served = c.sweeps / sweepsInARow
			c.catchUp(t, in.Entries, to, in.Version)
			c.touch(t)
		}
	}
}

func (c *Core) catchUp(t *trigger, entries []Entry, to, version uint64) {
	for i := range entries {
		e := &entries[i]
		if e.Sequence <= t.read || !e.matches(t.id) {
			continue
		}
		if e.Sequence > to {
			break
		}
		if !c.offer(t, e, version) {
			c.stay(t, e.Sequence-1)
			return
		}
	}
	t.read = to
	c.pending.slow(c.now)
}

// Saturated tells whether nobody waits for the shared reader: every configured
// trigger but one is behind, and not all of them are paused. What it reads
// meanwhile is read once more when they get there. The exception is a trigger
// that is almost never offered anything, and is never behind for it.
func (c *Core) Saturated(except uint32) bool {
	if len(c.behind) == 0 || len(c.behind)+1 < len(c.order) {
		return false
	}
	working := false
	for _, t := range c.order {
		switch {
		case !t.configured || t.id == except:
		case !t.gate.Behind || t.live:
			return false
		case !t.gate.Paused:
			working = true
		}
	}
	return working
}

func (e *Entry) matches(id uint32) bool {
	_, found := slices.BinarySearch(e.Triggers, id)
	return found
}
