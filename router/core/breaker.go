package core

// breakerSlots is how many parts the window of a breaker has.
const breakerSlots = 10

// A breaker counts how attempts end, and stops them while too many fail.
type breaker struct {
	counts [breakerSlots]struct{ ended, failed int }
	slot   int64     // the part of time that was counted last
	until  int64     // while it is open: when a probe may start; 0: it is closed
	probe  *delivery // the one attempt that finds out
}

// waits returns until when no attempt starts: 0 means that one may, and
// something after all times that only the end of the probe helps.
func (b *breaker) waits(now int64) int64 {
	switch {
	case b.until == 0:
		return 0
	case b.probe != nil:
		return never
	case b.until > now:
		return b.until
	}
	return 0
}

// never is later than any time.
const never = int64(^uint64(0) >> 1)

// starts says that an attempt begins: while the breaker is open, it is the
// probe.
func (b *breaker) starts(d *delivery) {
	if b.until != 0 {
		b.probe = d
	}
}

// ends takes the end of an attempt, and returns whether it is a failed probe,
// which counts as no attempt of its delivery. What was under way when the
// breaker opened says nothing.
func (b *breaker) ends(d *delivery, class Class, now int64, f Breaker) (failedProbe bool) {
	if f.Failures == 0 {
		return false
	}
	if b.until != 0 {
		return b.probed(d, class, now, f)
	}
	if class != Busy && class != Gone {
		b.count(class == Failed, now, f)
	}
	return false
}

func (b *breaker) probed(d *delivery, class Class, now int64, f Breaker) bool {
	if b.probe != d {
		return false
	}
	b.probe = nil
	switch class {
	case Failed, Busy, Gone:
		b.until = now + int64(f.Open)
		return true
	case Succeeded, Refused, Dropped:
	}
	*b = breaker{}
	return false
}

// count adds one end, and opens the breaker when too many have failed.
func (b *breaker) count(failed bool, now int64, f Breaker) {
	b.turn(now / max(1, int64(f.Window)/breakerSlots))
	part := &b.counts[b.slot%breakerSlots]
	part.ended++
	if failed {
		part.failed++
	}
	ended, bad := 0, 0
	for _, p := range b.counts {
		ended, bad = ended+p.ended, bad+p.failed
	}
	if failed && ended >= f.Least && float64(bad) >= f.Failures*float64(ended) {
		*b = breaker{until: now + int64(f.Open)}
	}
}

// turn forgets the parts of the window that are over.
func (b *breaker) turn(slot int64) {
	for n := 0; b.slot < slot && n < breakerSlots; n++ {
		b.slot++
		b.counts[b.slot%breakerSlots] = struct{ ended, failed int }{}
	}
	b.slot = max(b.slot, slot)
}
