package cron

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"
)

// Grace is how long after its time a tick is still published when it is noticed
// late: after a restart, a sleep of the machine, or a jump of the clock.
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

// A progress is how far a schedule has got: pure, and told the time.
type progress struct {
	schedule *Schedule
	// seen is up to when ticks have been noticed or skipped.
	seen time.Time
	// pending are the ticks that were noticed and are not published yet, rising.
	pending []time.Time
}

// next returns the first tick that has not been noticed.
func (p *progress) next() (time.Time, bool) { return p.schedule.Next(p.seen) }

// notice takes the ticks up to now: those that are younger than Grace become
// pending, older ones are skipped. Of the ticks that were pending before, those
// older than Grace give way to newer ones. It returns the first tick that is
// lost by this, or the zero time.
func (p *progress) notice(now time.Time) (lost time.Time) {
	now = now.Round(0)
	oldest := now.Add(-Grace)
	if first, ok := p.next(); ok && first.Before(oldest) {
		lost = first
		p.seen = later(p.seen, oldest.Add(-1))
	}
	for {
		tick, ok := p.next()
		if !ok || tick.After(now) {
			break
		}
		p.pending = append(p.pending, tick)
		p.seen = tick
	}
	for len(p.pending) > 1 && p.pending[0].Before(oldest) {
		lost = p.pending[0]
		p.pending = p.pending[1:]
	}
	return lost
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
