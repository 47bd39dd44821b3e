package core

import "time"

// A limits is what a trigger's flow keeps of its keys.
type limits struct {
	lanes  map[string]*lane  // by order key
	slots  map[string]*slots // by concurrency key
	meters map[string]*meter // by rate key
	quiets map[string]*quiet // by debounce key
}

// sleep has nothing be woken any more.
func (l *limits) sleep() {
	for _, m := range l.meters {
		m.alarm = 0
	}
	for _, q := range l.quiets {
		q.alarm = 0
	}
}

// A pen holds deliveries that a limit of one key keeps back, the oldest first.
// One at a time is let out, and the next one when it is known what became of
// that.
type pen struct {
	t      *trigger
	owner  penOwner
	parked queue[*delivery]
	out    *delivery
}

// A penOwner is the limit that a pen belongs to.
type penOwner interface {
	// open tells whether one more may start.
	open(c *Core) bool
	// rest has the limit be forgotten, now or in time, as far as nothing is under
	// way by it. It is told when nobody waits for it.
	rest(c *Core)
}

// release lets the next one out, if the limit is open and none is out already.
func (p *pen) release(c *Core) {
	if p.out != nil || p.empty() || !p.owner.open(c) {
		return
	}
	d := p.parked.pop()
	p.out, d.pen, d.penned = d, p, nil
	c.unpark(d)
	c.queue(d)
	c.touch(p.t)
}

// empty tells whether nothing is parked, and drops what was settled meanwhile.
func (p *pen) empty() bool {
	for p.parked.len() > 0 && p.parked.first().phase == settled {
		p.parked.pop()
	}
	return p.parked.len() == 0
}

// turn tells whether it is d's turn: nobody waits, or d was let out.
func (p *pen) turn(d *delivery) bool { return p.out == d || p.out == nil && p.empty() }

// handBack says that what a pen has let out is settled or waits elsewhere: the
// next one may try.
func (c *Core) handBack(d *delivery) {
	if p := d.pen; p != nil {
		p.out, d.pen = nil, nil
		p.settle(c)
	}
}

// settle lets the next one out, or the limit rest when there is none.
func (p *pen) settle(c *Core) {
	p.release(c)
	if p.out == nil && p.empty() {
		p.owner.rest(c)
	}
}

// slots are how many deliveries of one key are under way.
type slots struct {
	pen
	key  string
	used int
}

func (s *slots) open(*Core) bool { return s.used < s.t.config.Flow.PerKey }

// take gives a slot to d, which keeps it while it waits for its rate, so that
// none waits for two turns at once.
func (s *slots) take(c *Core, d *delivery) {
	s.used++
	d.slots = s
	if d.pen != nil {
		c.handBack(d)
		return
	}
	s.release(c)
}

// vacate ends the use of a slot.
func (s *slots) vacate(c *Core) {
	s.used--
	s.settle(c)
}

func (s *slots) rest(*Core) {
	if s.used == 0 {
		delete(s.t.slots, s.key)
	}
}

// A meter is the rate of one key, or of a whole trigger. Its next attempt is
// due at a theoretical time, from which a burst may be ahead (the generic cell
// rate algorithm, ITU-T I.371).
type meter struct {
	pen
	key   string
	tat   int64 // when the next attempt would be due, if all were even
	alarm int64
}

// rateGrain is the time within which a rate need not be even: without it, each
// attempt that a timer is late for would be lost to a high rate.
const rateGrain = int64(10 * time.Millisecond)

// interval is the time from one attempt to the next, and ahead how much before
// its time an attempt may start.
func (r Rate) interval() int64 { return max(1, int64(r.Per)/int64(max(1, r.Limit))) }

func (r Rate) ahead() int64 {
	return max(r.interval()*int64(max(1, r.Burst)-1), rateGrain-r.interval())
}

// at returns when the next attempt may start.
func (m *meter) at(r Rate) int64 { return m.tat - r.ahead() }

func (m *meter) bed() *int64 { return &m.alarm }

// open tells whether an attempt may start now; if not, the meter is woken when
// one may.
func (m *meter) open(c *Core) bool {
	at := m.at(m.t.config.Flow.Rate)
	if at > c.now {
		c.alarms.set(m, at)
	}
	return at <= c.now
}

// woken lets the next one out.
func (m *meter) woken(c *Core) {
	c.touch(m.t)
	m.settle(c)
}

// rest forgets the meter of a key when its burst is whole again. That of a whole
// trigger stays.
func (m *meter) rest(c *Core) {
	switch {
	case m.alarm != 0 || !m.t.config.Flow.Rate.Keyed:
	case m.tat > c.now:
		c.alarms.set(m, m.tat)
	default:
		delete(m.t.meters, m.key)
	}
}

// take counts an attempt of d, which starts. Only then does the next one have
// its turn: it would be let out too early, and lose its place.
func (m *meter) take(c *Core, d *delivery) {
	m.tat = max(m.tat, c.now) + m.t.config.Flow.Rate.interval()
	if d.pen != nil {
		c.handBack(d)
		return
	}
	m.settle(c)
}

// slotsOf returns the slots of a delivery's key, or nil when there is no such
// limit.
func (c *Core) slotsOf(d *delivery) *slots {
	t := d.t
	if t.config.Flow.PerKey == 0 || d.keys == nil {
		return nil
	}
	key := d.keys.Concurrency
	s := t.slots[key]
	if s == nil {
		s = &slots{pen: pen{t: t}, key: key}
		s.owner = s
		put(&t.slots, key, s)
	}
	return s
}

// rateKey returns what the rate of a delivery with these keys goes by, and
// whether there is one.
func (t *trigger) rateKey(keys *Keys) (key string, limited bool) {
	switch rate := &t.config.Flow.Rate; {
	case rate.Limit == 0 || rate.Keyed && keys == nil:
		return "", false
	case rate.Keyed:
		return keys.Rate, true
	}
	return "", true
}

// meterOf returns the rate that a delivery goes by, or nil when none keeps it
// back: a meter is made by the first attempt.
func (t *trigger) meterOf(keys *Keys) *meter {
	if key, limited := t.rateKey(keys); limited {
		return t.meters[key]
	}
	return nil
}

func put[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}

// admit tells whether an attempt of d may start now, as far as its keys go. One
// that may not is parked where it is let out again.
func (c *Core) admit(d *delivery) bool {
	t := d.t
	if d.heldBack() {
		c.vacate(d) // which who is before it may need
		c.park(d, nil)
		return false
	}
	if s := c.slotsOf(d); s != nil && d.slots == nil {
		if !s.open(c) || !s.turn(d) {
			c.park(d, &s.pen)
			return false
		}
		s.take(c, d)
	}
	if !t.config.Flow.Rate.Keyed {
		return true
	}
	m := t.meterOf(d.keys)
	if m == nil || m.turn(d) && m.open(c) {
		return true
	}
	c.park(d, &m.pen)
	return false
}

// withinRate tells whether the rate of a whole trigger lets an attempt start; if
// not, the trigger is looked at when it does.
func (c *Core) withinRate(t *trigger) bool {
	if t.config.Flow.Rate.Keyed {
		return true
	}
	m := t.meterOf(nil)
	return m == nil || m.open(c)
}

// spend takes what the start of an attempt costs. What a new meter has allowed
// before, by an earlier run or configuration, is not known: it begins without a
// burst.
func (c *Core) spend(d *delivery) {
	t := d.t
	key, limited := t.rateKey(d.keys)
	if !limited {
		return
	}
	m := t.meters[key]
	if m == nil {
		m = &meter{pen: pen{t: t}, key: key, tat: t.flowSince + t.config.Flow.Rate.ahead()}
		m.owner = m
		put(&t.meters, key, m)
	}
	m.take(c, d)
}

// vacate gives back the slot of d.
func (c *Core) vacate(d *delivery) {
	if s := d.slots; s != nil {
		d.slots = nil
		s.vacate(c)
	}
}

// park keeps d until its pen lets it out, or its lane has come to it. Another
// pen that had let it out goes on with the next one.
func (c *Core) park(d *delivery, p *pen) {
	t := d.t
	if t.over == d {
		c.release(d)
		c.touch(t) // others may be loaded now
	}
	d.phase = parked
	if d.holds {
		t.parked++
		t.parking.push(d)
		c.tidy(t)
	}
	if d.penned = p; p != nil {
		p.parked.push(d)
	}
	c.handBack(d)
}

func (c *Core) unpark(d *delivery) {
	if d.phase == parked && d.holds {
		d.t.parked--
	}
}

// tidy drops from the list of those parked with bodies what is so no more.
func (c *Core) tidy(t *trigger) {
	if t.parking.len() <= 2*t.parked+64 {
		return
	}
	var kept queue[*delivery]
	for _, d := range t.parking.all() {
		if d.phase == parked && d.holds {
			kept.push(d)
		}
	}
	t.parking = kept
}

// stowAfter is how long what is parked keeps its body, unless its key fails.
const stowAfter = int64(250 * time.Millisecond)

// stow lets the bodies go of what is parked for long, behind a failure, or until
// no more comes, so that a key which holds much back leaves the buffer to others.
// What is stowed counts among those that wait. A key that is only busy keeps its
// own: they are needed soon.
func (c *Core) stow(t *trigger) {
	var kept queue[*delivery]
	for t.parking.len() > 0 {
		d := t.parking.pop()
		switch {
		case d.phase != parked || !d.holds:
		case c.stowed(d):
			c.release(d)
			c.delay(d)
		default:
			kept.push(d)
		}
	}
	t.parking = kept
}

// stowed tells whether a parked delivery may do without its body.
func (c *Core) stowed(d *delivery) bool {
	debounced := d.lane == nil && d.penned == nil && !d.nameless
	return debounced || d.since+stowAfter <= c.now || d.lane != nil && d.lane.first().attempts > 0
}

// ease makes room in the buffer of a trigger that is behind: now, or when what
// is parked has been so for long.
func (c *Core) ease(t *trigger) {
	c.stow(t)
	if t.parking.len() > 0 && t.crowd() > t.config.Buffer/2 {
		c.look(t, t.parking.first().since+stowAfter)
	}
}

// look has t looked at again at a time, at the latest.
func (c *Core) look(t *trigger, at int64) {
	if t.alarm == 0 || at < t.alarm {
		c.alarms.set(t, at)
	}
}

// queue puts d among those whose attempts start when there is room.
func (c *Core) queue(d *delivery) {
	if !d.holds {
		d.phase = ready
		d.t.ready.push(d)
		return
	}
	d.phase = loaded
	d.t.loaded.push(d)
}

// enter takes a delivery that is new or due to where it waits for its start.
func (c *Core) enter(d *delivery) {
	switch {
	case d.nameless || d.early:
		c.park(d, nil)
	case d.t.config.Flow.Debounce.Window > 0 && d.attempts == 0 && !d.quiet:
		c.debounce(d)
	case d.heldBack():
		c.park(d, nil)
	case d.phase == buffered && d.holds:
		d.t.buffered.push(d)
	default:
		c.queue(d)
	}
}
