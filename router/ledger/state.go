package ledger

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// A State is what a chain of records adds up to. It is a pure fold: the same
// records give the same state.
type State struct {
	Incarnation string // of the event log that the sequences belong to
	Claim       uint64
	Number      uint64 // of the last record
	Time        int64  // of the last record, Unix nanoseconds
	Snapshot    uint64 // ledger sequence of the newest snapshot's first chunk
	Mark        uint64
	Stopped     bool // the last record ended an orderly stop
	Sealed      bool // the claim is closed
	NextTrigger uint32
	Gaps        []Gap // the oldest first
	// Doubt is the last sequence that may have been under way at a crash, of this
	// claim's start or an earlier one, and be attempted again; 0: none.
	Doubt uint64

	Triggers map[uint32]*Trigger
	Waiting  map[Key]*Waiting
	Suspects map[Key]Suspect

	need   needed
	behind map[uint32]*Trigger // whose cursors count for Low
	ahead  map[uint32]*Trigger // with anything known above c(t)
}

// A Trigger is what the ledger knows of one trigger.
type Trigger struct {
	Gate
	Totals
	// Pause is why the gate is paused, when it is, and that is known.
	Pause Pause
	// Settled are the settled deliveries above c(t), as far as this claim knows
	// of them. They are counted as matched when c(t) passes them.
	Settled Sequences
	// Known are those that an earlier claim has settled. They are counted.
	Known Sequences
	// Waiting is how many of its deliveries wait.
	Waiting int
}

// Totals count a trigger's deliveries over its whole life.
type Totals struct {
	_         struct{} `cbor:",toarray"`
	Matched   uint64   // passed by c(t)
	Done      uint64
	Dead      uint64
	Discarded uint64
}

// A Waiting is a delivery that is matched, unsettled and written down.
type Waiting struct {
	_        struct{} `cbor:",toarray"`
	Attempts int      // that have ended
	Due      int64    // Unix nanoseconds; 0: at once
	Dying    bool
	Reason   string // of dying
	Counted  bool   // as matched, although c(t) has not passed it yet
	History  []Attempt
}

// An Attempt is one ended try, as a letter shows it.
type Attempt struct {
	_        struct{} `cbor:",toarray"`
	Number   int
	Time     int64 // Unix nanoseconds of its end
	Duration int64 // nanoseconds
	Status   int
	Error    string
}

// A Suspect is a delivery that was under way when the router crashed.
type Suspect struct {
	_       struct{} `cbor:",toarray"`
	Crashes int
	Running bool // it was written down as about to be attempted
}

// NewState returns the state before any record.
func NewState(incarnation string) *State {
	return &State{
		Incarnation: incarnation,
		NextTrigger: 1,
		Triggers:    map[uint32]*Trigger{},
		Waiting:     map[Key]*Waiting{},
		Suspects:    map[Key]Suspect{},
		behind:      map[uint32]*Trigger{},
		ahead:       map[uint32]*Trigger{},
	}
}

// Passed returns c(t): the cursor of t if it is behind, else the mark.
func (s *State) Passed(t *Trigger) uint64 {
	if t.Behind {
		return t.Cursor
	}
	return s.Mark
}

// Settled tells whether the delivery has ended: it is done, dead or discarded.
func (s *State) Settled(key Key) bool {
	if s.Waiting[key] != nil {
		return false
	}
	t := s.Triggers[key.Trigger]
	if t == nil {
		return true
	}
	return key.Sequence <= s.Passed(t) || t.Settled.Has(key.Sequence) || t.Known.Has(key.Sequence)
}

// Recount begins a new claim: what is known above c(t) is counted as matched
// now, whether or not it will match again when it is read anew.
func (s *State) Recount() {
	for _, t := range s.Triggers {
		t.Matched += uint64(t.Settled.Len())
		for _, sequence := range t.Settled.All() {
			t.Known.Add(sequence)
		}
		t.Settled = Sequences{}
	}
	for key, w := range s.Waiting {
		if t := s.Triggers[key.Trigger]; key.Sequence > s.Passed(t) && !w.Counted {
			w.Counted = true
			t.Matched++
		}
	}
}

// Low returns the lowest sequence of the event log that is still needed.
func (s *State) Low() uint64 {
	low := s.Mark + 1
	for _, t := range s.behind {
		low = min(low, t.Cursor+1)
	}
	if waiting, found := s.need.min(); found && waiting < low {
		low = waiting
	}
	return low
}

// Unbalanced returns, by trigger, by how much conservation is off: what c(t) has
// passed and what is known above it, less what has ended and what waits. It is
// zero unless there is a defect (invariant I2).
func (s *State) Unbalanced() map[uint32]int64 {
	off := make(map[uint32]int64, len(s.Triggers))
	for id, t := range s.Triggers {
		off[id] = int64(t.Matched) + int64(t.Settled.Len()) - int64(t.Done+t.Dead+t.Discarded) - int64(t.Waiting)
	}
	for key, w := range s.Waiting {
		if t := s.Triggers[key.Trigger]; t != nil && !w.Counted && key.Sequence > s.Passed(t) {
			off[key.Trigger]++
		}
	}
	return off
}

// ErrOrder means that a record does not follow the ones before it.
var ErrOrder = errors.New("the record does not follow its predecessor")

// Apply adds the next record. After an error the state is of no further use.
func (s *State) Apply(r *Record) error {
	if r.Claim != s.Claim || r.Number != s.Number+1 || s.Sealed {
		return fmt.Errorf("%w: claim %d number %d after claim %d number %d", ErrOrder, r.Claim, r.Number, s.Claim, s.Number)
	}
	s.Number, s.Time, s.Sealed = r.Number, max(s.Time, r.Time), r.Sealed
	if r.Sealed {
		return nil // whether the stop was orderly is said by the record before
	}
	s.Stopped = r.Stopped
	for i := range r.Gates {
		s.gate(&r.Gates[i])
	}
	if err := s.pauses(r.Pauses); err != nil {
		return err
	}
	for i := range r.Outcomes {
		if err := s.outcome(&r.Outcomes[i]); err != nil {
			return err
		}
	}
	if err := s.list(r.Waiting); err != nil {
		return err
	}
	for _, key := range r.Started {
		suspect := s.Suspects[key]
		s.Suspects[key] = Suspect{Crashes: max(suspect.Crashes, 1), Running: true}
	}
	return s.advance(r)
}

// gate takes over the standing of a trigger. One without a name is dropped by
// advance, after the outcomes that end its deliveries.
func (s *State) gate(g *Gate) {
	if g.Name == "" {
		return
	}
	t := s.Triggers[g.Trigger]
	if t == nil {
		t = &Trigger{}
		s.Triggers[g.Trigger] = t
		s.NextTrigger = max(s.NextTrigger, g.Trigger+1)
	}
	t.Gate = *g
	if !t.Paused {
		t.Pause = Pause{}
	}
	s.index(t)
}

func (s *State) pauses(all []Pause) error {
	for _, p := range all {
		t := s.Triggers[p.Trigger]
		if t == nil || !t.Paused {
			return fmt.Errorf("a pause of trigger %d, which is not paused", p.Trigger)
		}
		p.Error = cut(p.Error, pauseError)
		t.Pause = p
	}
	return nil
}

// pauseError is how many bytes are kept of why a sink is gone.
const pauseError = 256

// index keeps the sets of triggers that are looked at with every record.
func (s *State) index(t *Trigger) {
	if t.Behind {
		s.behind[t.Trigger] = t
	} else {
		delete(s.behind, t.Trigger)
	}
	if t.Settled.Len()+t.Known.Len() > 0 {
		s.ahead[t.Trigger] = t
	} else {
		delete(s.ahead, t.Trigger)
	}
}

func (s *State) forget(id uint32) {
	delete(s.Triggers, id)
	delete(s.behind, id)
	delete(s.ahead, id)
}

func (s *State) outcome(o *Outcome) error {
	t := s.Triggers[o.Key.Trigger]
	if t == nil {
		return fmt.Errorf("outcome of sequence %d for trigger %d, which is not known", o.Key.Sequence, o.Key.Trigger)
	}
	delete(s.Suspects, o.Key)
	if o.Kind.Settles() {
		s.settle(t, o)
		return nil
	}
	w := s.wait(t, o.Key)
	detail := o.Detail
	if detail == nil {
		detail = &Detail{}
	}
	w.Due = detail.Due
	if o.Kind == Dying {
		w.Dying, w.Reason = true, detail.Reason
	}
	if o.Kind != Throttled {
		w.Attempts = max(w.Attempts, o.Attempt)
	}
	w.History = remember(w.History, Attempt{Number: o.Attempt, Time: o.Time, Duration: o.Duration, Status: o.Status, Error: detail.Error})
	return nil
}

// What is kept of a waiting delivery's attempts is bounded, so that a snapshot
// of very many fits into the ledger.
const (
	// MaxHistory is how many attempts are kept: the first ones and the last ones.
	MaxHistory = 12
	// pastError is how many bytes are kept of an error that is not the last.
	pastError = 128
)

func remember(history []Attempt, a Attempt) []Attempt {
	if n := len(history); n > 0 {
		history[n-1].Error = cut(history[n-1].Error, pastError)
	}
	if len(history) < MaxHistory {
		return append(history, a)
	}
	half := MaxHistory / 2
	copy(history[half:], history[half+1:])
	history[MaxHistory-1] = a
	return history
}

// cut shortens a text to at most so many bytes, between two characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

func (s *State) settle(t *Trigger, o *Outcome) {
	ahead := &t.Settled
	if w := s.Waiting[o.Key]; w != nil {
		delete(s.Waiting, o.Key)
		s.need.remove(o.Key.Sequence)
		t.Waiting--
		if w.Counted {
			ahead = &t.Known
		}
	}
	if ahead.Add(o.Key.Sequence); ahead.Len() == 1 {
		s.ahead[t.Trigger] = t
	}
	switch o.Kind { //nolint:exhaustive // only the kinds that settle come here
	case Done:
		t.Done++
	case Dead:
		t.Dead++
	case Discarded:
		t.Discarded++
	}
}

func (s *State) wait(t *Trigger, key Key) *Waiting {
	w := s.Waiting[key]
	if w == nil {
		w = &Waiting{}
		s.Waiting[key] = w
		s.need.add(key.Sequence)
		t.Waiting++
	}
	return w
}

func (s *State) list(keys []Key) error {
	for _, key := range keys {
		t := s.Triggers[key.Trigger]
		if t == nil {
			return fmt.Errorf("sequence %d waits for trigger %d, which is not known", key.Sequence, key.Trigger)
		}
		s.wait(t, key)
	}
	return nil
}

// advance moves the mark and the cursors, and forgets what they have passed.
func (s *State) advance(r *Record) error {
	if r.Mark < s.Mark {
		return fmt.Errorf("the mark falls from %d to %d", s.Mark, r.Mark)
	}
	s.Mark = r.Mark
	for _, c := range r.Cursors {
		t := s.Triggers[c.Trigger]
		if t == nil || !t.Behind || c.Sequence < t.Cursor {
			return fmt.Errorf("cursor %d of trigger %d, which is not behind it", c.Sequence, c.Trigger)
		}
		t.Cursor = c.Sequence
	}
	for _, c := range r.Matched {
		if t := s.Triggers[c.Trigger]; t != nil {
			t.Matched += c.N
		}
	}
	for id, t := range s.ahead {
		t.Settled.Drop(s.Passed(t))
		t.Known.Drop(s.Passed(t))
		if t.Settled.Len()+t.Known.Len() == 0 {
			delete(s.ahead, id)
		}
	}
	for i := range r.Gates {
		if r.Gates[i].Name == "" {
			s.forget(r.Gates[i].Trigger)
		}
	}
	return nil
}
