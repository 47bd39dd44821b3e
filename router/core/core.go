// Package core is the router's core as a pure state machine: what has
// happened goes in, what is to be done comes out. It runs on one goroutine and
// has no I/O, no clock, no randomness and no map order of its own, so that a
// simulation can take it through any order of events, failures and crashes.
package core

import (
	"slices"
	"time"

	"sluice/router/ledger"
)

// A Core is the router's core. Its methods must not be called at once.
type Core struct {
	options  Options
	state    *ledger.State // what is durable
	now      int64         // Unix nanoseconds, never falling
	triggers map[uint32]*trigger
	order    []*trigger // by number
	behind   []*trigger // in the order in which they fell behind
	unbegun  []*trigger // that wait for the first stretch matched with their version
	live     map[ledger.Key]*delivery
	timers   timers
	alarms   alarms
	early    []*trigger       // with deliveries that wait for what comes before them
	nameless queue[*delivery] // whose keys are to be asked for
	naming   []*delivery      // whose keys are asked for

	tail        uint64 // the last sequence that the shared reader has offered
	tailVersion uint64 // of the index that it was matched with
	version     uint64 // of the newest configuration
	recovered   uint64 // up to here a delivery may already be known when it is offered
	crashLast   uint64 // up to here a delivery may have been under way at the crash
	mark        uint64 // of the newest built record
	ring        ring

	pending  pending
	flight   *flight
	written  int   // bytes since the last snapshot
	lastTime int64 // when the last append began

	names    map[string]*trigger
	unknown  int    // triggers that are not durable
	low      uint64 // of what is durable
	running  int
	held     int       // bytes of bodies, of all triggers
	delayed  int       // deliveries of all triggers that wait
	alone    *delivery // the suspect that runs by itself
	dirty    []*trigger
	idle     []*trigger // room for the next dirty ones
	active   []*trigger // with a flow
	sweeping bool
	sweeps   uint64   // how many there were
	fetching []uint64 // what the Fetch under way asks for
	removal  int64    // when the next removed trigger's time is over; 0: none
	leaving  int      // triggers whose last deliveries are being discarded
	wanted   map[uint64][]*delivery
	phase    lifePhase
	outputs  []Output
}

type lifePhase uint8

const (
	opening lifePhase = iota // until the first snapshot is durable
	serving
	draining // no attempt starts; stops when none is under way
	stopping // stops with the next record
	ended
)

// Open returns a core that goes on from a state. The state must carry a new
// claim whose first record the core will write; last is the last sequence of
// the log. If the state does not end with an orderly stop, what may have been
// under way is suspected (invariant I7), over orderly stops until it has ended:
// it may be held back for long.
func Open(state *ledger.State, last uint64, options Options) *Core {
	c := &Core{
		options: options.withDefaults(), state: state, now: state.Time,
		triggers: map[uint32]*trigger{}, live: map[ledger.Key]*delivery{},
		names: map[string]*trigger{},
		tail:  state.Mark, mark: state.Mark, wanted: map[uint64][]*delivery{},
	}
	c.ring.reset(c.tail + 1)
	crashed := !state.Stopped && len(state.Triggers) > 0
	switch {
	case crashed:
		state.Doubt = last
	case state.Doubt < state.Low():
		state.Doubt = 0
	}
	c.crashLast = state.Doubt
	suspect(state, crashed)
	state.Stopped = false
	state.Recount()
	for _, id := range sortedIDs(state.Triggers) {
		t := c.adopt(state.Triggers[id])
		if c.crashLast > 0 {
			t.quota = -1 // until its concurrency is known
		}
	}
	for _, key := range sortedWaiting(state) {
		c.recover(key, state.Waiting[key])
	}
	c.pending.snapshot, c.low = true, state.Low()
	return c
}

// suspect counts one more crash for everything that was under way.
func suspect(state *ledger.State, crashed bool) {
	for key, s := range state.Suspects {
		if s.Running && crashed {
			s.Crashes++
		}
		s.Running = false
		state.Suspects[key] = s
	}
}

// adopt takes over a trigger that the ledger knows.
func (c *Core) adopt(known *ledger.Trigger) *trigger {
	t := &trigger{id: known.Trigger, gate: known.Gate, pause: known.Pause, durable: true, recorded: known.Cursor}
	t.read, t.flowSince = known.Cursor, c.now
	if settled := known.Known.All(); len(settled) > 0 {
		c.recovered = max(c.recovered, settled[len(settled)-1])
	}
	c.add(t)
	if t.gate.Behind {
		c.behind = append(c.behind, t)
	}
	return t
}

func (c *Core) add(t *trigger) {
	c.triggers[t.id], c.names[t.gate.Name] = t, t
	c.order = append(c.order, t)
}

// recover arms a delivery that waits.
func (c *Core) recover(key ledger.Key, w *ledger.Waiting) {
	t := c.triggers[key.Trigger]
	d := &delivery{key: key, t: t, attempts: w.Attempts, due: w.Due, clear: true, counted: true}
	if first := w.First(); first != 0 {
		d.first, d.quiet = first+c.state.Idle(first), true
	}
	c.live[key] = d
	c.recovered = max(c.recovered, key.Sequence)
	c.delay(d)
	if w.Dying {
		d.phase = dying
		c.pending.letters = append(c.pending.letters, d)
		return
	}
	d.phase = waiting
	c.timers.push(d)
}

// Step takes what has happened since the last step, in order, and returns what
// is to be done, and when the next step is due at the latest; the zero time
// means: not before something happens. The outputs are valid until the next step.
func (c *Core) Step(now time.Time, inputs []Input) ([]Output, time.Time) {
	c.now = max(c.now, now.UnixNano())
	clear(c.outputs)
	c.outputs = c.outputs[:0]
	for _, in := range inputs {
		c.take(in)
	}
	c.arrive()
	c.ripen()
	c.work()
	c.write()
	return c.outputs, c.wake()
}

func (c *Core) take(in Input) {
	switch in := in.(type) {
	case Matched:
		c.matched(in)
	case Swept:
		c.sweptTo(in)
	case Fetched:
		c.fetched(in)
	case Identified:
		c.identified(in)
	case Finished:
		c.finished(in)
	case Appended:
		c.appended(in)
	case LetterStored:
		c.buried(in.Key)
	case Configure:
		c.configure(in)
	case Pause:
		c.pause(in.Name, true, in.Token)
	case Resume:
		c.pause(in.Name, false, in.Token)
	case Drain:
		c.phase = max(c.phase, draining)
	case Stop:
		c.phase = max(c.phase, stopping)
	}
}

// work does for each touched trigger what has become possible.
func (c *Core) work() {
	if c.phase == opening {
		return
	}
	for len(c.dirty) > 0 {
		todo := c.dirty
		c.dirty, c.idle = c.idle[:0], todo
		for _, t := range todo {
			t.dirty = false
			c.attempt(t)
			c.load(t)
			c.reopen(t)
			c.attempt(t)
		}
	}
	c.sweep()
	c.fetch()
	c.identify()
}

// touch has a trigger looked at by work.
func (c *Core) touch(t *trigger) {
	if !t.dirty {
		t.dirty = true
		c.dirty = append(c.dirty, t)
	}
}

func (c *Core) touchAll() {
	for _, t := range c.order {
		c.touch(t)
	}
}

func (c *Core) emit(out Output) { c.outputs = append(c.outputs, out) }

// State returns what is durable. It must not be changed, nor kept over a Step.
func (c *Core) State() *ledger.State { return c.state }

// Low returns the lowest sequence of the log that is needed: by what is durable,
// or by a trigger that starts in the past and is not written down yet.
func (c *Core) Low() uint64 {
	low := c.low
	if c.unknown == 0 {
		return low
	}
	for _, t := range c.behind {
		if !t.durable {
			low = min(low, t.gate.Cursor+1)
		}
	}
	return low
}

// Running returns how many attempts are under way.
func (c *Core) Running() int { return c.running }

func sortedIDs(triggers map[uint32]*ledger.Trigger) []uint32 {
	ids := make([]uint32, 0, len(triggers))
	for id := range triggers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func sortedWaiting(state *ledger.State) []ledger.Key {
	keys := make([]ledger.Key, 0, len(state.Waiting))
	for key := range state.Waiting {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

func compareKeys(a, b ledger.Key) int {
	switch {
	case a.Less(b):
		return -1
	case b.Less(a):
		return 1
	}
	return 0
}

// A Standing is how one trigger stands at the moment.
type Standing struct {
	ID         uint32
	Gate       ledger.Gate
	Pause      ledger.Pause
	Configured bool
	// Passed is c(t), and Read the last sequence that it was offered.
	Passed, Read uint64
	Totals       ledger.Totals
	// Matched counts what has ended or waits, plus Unbalanced: by how much what
	// was matched and that differ, which is 0 unless there is a defect.
	Matched    uint64
	Unbalanced int64
	// Waiting deliveries are in the ledger, Running ones have started, Listed ones
	// are both. Buffered ones are in memory alone: not attempted yet, or their
	// retry or letter is not written down yet.
	Waiting, Running, Listed, Buffered int
	// Oldest is the lowest unsettled sequence in memory or in the ledger, or 0.
	Oldest uint64
	// Holds say what keeps its deliveries from starting.
	Holds []Hold
}

// A tally counts the deliveries of one trigger that are in memory: those under
// way that are in the ledger, those that are not in it, and those that wait for
// the time of their next attempt, the first of which is due.
type tally struct {
	listed, fresh, retrying int
	due                     int64
	oldest                  uint64
}

// tally counts the deliveries of each trigger.
func (c *Core) tally() map[*trigger]*tally {
	all := make(map[*trigger]*tally, len(c.order))
	for _, t := range c.order {
		all[t] = &tally{}
	}
	for key, d := range c.live {
		of := all[d.t]
		if of == nil { // its trigger has left
			continue
		}
		switch recorded := c.state.Waiting[key] != nil; {
		case recorded && d.underWay():
			of.listed++
		case !recorded && !d.underWay() && d.phase != settled:
			of.fresh++
		}
		if d.phase != settled && (of.oldest == 0 || key.Sequence < of.oldest) {
			of.oldest = key.Sequence
		}
		if d.phase == waiting {
			if of.retrying++; of.due == 0 || d.due < of.due {
				of.due = d.due
			}
		}
	}
	return all
}

// Standings returns how the triggers stand, by number.
func (c *Core) Standings() []Standing {
	all := make([]Standing, 0, len(c.order))
	tallies, off := c.tally(), c.state.Unbalanced()
	for _, t := range c.order {
		of := tallies[t]
		s := Standing{
			ID: t.id, Gate: t.gate, Pause: t.pause, Configured: t.configured, Read: c.tail,
			Running: t.running, Listed: of.listed, Buffered: of.fresh, Oldest: of.oldest,
			Holds: c.holds(t, of),
		}
		if t.gate.Behind && !t.live {
			s.Read = t.read
		}
		if known := c.state.Triggers[t.id]; known != nil {
			s.Passed, s.Totals, s.Waiting = c.state.Passed(known), known.Totals, known.Waiting
			s.Unbalanced = off[t.id]
			s.Matched = uint64(int64(known.Done+known.Dead+known.Discarded) + int64(known.Waiting) + s.Unbalanced)
		}
		all = append(all, s)
	}
	return all
}

// Claim returns the number of the claim, which never changes.
func (c *Core) Claim() uint64 { return c.state.Claim }
