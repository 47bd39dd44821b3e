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
	"sync"
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

// The reasons for which a replay leaves something where it is.
const (
	SkipUnsettled   = "not settled yet"
	SkipUnknown     = "the trigger is not configured"
	SkipUndecodable = "it holds no event"
	SkipUnreadable  = "it cannot be read"
	SkipGone        = "it has gone meanwhile"
	SkipTooLarge    = "it is larger than the bus takes now"
	SkipLost        = "its data is not there any more"
)

// The kinds of jobs.
const (
	KindLetters = "letters"
	KindHistory = "history"
)

// A ReplayRequest asks for a replay.
type ReplayRequest struct {
	Filter Filter
	// Rate is the most letters a second; 0 for as fast as it goes.
	Rate float64
}

// A Job is a replay: what was asked for, and how far it is.
type Job struct {
	ID string `json:"id"`
	// Kind is KindLetters or KindHistory. Filter selects letters, History events.
	Kind    string         `json:"kind"`
	Filter  Filter         `json:"filter,omitzero"`
	History *HistoryFilter `json:"history,omitempty"`
	Rate    float64        `json:"rate,omitempty"`
	State   State          `json:"state"`
	Created time.Time      `json:"created"`
	Updated time.Time      `json:"updated"`
	// Total is how many letters the filter selected when the job was made; how
	// many events there are is known at the end only.
	Total int `json:"total,omitempty"`
	// First and Last are the positions between which it looks, in the log or
	// among the letters: what has come later is not replayed. First of letters is
	// 0. Handled is the position up to which it has looked.
	First    uint64         `json:"first,omitempty"`
	Last     uint64         `json:"last"`
	Handled  uint64         `json:"handled"`
	Replayed int            `json:"replayed"`
	Skipped  map[string]int `json:"skipped,omitempty"` // by reason
	// Available is from when on there is history, when more was asked for.
	Available time.Time `json:"available,omitzero"`
	// Reason says why it was cancelled, unless somebody has asked for it.
	Reason string `json:"reason,omitempty"`
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

// A job is what the store knows of a job. It is changed by who holds its turn,
// and its record, problem and released with the store's mu held besides.
type job struct {
	record
	turn     sync.Locker   // of all letters' jobs it is the store's
	steps    chan struct{} // has room for the jobs of this kind that may hold a batch
	kind     kind
	most     int    // entries of one batch
	stored   []byte // the record as it was last stored
	deleted  bool   // whether what the record has taken is deleted
	resumed  bool   // whether an earlier run has taken it
	doubt    []byte // the record of a write whose fate is unknown
	problem  string // what holds it up; guarded by mu alone
	released bool   // it holds no history any more, and is to be cancelled; guarded by mu alone
	stop     chan struct{}
}

// A kind is what jobs of one kind replay.
type kind interface {
	// collect adds what comes next to a batch of at most size entries, and tells
	// whether there may be more. A *stopError means that it cannot go on.
	collect(ctx context.Context, b *batch, size int) (more bool, err error)
	// settle does what is to follow when a batch is durable. It may be called
	// again, and nothing else is done before it returns nil.
	settle(ctx context.Context, j *job) error
}

// The beginnings of jobs' ids: what an older sluice knows begins with the first
// one, and it leaves the others alone.
const (
	letterPrefix  = "dlq-"
	historyPrefix = "replay-"
	// keptJobs is how many ended jobs are kept for listing.
	keptJobs = 100
)

func newJobID(prefix string, now time.Time) string {
	return prefix + now.UTC().Format("20060102-150405") + "-" + strings.ToLower(rand.Text()[:6])
}

// load reads all jobs. One that cannot be read is left alone.
func (s *Store) load(ctx context.Context) error {
	names, err := s.options.Log.Positions(ctx)
	if err != nil {
		return fmt.Errorf("reading the replays: %w", err)
	}
	jobs := map[string]*job{}
	for _, name := range names {
		if !strings.HasPrefix(name, letterPrefix) && !strings.HasPrefix(name, historyPrefix) {
			continue
		}
		stored, err := s.options.Log.Position(ctx, name)
		if err != nil {
			return fmt.Errorf("reading the replay %s: %w", name, err)
		}
		if stored == nil {
			continue
		}
		j, err := s.restore(stored)
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

// restore makes a job of its stored record.
func (s *Store) restore(stored []byte) (*job, error) {
	read, err := decodeRecord(stored)
	if err != nil {
		return nil, err
	}
	j := s.newJob(read)
	j.stored, j.deleted, j.resumed = stored, len(read.Taken) == 0, true
	return j, nil
}

func decodeRecord(stored []byte) (record, error) {
	var read record
	if err := json.Unmarshal(stored, &read); err != nil {
		return read, err
	}
	if read.Version > formatVersion {
		return read, &event.NewerFormatError{Version: read.Version}
	}
	if read.Kind == "" {
		read.Kind = KindLetters // written before there were others
	}
	if (read.Kind == KindHistory) != (read.History != nil) {
		return read, fmt.Errorf("a job of kind %q: %w", read.Kind, errNoFilter)
	}
	return read, nil
}

var errNoFilter = errors.New("it does not say what it replays")

// newJob makes a job that is not stored yet.
func (s *Store) newJob(r record) *job {
	j := &job{record: r, deleted: true, stop: make(chan struct{})}
	if r.Kind == KindHistory {
		j.turn, j.kind, j.steps, j.most = &sync.Mutex{}, historyKind{s}, s.historySteps, historyBatch
	} else {
		j.turn, j.kind, j.steps, j.most = &s.turn, letterKind{s}, s.letterSteps, maxBatch
	}
	return j
}

// Replay makes a job that replays letters, which is durable when it returns. Run
// works it.
func (s *Store) Replay(ctx context.Context, request ReplayRequest) (Job, error) {
	if err := checkRate(request.Rate, "letters"); err != nil {
		return Job{}, err
	}
	if err := request.Filter.Validate(); err != nil {
		return Job{}, err
	}
	last, err := s.last(ctx)
	if err != nil {
		return Job{}, err
	}
	total := 0
	if err := s.scan(ctx, &request.Filter, 0, last, readAhead, func(Summary) bool { total++; return true }); err != nil {
		return Job{}, err
	}
	now := s.options.Now().UTC()
	return s.enter(ctx, s.newJob(record{Version: formatVersion, Job: Job{
		ID: newJobID(letterPrefix, now), Kind: KindLetters, Filter: request.Filter, Rate: request.Rate, State: Running,
		Created: now, Total: total, Last: last,
	}}))
}

func checkRate(rate float64, things string) error {
	if rate < 0 || rate != rate {
		return fmt.Errorf("the replay's rate is %v: ask for %s a second, or 0 for as fast as it goes", rate, things)
	}
	return nil
}

// enter makes a job durable and known, between two readings of the jobs: one
// that has begun before would not know it.
func (s *Store) enter(ctx context.Context, j *job) (Job, error) {
	s.table.Lock()
	defer s.table.Unlock()
	if err := s.commit(ctx, j, j.record, nil); err != nil {
		return Job{}, fmt.Errorf("making the replay: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs[j.ID] = j
	s.wakeUp()
	return j.snapshot(), nil
}

// wakeUp has Run look for jobs that nobody works.
func (s *Store) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
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
	j, err := s.find(id)
	if err != nil {
		return Job{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return j.snapshot(), nil
}

func (s *Store) find(id string) (*job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[id]; j != nil {
		return j, nil
	}
	return nil, fmt.Errorf("there is no replay %q: %w", id, ErrNotFound)
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
	s.table.Lock()
	defer s.table.Unlock()
	j, err := s.find(id)
	if err != nil {
		return err
	}
	j.turn.Lock()
	defer j.turn.Unlock()
	if j.State != Running {
		return fmt.Errorf("cancelling the replay %s, which is %s: %w", id, j.State, ErrEnded)
	}
	if err := s.end(ctx, j, Cancelled, ""); err != nil {
		return fmt.Errorf("cancelling the replay %s: %w", id, err)
	}
	return s.dropOld(ctx)
}

// Resume lets a job go on that was cancelled, where it was. One that runs stays
// as it is. It returns ErrNotFound, or ErrEnded when it is finished, wrapped.
func (s *Store) Resume(ctx context.Context, id string) (Job, error) {
	s.table.Lock()
	defer s.table.Unlock()
	j, err := s.find(id)
	if err != nil {
		return Job{}, err
	}
	j.turn.Lock()
	defer j.turn.Unlock()
	switch j.State {
	case Running:
	case Cancelled:
		err = s.resume(ctx, j)
	case Finished:
		err = fmt.Errorf("it is finished: %w", ErrEnded)
	}
	if err != nil {
		return Job{}, fmt.Errorf("resuming the replay %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return j.snapshot(), nil
}

func (s *Store) resume(ctx context.Context, j *job) error {
	if err := s.resolve(ctx, j); err != nil {
		return err
	}
	next := j.record
	next.State, next.Reason = Running, ""
	if next.Kind == KindHistory {
		release, err := s.hold(ctx, &next)
		if err != nil {
			return err
		}
		defer release()
	}
	if err := s.commit(ctx, j, next, nil); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j.released, j.problem, j.stop = false, "", make(chan struct{})
	s.wakeUp()
	return nil
}

// end records that a job has ended, once nothing of it is left to do.
func (s *Store) end(ctx context.Context, j *job, state State, reason string) error {
	if err := s.resolve(ctx, j); err != nil {
		return err
	}
	if err := j.kind.settle(ctx, j); err != nil {
		return err
	}
	next := j.record
	next.State, next.Reason, next.Taken = state, reason, nil
	if err := s.commit(ctx, j, next, nil); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halt(j)
	return nil
}

// halt wakes who waits to go on with a job. The store's mu is held.
func (s *Store) halt(j *job) {
	select {
	case <-j.stop:
	default:
		close(j.stop)
	}
}

// dropOld forgets the oldest ended jobs, where the log can. The table is held.
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
