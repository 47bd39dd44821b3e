package dlq

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice/event"
)

// A State is how far a job is.
type State string

// The states. A job begins running, also while it waits for those before it.
const (
	Running   State = "running"
	Finished  State = "finished"
	Cancelled State = "cancelled"
)

// The reasons for which a replay leaves a letter where it is.
const (
	SkipUnsettled   = "not settled yet"
	SkipUnknown     = "the trigger is not configured"
	SkipUndecodable = "it holds no event"
	SkipUnreadable  = "it cannot be read"
	SkipGone        = "it has gone meanwhile"
	SkipTooLarge    = "it is larger than the bus takes now"
)

// A ReplayRequest asks for a replay.
type ReplayRequest struct {
	Filter Filter
	// Rate is the most letters a second; 0 for as fast as it goes.
	Rate float64
}

// A Job is a replay: what was asked for, and how far it is.
type Job struct {
	ID      string    `json:"id"`
	Filter  Filter    `json:"filter"`
	Rate    float64   `json:"rate,omitempty"`
	State   State     `json:"state"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Total is how many letters the filter selected when the job was made, and
	// Last the position of the last of all letters then: later ones are not
	// replayed.
	Total int    `json:"total"`
	Last  uint64 `json:"last"`
	// Handled is the position up to which letters were looked at.
	Handled  uint64         `json:"handled"`
	Replayed int            `json:"replayed"`
	Skipped  map[string]int `json:"skipped,omitempty"` // by reason
	// Problem is what holds the job up at the moment.
	Problem string `json:"-"`
}

// A taken is a letter whose entry is durable, and which is to be deleted.
type taken struct {
	Sequence uint64 `json:"s"`
	ID       string `json:"id"`
}

// A record is the position of a job as it is stored.
type record struct {
	Version int `json:"v"`
	Job
	// Taken are the letters of the batch that was made durable with this record.
	Taken []taken `json:"taken,omitempty"`
}

// A job is what the store knows of a job. It is changed by who holds the store's
// turn, and its record and problem with mu held besides.
type job struct {
	record
	stored  []byte // the record as it was last stored
	deleted bool   // whether what the record has taken is deleted
	resumed bool   // whether an earlier run has taken it
	doubt   []byte // the record of a write whose fate is unknown
	problem string // what holds it up; guarded by mu alone
	stop    chan struct{}
}

const (
	jobPrefix = "dlq-"
	// keptJobs is how many ended jobs are kept for listing.
	keptJobs = 100
)

func newJobID(now time.Time) string {
	return jobPrefix + now.UTC().Format("20060102-150405") + "-" + strings.ToLower(rand.Text()[:6])
}

// load reads all jobs. One that cannot be read is left alone.
func (s *Store) load(ctx context.Context) error {
	names, err := s.options.Log.Positions(ctx)
	if err != nil {
		return fmt.Errorf("reading the replays: %w", err)
	}
	jobs := map[string]*job{}
	for _, name := range names {
		if !strings.HasPrefix(name, jobPrefix) {
			continue
		}
		stored, err := s.options.Log.Position(ctx, name)
		if err != nil {
			return fmt.Errorf("reading the replay %s: %w", name, err)
		}
		if stored == nil {
			continue
		}
		j, err := decodeRecord(stored)
		if err != nil { // a newer sluice's, perhaps
			s.options.Logger.Warn("replay left alone", slog.String("job", name), slog.String("error", err.Error()))
			continue
		}
		jobs[name] = j
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs = jobs
	return nil
}

func decodeRecord(stored []byte) (*job, error) {
	j := &job{stored: stored, stop: make(chan struct{})}
	if err := json.Unmarshal(stored, &j.record); err != nil {
		return nil, err
	}
	if j.Version > formatVersion {
		return nil, &event.NewerFormatError{Version: j.Version}
	}
	j.deleted, j.resumed = len(j.Taken) == 0, true
	return j, nil
}

// Replay makes a job, which is durable when it returns. Run works it.
func (s *Store) Replay(ctx context.Context, request ReplayRequest) (Job, error) {
	if request.Rate < 0 || request.Rate != request.Rate {
		return Job{}, fmt.Errorf("the replay's rate is %v: ask for letters a second, or 0 for as fast as it goes", request.Rate)
	}
	if err := request.Filter.Validate(); err != nil {
		return Job{}, err
	}
	last, err := s.last(ctx)
	if err != nil {
		return Job{}, err
	}
	total := 0
	if err := s.scan(ctx, &request.Filter, 0, last, func(Summary) bool { total++; return true }); err != nil {
		return Job{}, err
	}
	now := s.options.Now().UTC()
	j := &job{deleted: true, stop: make(chan struct{}), record: record{Version: formatVersion, Job: Job{
		ID: newJobID(now), Filter: request.Filter, Rate: request.Rate, State: Running,
		Created: now, Updated: now, Total: total, Last: last,
	}}}
	made, err := s.enter(ctx, j)
	if err != nil {
		return Job{}, fmt.Errorf("making the replay: %w", err)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return made, nil
}

// enter makes a job durable and known, between two readings of the jobs: one
// that has begun before would not know it.
func (s *Store) enter(ctx context.Context, j *job) (Job, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if err := s.commit(ctx, j, j.record, nil); err != nil {
		return Job{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs[j.ID] = j
	return j.snapshot(), nil
}

// Jobs returns the jobs, the oldest first: those that are not ended, and the
// last hundred that are.
func (s *Store) Jobs(context.Context) ([]Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Job, 0, len(s.jobs))
	for _, j := range s.jobs {
		all = append(all, j.snapshot())
	}
	slices.SortFunc(all, older)
	return all, nil
}

func older(a, b Job) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) }

// Job returns one job, or ErrNotFound, wrapped.
func (s *Store) Job(_ context.Context, id string) (Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[id]; j != nil {
		return j.snapshot(), nil
	}
	return Job{}, fmt.Errorf("there is no replay %q: %w", id, ErrNotFound)
}

func (j *job) snapshot() Job {
	copied := j.Job
	copied.Problem = j.problem
	copied.Skipped = maps.Clone(j.Skipped)
	return copied
}

// Cancel ends a job after the batch that is under way. What was replayed stays
// so. It returns ErrNotFound or ErrEnded, wrapped.
func (s *Store) Cancel(ctx context.Context, id string) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	j := s.jobs[id]
	s.mu.Unlock()
	switch {
	case j == nil:
		return fmt.Errorf("there is no replay %q: %w", id, ErrNotFound)
	case j.State != Running:
		return fmt.Errorf("cancelling the replay %s, which is %s: %w", id, j.State, ErrEnded)
	}
	if err := s.end(ctx, j, Cancelled); err != nil {
		return fmt.Errorf("cancelling the replay %s: %w", id, err)
	}
	close(j.stop)
	return nil
}

// end records that a job has ended, once nothing of it is left to do.
func (s *Store) end(ctx context.Context, j *job, state State) error {
	if err := s.resolve(ctx, j); err != nil {
		return err
	}
	if err := s.deleteTaken(ctx, j); err != nil {
		return err
	}
	next := j.record
	next.State, next.Taken = state, nil
	if err := s.commit(ctx, j, next, nil); err != nil {
		return err
	}
	return s.dropOld(ctx)
}

// dropOld forgets the oldest ended jobs, where the log can.
func (s *Store) dropOld(ctx context.Context) error {
	log, ok := s.options.Log.(Forgetter)
	if !ok {
		return nil
	}
	all, err := s.Jobs(ctx)
	if err != nil {
		return err
	}
	ended := slices.DeleteFunc(all, func(j Job) bool { return j.State == Running })
	for _, j := range ended[:max(0, len(ended)-keptJobs)] {
		if err := log.Forget(ctx, j.ID); err != nil && !errors.Is(err, event.ErrUnavailable) {
			return fmt.Errorf("forgetting the replay %s: %w", j.ID, err)
		}
		s.mu.Lock()
		delete(s.jobs, j.ID)
		s.mu.Unlock()
	}
	return nil
}
