package dlq

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"sluice/event"
)

// A History is the log as replays of history read it.
type History interface {
	// Bounds returns the first and the last position; first is last+1 when there
	// is nothing.
	Bounds(ctx context.Context) (first, last uint64, err error)
	// FirstSince returns the first position that was stored at a time or later,
	// or last+1.
	FirstSince(ctx context.Context, at time.Time) (uint64, error)
	// Range returns the next stretch at or above a position; it does not wait for
	// more than there is.
	Range(ctx context.Context, from uint64, limit, maxBytes int) (event.Batch, error)
}

// A HistoryFilter selects events of the log for one trigger: of those that the
// trigger takes itself, those that meet everything that is set.
type HistoryFilter struct {
	Trigger string `json:"trigger"`
	// Source is the name of the sluice source. Type is the event's; s3.* stands
	// for all that begin with s3.
	Source string `json:"source,omitempty"`
	Type   string `json:"type,omitempty"`
	// Pattern is one more pattern, in JSON.
	Pattern json.RawMessage `json:"pattern,omitempty"`
	// Since and Until bound when the log has accepted the event: from Since,
	// before Until. First and Last do the same by position, both inclusive.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	First uint64    `json:"first,omitempty"`
	Last  uint64    `json:"last,omitempty"`
}

// Everything tells whether the filter takes all that its trigger does.
func (f *HistoryFilter) Everything() bool {
	return f.Source == "" && f.Type == "" && len(f.Pattern) == 0 && f.Since.IsZero() && f.Until.IsZero() && f.First == 0 && f.Last == 0
}

// An InvalidFilterError says what is wrong with a filter.
type InvalidFilterError struct{ Reason string }

func (e *InvalidFilterError) Error() string { return e.Reason }

func invalidFilter(format string, args ...any) error {
	return &InvalidFilterError{Reason: fmt.Sprintf(format, args...)}
}

// skew is by how much the clock of who asks may be before the service's.
const skew = time.Minute

// validate refuses what could select nothing at all. The log ends at the
// position last.
func (f *HistoryFilter) validate(now time.Time, last uint64) error {
	switch {
	case !f.Since.IsZero() && f.First > 0:
		return invalidFilter("since and first: one of them, not both")
	case !f.Until.IsZero() && f.Last > 0:
		return invalidFilter("until and last: one of them, not both")
	case f.Since.After(now.Add(skew)):
		return invalidFilter("since %s lies in the future: it is %s", stampText(f.Since), stampText(now))
	case f.Until.After(now.Add(skew)):
		return invalidFilter("until %s lies in the future: it is %s; leave it out for all that is there", stampText(f.Until), stampText(now))
	case !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until):
		return invalidFilter("since %s is not before until %s", stampText(f.Since), stampText(f.Until))
	case f.First > 0 && f.Last > 0 && f.First > f.Last:
		return invalidFilter("first %d is after last %d", f.First, f.Last)
	case f.First > last:
		return invalidFilter("first %d lies in the future: the log ends at %d", f.First, last)
	case f.size() > maxFilter:
		return invalidFilter("the filter has %d bytes: at most %d", f.size(), maxFilter)
	case f.Last > last:
		return invalidFilter("last %d lies in the future: the log ends at %d; leave it out for all that is there", f.Last, last)
	}
	return nil
}

// maxFilter is how many bytes a filter may have: it is stored with each batch.
const maxFilter = 64 << 10

func (f *HistoryFilter) size() int {
	return len(f.Trigger) + len(f.Source) + len(f.Type) + len(f.Pattern)
}

func stampText(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// ofType tells whether the filter takes an event's type.
func (f *HistoryFilter) ofType(e *event.Event) bool {
	if begin, all := strings.CutSuffix(f.Type, "*"); all {
		return strings.HasPrefix(e.Type, begin)
	}
	return f.Type == "" || f.Type == e.Type
}

// A Selection is what a HistoryFilter means with the triggers of the moment.
type Selection struct {
	// Trigger is the name that the trigger has now, and Sources are those that it
	// is on.
	Trigger string
	Sources []string
	// Takes tells whether the trigger itself and the filter's pattern take an
	// event. It fails with event.ErrLost when the event's data has gone, and with
	// anything else when that cannot be known now.
	Takes func(ctx context.Context, e *event.Entry) (bool, error)
}

// A HistoryRequest asks for a replay of history.
type HistoryRequest struct {
	Filter HistoryFilter
	// Rate is the most events a second; 0 for as fast as it goes.
	Rate float64
}

// A nothingError says that a replay would have nothing to do. It is ErrNotFound.
type nothingError struct{ reason string }

func (e *nothingError) Error() string        { return e.reason }
func (e *nothingError) Is(target error) bool { return target == ErrNotFound }

// errNoHistory means that the store was opened without.
var errNoHistory = errors.New("there is no history to replay here")

// ReplayHistory makes a job that replays events of the log, which is durable
// when it returns, and from then on keeps the history that it needs. Run works
// it. It returns an *InvalidFilterError for a filter that could select nothing,
// and what is ErrNotFound when there is nothing between the bounds.
func (s *Store) ReplayHistory(ctx context.Context, request HistoryRequest) (Job, error) {
	if err := checkRate(request.Rate, "events"); err != nil {
		return Job{}, err
	}
	now := s.options.Now().UTC()
	next := record{Version: formatVersion, Job: Job{
		ID: newJobID(historyPrefix, now), Kind: KindHistory, History: &request.Filter, Rate: request.Rate, State: Running, Created: now,
	}}
	if err := s.bound(ctx, &next); err != nil {
		return Job{}, err
	}
	release, err := s.hold(ctx, &next)
	if err != nil {
		return Job{}, err
	}
	defer release()
	return s.enter(ctx, s.newJob(next))
}

// bound checks the filter of a job and finds the positions that it means.
func (s *Store) bound(ctx context.Context, next *record) error {
	if s.options.History == nil {
		return errNoHistory
	}
	f := next.History
	first, last, err := s.options.History.Bounds(ctx)
	if err != nil {
		return err
	}
	if err := f.validate(s.options.Now(), last); err != nil {
		return err
	}
	if _, err := s.options.Select(f); err != nil {
		return err
	}
	next.First, next.Last = max(f.First, 1), cmp.Or(f.Last, last)
	if !f.Since.IsZero() {
		if next.First, err = s.options.History.FirstSince(ctx, f.Since); err != nil {
			return err
		}
	}
	if !f.Until.IsZero() {
		until, err := s.options.History.FirstSince(ctx, f.Until)
		if err != nil {
			return err
		}
		next.Last = min(last, until-1)
	}
	return s.available(ctx, next, first)
}

// available moves a job's beginning to where the log begins, at first, and notes
// from when on there is history when more was asked for.
func (s *Store) available(ctx context.Context, next *record, first uint64) error {
	f := next.History
	asked := !f.Since.IsZero() && next.First <= first || f.First > 0 && f.First < first
	next.First = max(next.First, first)
	next.Handled = next.First - 1
	nothing := next.First > next.Last
	var oldest time.Time
	if first > 1 && (asked || nothing) {
		var err error
		if oldest, err = s.firstEntry(ctx, first); err != nil {
			return err
		}
		if f.Since.IsZero() || oldest.After(f.Since) {
			next.Available = oldest
		}
	}
	switch {
	case !nothing:
		return nil
	case first > 1 && oldest.IsZero():
		return &nothingError{"the log holds no event any more: what was asked for has gone"}
	case !next.Available.IsZero():
		return &nothingError{fmt.Sprintf("history is available from %s on (sequence %d): what was asked for has gone", stampText(next.Available), first)}
	}
	return &nothingError{"no event was accepted in that time"}
}

// firstEntry returns when the first event at or above a position was accepted;
// the zero time when there is none.
func (s *Store) firstEntry(ctx context.Context, from uint64) (time.Time, error) {
	for {
		batch, err := s.options.History.Range(ctx, from, maxBatch, maxBatchBytes)
		if err != nil || batch.To < from {
			return time.Time{}, err
		}
		if len(batch.Entries) > 0 {
			return batch.Entries[0].Time.UTC(), nil
		}
		from = batch.To + 1
	}
}

// hold keeps the history that a job needs which is about to be stored, until
// release is called. Whatever a janitor has trimmed up to now is seen: the
// job's beginning moves behind it.
func (s *Store) hold(ctx context.Context, next *record) (release func(), err error) {
	s.mu.Lock()
	s.coming[next] = struct{}{}
	s.mu.Unlock()
	release = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.coming, next)
	}
	s.options.Settle()
	if err := s.catchUp(ctx, next); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// catchUp moves a job to where history begins now, if that is behind it.
func (s *Store) catchUp(ctx context.Context, next *record) error {
	first, _, err := s.options.History.Bounds(ctx)
	if err != nil || first <= next.Handled+1 || next.Handled >= next.Last {
		return err
	}
	oldest, err := s.firstEntry(ctx, first)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next.Handled, next.Available = min(first-1, next.Last), oldest
	return nil
}

// Line returns the lowest position of the log that a replay of history still
// needs, or the largest number when there is none.
func (s *Store) Line() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := uint64(math.MaxUint64)
	for next := range s.coming {
		line = min(line, next.Handled+1)
	}
	for _, j := range s.jobs {
		if j.holds() {
			line = min(line, j.Handled+1)
		}
	}
	return line
}

// holds tells whether a job needs history. The store's mu is held.
func (j *job) holds() bool { return j.Kind == KindHistory && j.State == Running && !j.released }

// reasonSpace is why a job is cancelled that stood in the way of new events.
const reasonSpace = "the history that it had still to read was in the way of new events"

// Yield takes the history away from the jobs that need any below a position,
// and cancels them: the log is nearly full, and new events come first. It
// tells whether there was one.
func (s *Store) Yield(below uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	yielded := false
	for _, j := range s.jobs {
		if j.holds() && j.Handled+1 < below {
			j.released, yielded = true, true
			s.halt(j)
		}
	}
	return yielded
}

func (s *Store) isReleased(j *job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return j.released
}

// HistoryCounts are what a replay of history would take.
type HistoryCounts struct {
	Total int `json:"total"`
	// Skipped are counted by reason, and the others by type and source. A group
	// of more than a thousand keys puts the rest under "others".
	Skipped map[string]int `json:"skipped,omitempty"`
	Types   map[string]int `json:"types"`
	Sources map[string]int `json:"sources"`
	// FirstTime and LastTime are when the first and the last of them was
	// accepted, First and Last their positions.
	FirstTime time.Time `json:"first_time,omitzero"`
	LastTime  time.Time `json:"last_time,omitzero"`
	First     uint64    `json:"first,omitempty"`
	Last      uint64    `json:"last,omitempty"`
	// Available is from when on there is history, when more was asked for.
	Available time.Time `json:"available,omitzero"`
}

// CountHistory counts what a replay of history would take now: its dry run. It
// holds nothing: what is trimmed meanwhile is not counted.
func (s *Store) CountHistory(ctx context.Context, f HistoryFilter) (HistoryCounts, error) {
	c := HistoryCounts{Types: map[string]int{}, Sources: map[string]int{}}
	next := record{Job: Job{History: &f}}
	if err := s.bound(ctx, &next); err != nil {
		return c, err
	}
	c.Available = next.Available
	for more := true; more; {
		b := &batch{next: next}
		var err error
		if more, err = (historyKind{s}).read(ctx, b, maxScan, c.add); err != nil {
			return c, err
		}
		next = b.next
	}
	c.Skipped = next.Skipped
	return c, nil
}

func (c *HistoryCounts) add(_ string, e *event.Entry) {
	c.Total++
	count(c.Types, e.Event.Type)
	count(c.Sources, e.Source)
	if c.First == 0 {
		c.First, c.FirstTime = e.Sequence, e.Time.UTC()
	}
	c.Last, c.LastTime = e.Sequence, e.Time.UTC()
}
