package cron

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"
)

// Grace is how long after its time a tick is published in any case when it is
// noticed late: after a restart, a sleep of the machine, or a jump of the clock.
// What becomes of older ones is said by CatchUp.
const Grace = time.Minute

// cursorVersion is the format of the cursor that this program writes and the
// newest one that it reads.
const cursorVersion = 1

// A cursor is what is stored of a source.
type cursor struct {
	Version int `json:"v"`
	// Fired is up to when the schedule has fired: a tick, or when the schedule
	// was first seen.
	Fired time.Time `json:"fired"`
	// Schedule is a hash of the expression and the zone. With another one, the
	// source begins anew.
	Schedule string `json:"schedule"`
	// Anchor is what the ticks of a rate are counted from.
	Anchor time.Time `json:"anchor,omitzero"`
	// Run tells the writers apart: it is another one on every start.
	Run string `json:"run"`
}

// readCursor decodes a stored cursor; nil data are the zero cursor.
func readCursor(data []byte) (cursor, error) {
	var c cursor
	if data == nil {
		return c, nil
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("the stored cursor cannot be read: %w", err)
	}
	switch {
	case c.Version > cursorVersion:
		return c, fmt.Errorf("the stored cursor has format %d, and this program knows up to %d: run a newer one", c.Version, cursorVersion)
	case c.Version < 1 || c.Fired.IsZero():
		return c, fmt.Errorf("the stored cursor %q is not one of a schedule", data)
	}
	return c, nil
}

func (c cursor) encode() ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode the cursor: %w", err)
	}
	return data, nil
}

// hash identifies the schedule in cursors.
func (s *Schedule) hash() string {
	h := fnv.New128a()
	h.Write([]byte(s.String()))
	return hex.EncodeToString(h.Sum(nil))
}

// maxPending is how many ticks are published at once at most; those that are
// due beyond follow when these are stored.
const maxPending = 500

// A CatchUp says what becomes of ticks that passed longer than Grace ago: while
// the program was down, the machine slept, or the clock was set forward.
type CatchUp string

// The ways to catch up.
const (
	CatchUpSkip CatchUp = "skip" // none is published
	CatchUpLast CatchUp = "last" // the newest, if nothing newer is due
	CatchUpAll  CatchUp = "all"  // all of them, in order
)

// A plan is what a source is to do. It does not change.
type plan struct {
	schedule *Schedule
	// start and end bound the ticks, both included; zero: no bound.
	start, end time.Time
	catchUp    CatchUp
	maxAge     time.Duration // of what is caught up with
	// jitter is how much later than its time a tick may fire, drawn for each
	// tick from name.
	jitter time.Duration
	name   string
}

// after returns the first tick after a moment.
func (p *plan) after(t time.Time) (time.Time, bool) {
	if t.Before(p.start) {
		t = p.start.Add(-1)
	}
	tick, ok := p.schedule.Next(t)
	return tick, ok && (p.end.IsZero() || !tick.After(p.end))
}

// due returns when a tick fires: the same on every start.
func (p *plan) due(tick time.Time) time.Time {
	if p.jitter == 0 {
		return tick
	}
	hash := sha256.Sum256(fmt.Appendf(nil, "%s %d", p.name, tick.Unix()))
	return tick.Add(time.Duration(binary.BigEndian.Uint64(hash[:]) % uint64(p.jitter)))
}

// horizon is how late a tick may be published.
func (p *plan) horizon() time.Duration {
	if p.catchUp == CatchUpAll {
		return max(p.maxAge, Grace)
	}
	return Grace
}

// A progress is how far a schedule has got: pure, and told the time.
type progress struct {
	plan
	// seen is up to when ticks have been noticed or skipped.
	seen time.Time
	// pending are the ticks that were noticed and are not published yet, rising.
	pending []time.Time
}

// next returns when the first tick fires that has not been noticed. None does
// before an earlier one.
func (p *progress) next() (due time.Time, ok bool) {
	tick, ok := p.after(p.seen)
	return p.due(tick), ok
}

// notice takes the ticks that are due, the oldest first, up to maxPending: what
// is not too old becomes pending, the rest is skipped. Of the ticks that were
// pending before, those that have become too old give way to newer ones. It
// returns the first tick that is lost by this, or the zero time.
func (p *progress) notice(now time.Time) (lost time.Time) {
	now = now.Round(0)
	lost = p.skip(now)
	for len(p.pending) < maxPending {
		tick, ok := p.after(p.seen)
		if !ok || p.due(tick).After(now) {
			break
		}
		p.pending = append(p.pending, tick)
		p.seen = tick
	}
	for oldest := now.Add(-p.horizon()); len(p.pending) > 1 && p.due(p.pending[0]).Before(oldest); {
		lost = p.pending[0]
		p.pending = p.pending[1:]
	}
	return lost
}

// skip passes over the ticks that are too old, and returns the first of them.
func (p *progress) skip(now time.Time) (first time.Time) {
	seen := p.tooOld(p.seen, now.Add(-p.horizon()))
	if !seen.After(p.seen) {
		return first
	}
	if p.catchUp == CatchUpLast {
		if tick, ok := p.newest(now); ok && !tick.After(seen) {
			seen = tick.Add(-1)
		}
	}
	if tick, ok := p.after(p.seen); ok && !tick.After(seen) {
		first = tick
	}
	p.seen = later(p.seen, seen)
	return first
}

// tooOld returns the last tick whose time to fire is before oldest, or where
// there is none, from.
func (p *progress) tooOld(from, oldest time.Time) time.Time {
	if tick, ok := p.after(from); !ok || !p.due(tick).Before(oldest) {
		return from
	}
	from = later(from, oldest.Add(-p.jitter-time.Second))
	for {
		tick, ok := p.after(from)
		if !ok || !p.due(tick).Before(oldest) {
			return from
		}
		from = tick
	}
}

// newest returns the last tick that is due, if it is young enough to be caught
// up with. It looks back ever further, so that it is found in few steps.
func (p *progress) newest(now time.Time) (last time.Time, found bool) {
	oldest := later(p.seen, now.Add(-p.maxAge-p.jitter))
	for back := Grace; ; back *= 2 {
		from := later(oldest, now.Add(-back-p.jitter))
		for tick, ok := p.after(from); ok && !p.due(tick).After(now); tick, ok = p.after(tick) {
			last, found = tick, !p.due(tick).Before(now.Add(-p.maxAge))
		}
		if found || !from.After(oldest) {
			return last, found
		}
	}
}

// fired drops the pending ticks up to the given time.
func (p *progress) fired(upTo time.Time) {
	for len(p.pending) > 0 && !p.pending[0].After(upTo) {
		p.pending = p.pending[1:]
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
