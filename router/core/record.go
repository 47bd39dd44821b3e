package core

import (
	"slices"
	"time"

	"sluice/router/ledger"
)

const (
	// recordOutcomes and recordBytes bound the outcomes of one record.
	recordOutcomes = 4096
	recordBytes    = 400 << 10
	// recordGates and recordKeys bound what else may be long. More gates become
	// records before it, appended together as one batch.
	recordGates = 1000
	recordKeys  = 10_000
	// slowEvery is how long mere progress waits to be written.
	slowEvery = int64(time.Second)
)

// pending is what the next record will hold.
type pending struct {
	outcomes []pendingOutcome
	room     []pendingOutcome // for the next ones, empty
	started  []*delivery
	letters  []*delivery // whose letters can be written once the flight lands
	gates    []*trigger  // whose standing has changed
	tokens   []any
	snapshot bool
	since    int64 // the oldest outcome; 0: none
	soon     int64 // since when something important waits; 0: nothing
	later    int64 // since when something slow waits; 0: nothing
	aging    int64 // when a delivery has held back the mark for too long; 0: none does
	blocked  bool  // attempts wait for the next record
}

type pendingOutcome struct {
	ledger.Outcome
	delivery *delivery
}

// A flight is an append that is under way.
type flight struct {
	number   uint64
	record   *ledger.Record // nil for a snapshot
	before   []*ledger.Record
	outcomes []pendingOutcome
	started  []*delivery
	letters  []*delivery
	gates    []*trigger
	tokens   []any
	since    int64
}

// records returns what is appended together, in order.
func (f *flight) records() []*ledger.Record { return append(f.before, f.record) }

func (p *pending) outcome(d *delivery, o ledger.Outcome, now int64) {
	if p.since == 0 {
		p.since = now
	}
	p.outcomes = append(p.outcomes, pendingOutcome{Outcome: o, delivery: d})
	p.important(now)
}

func (p *pending) important(now int64) {
	if p.soon == 0 {
		p.soon = now
	}
}

func (p *pending) slow(now int64) {
	if p.later == 0 {
		p.later = now
	}
}

// due returns when the next record is to be written, or 0 for never.
func (c *Core) due() int64 {
	p, at := &c.pending, int64(0)
	if len(p.started) > 0 {
		return c.now // attempts wait for it
	}
	earliest := func(t int64) {
		if at == 0 || t < at {
			at = t
		}
	}
	if p.soon != 0 {
		earliest(p.soon)
	}
	if p.later != 0 {
		earliest(p.later + slowEvery)
	}
	if p.aging != 0 {
		earliest(p.aging)
	}
	if at == 0 {
		return 0
	}
	return max(at, c.lastTime+int64(c.options.RecordEvery))
}

// wake returns when the next Step is due at the latest.
func (c *Core) wake() time.Time {
	at := c.timers.next()
	if alarm := c.alarms.next(); alarm != 0 && (at == 0 || alarm < at) {
		at = alarm
	}
	if c.flight == nil && c.phase != ended {
		if due := c.due(); due != 0 && (at == 0 || due < at) {
			at = due
		}
	}
	if c.removal != 0 && c.phase == serving && (at == 0 || c.removal < at) {
		at = c.removal
	}
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(0, at)
}

// write appends a record, or a snapshot, when one is due and none is under way.
func (c *Core) write() {
	if c.flight != nil || c.phase == ended {
		return
	}
	if c.pending.snapshot {
		c.snapshot()
		return
	}
	final := c.phase == stopping || c.phase == draining && c.running == 0
	if due := c.due(); !final && (due == 0 || due > c.now) {
		return
	}
	c.flight = c.build(final)
	c.lastTime = c.now
	c.emit(Append{Number: c.flight.number, Records: c.flight.records()})
}

// snapshot appends what is durable, whole.
func (c *Core) snapshot() {
	number := c.state.Number + 1
	c.flight = &flight{number: number, letters: c.pending.letters}
	c.pending.snapshot, c.pending.letters = false, nil
	c.lastTime = c.now
	c.emit(Append{Number: number, Records: c.state.Chunks(c.state.Claim, number, c.now), Snapshot: true})
}

// build makes the next record: a view of everything as it stands now.
func (c *Core) build(final bool) *flight {
	p := &c.pending
	r := &ledger.Record{
		Format: ledger.Format, Claim: c.state.Claim, Number: c.state.Number + 1, Time: c.now,
		Snapshot: c.state.Snapshot, Low: c.low,
	}
	n := min(len(p.started), recordKeys)
	f := &flight{record: r, since: p.since, started: p.started[:n:n], tokens: p.tokens}
	p.started, p.tokens = p.started[n:], nil
	p.soon, p.later, p.since, p.aging = 0, 0, 0, 0
	c.writeOutcomes(f)
	for _, d := range f.started {
		r.Started = append(r.Started, d.key)
	}
	c.clear(r)
	r.Mark = c.nextMark()
	c.rejoin(r)
	c.pass(r)
	f.gates, p.gates = p.gates, nil
	c.writeGates(f)
	c.split(f)
	f.number, c.mark = r.Number, r.Mark
	if len(p.outcomes) == 0 {
		p.soon = 0
	}
	r.Stopped = final && len(p.outcomes) == 0
	return f
}

// split moves gates that are too many for one record into records before it.
func (c *Core) split(f *flight) {
	r := f.record
	for len(r.Gates) > recordGates {
		f.before = append(f.before, &ledger.Record{
			Format: r.Format, Claim: r.Claim, Number: r.Number, Time: r.Time, Snapshot: r.Snapshot, Low: r.Low,
			Mark: c.mark, Gates: r.Gates[:recordGates:recordGates], Pauses: c.pauses(r.Gates[:recordGates]),
		})
		r.Gates = r.Gates[recordGates:]
		r.Number++
	}
	r.Pauses = c.pauses(r.Gates)
}

// pauses returns why those are paused that are, as far as it is known: what
// earlier versions have written does not say.
func (c *Core) pauses(gates []ledger.Gate) (all []ledger.Pause) {
	for i := range gates {
		t := c.triggers[gates[i].Trigger] // nil for one that is dropped with this record
		if gates[i].Paused && t != nil && t.pause.Since != 0 {
			all = append(all, t.pause)
		}
	}
	return all
}

// writeOutcomes moves outcomes into the record, as many as it may hold.
func (c *Core) writeOutcomes(f *flight) {
	p, size, n := &c.pending, 0, 0
	f.record.Outcomes = make([]ledger.Outcome, 0, min(len(p.outcomes), recordOutcomes))
	for n < len(p.outcomes) && n < recordOutcomes && size < recordBytes {
		o := &p.outcomes[n]
		size += 32
		if o.Detail != nil {
			size += len(o.Detail.Error) + len(o.Detail.Reason)
		}
		o.delivery.clear = true
		f.record.Outcomes = append(f.record.Outcomes, o.Outcome)
		if o.Kind == ledger.Dying {
			f.letters = append(f.letters, o.delivery)
		}
		n++
	}
	f.outcomes = p.outcomes[:n]
	p.outcomes, p.room = append(p.room, p.outcomes[n:]...), nil
	if len(p.outcomes) > 0 {
		p.since = c.now
		p.important(c.now)
	}
}

// clear finds how far each trigger is clear: every delivery up to there is
// settled or waits in the ledger. What has held it back for too long is listed
// as waiting.
func (c *Core) clear(r *ledger.Record) {
	for _, t := range c.active {
		flow := t.flow.all()
		for t.cleared < len(flow) {
			d := flow[t.cleared]
			if !d.clear {
				if d.since+int64(c.options.ListAfter) > c.now || len(r.Waiting) >= recordKeys {
					c.ages(d)
					break
				}
				c.list(r, d)
			}
			t.cleared++
		}
	}
}

func (c *Core) list(r *ledger.Record, d *delivery) {
	r.Waiting = append(r.Waiting, d.key)
	d.clear = true
}

// ages has a record written when d will have held back the mark for too long.
func (c *Core) ages(d *delivery) {
	if at := d.since + int64(c.options.ListAfter); c.pending.aging == 0 || at < c.pending.aging {
		c.pending.aging = at
	}
}

// frontier is the last sequence up to which t is clear.
func (c *Core) frontier(t *trigger) uint64 {
	if flow := t.flow.all(); t.cleared < len(flow) {
		return flow[t.cleared].key.Sequence - 1
	}
	return c.offered(t)
}

func (c *Core) nextMark() uint64 {
	mark := c.tail
	for _, t := range c.active {
		if !t.gate.Behind {
			mark = min(mark, c.frontier(t))
		}
	}
	return max(mark, c.mark)
}

// rejoin ends the being behind of triggers that have caught up, once the mark
// has reached their cursors: what it has passed and is not settled is listed.
func (c *Core) rejoin(r *ledger.Record) {
	c.behind = slices.DeleteFunc(c.behind, func(t *trigger) bool {
		if !t.live {
			return false
		}
		if r.Mark < t.recorded || len(r.Waiting) >= recordKeys {
			c.pending.slow(c.now)
			return false
		}
		t.gate.Behind, t.gate.Cursor, t.live = false, 0, false
		c.changed(t)
		for _, d := range t.flow.all() {
			if d.key.Sequence > r.Mark {
				break
			}
			if !d.clear {
				c.list(r, d)
			}
		}
		return true
	})
}

// pass moves c(t) of every trigger and counts what it has passed.
func (c *Core) pass(r *ledger.Record) {
	for _, t := range c.behind {
		c.writeCursor(t, r)
	}
	c.active = slices.DeleteFunc(c.active, func(t *trigger) bool {
		if n := t.passTo(c.reach(t, r.Mark)); n > 0 {
			r.Matched = append(r.Matched, ledger.Count{Trigger: t.id, N: n})
		}
		t.active = t.flow.len() > 0
		return !t.active
	})
}

// reach is what c(t) becomes.
func (c *Core) reach(t *trigger, mark uint64) uint64 {
	switch {
	case !t.gate.Behind:
		return mark
	case t.live: // until it has joined
		return t.recorded
	default:
		return max(c.frontier(t), t.recorded)
	}
}

// passTo drops what c(t) has passed, and returns how many of it are not counted
// as matched yet.
func (t *trigger) passTo(passed uint64) (matched uint64) {
	for t.flow.len() > 0 && t.flow.first().key.Sequence <= passed {
		if d := t.flow.pop(); !d.counted {
			matched++
		}
		t.cleared = max(t.cleared-1, 0)
	}
	return matched
}

func (c *Core) writeCursor(t *trigger, r *ledger.Record) {
	if cursor := c.reach(t, r.Mark); cursor > t.recorded || t.changed {
		t.gate.Cursor, t.recorded = cursor, cursor
		if !t.changed {
			r.Cursors = append(r.Cursors, ledger.Cursor{Trigger: t.id, Sequence: cursor})
		}
	}
}

// writeGates writes the standing of every trigger whose standing has changed.
func (c *Core) writeGates(f *flight) {
	for _, t := range f.gates {
		t.changed = false
		f.record.Gates = append(f.record.Gates, t.gate)
	}
	c.drop(f)
}

// appended makes durable what is under way, and does what had to wait for it.
func (c *Core) appended(in Appended) {
	f := c.flight
	if f == nil || f.number != in.Number {
		return
	}
	c.flight = nil
	c.written += in.Bytes
	if f.record == nil {
		c.state.Number, c.state.Snapshot, c.written = f.number, in.Sequence, 0
		if c.phase == opening {
			c.phase = serving
		}
		c.touchAll()
	} else if err := c.apply(f); err != nil {
		c.phase = ended
		c.emit(Broken{Err: err})
		return
	}
	c.landed(f)
	if c.written >= c.options.SnapshotEvery {
		c.pending.snapshot = true
	}
	if c.pending.blocked {
		c.pending.blocked = false
		c.touchAll()
	}
	if f.record != nil && f.record.Stopped {
		c.phase = ended
		c.emit(Stopped{})
	}
}

func (c *Core) apply(f *flight) error {
	for _, r := range f.records() {
		if err := c.state.Apply(r); err != nil {
			return err
		}
	}
	c.low = c.state.Low()
	return nil
}

func (c *Core) landed(f *flight) {
	for i := range f.outcomes {
		if o := &f.outcomes[i]; o.Kind.Settles() {
			delete(c.live, o.Key)
		}
	}
	clear(f.outcomes)
	c.pending.room = f.outcomes[:0]
	for _, d := range f.letters {
		c.emit(WriteLetter{
			Key: d.key, Name: d.t.gate.Name, Reason: c.state.Waiting[d.key].Reason, History: c.state.Waiting[d.key].History,
		})
	}
	for _, t := range f.gates {
		if !t.durable {
			t.durable = true
			c.unknown--
		}
		c.touch(t)
	}
	for _, d := range f.started {
		if d.phase == starting && c.phase < stopping {
			c.emitStart(d)
		}
	}
	for _, token := range f.tokens {
		c.emit(Acknowledge{Token: token})
	}
}
