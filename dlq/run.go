package dlq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"sluice/event"
)

const (
	// The most letters, and about the most bytes of events, of one batch.
	maxBatch      = 100
	maxBatchBytes = 4 << 20
	// retryEvery is the wait after a failure.
	retryEvery = time.Second
)

// Run works the jobs: those of letters one at a time, the oldest first, and each
// of history by itself, so that a slow one holds up no other. It blocks until ctx
// ends, and then returns nil. It returns event.ErrFenced, wrapped, when somebody
// else works the same job: run it again later.
func (s *Store) Run(ctx context.Context) error {
	if err := s.reload(ctx); over(ctx) {
		return nil
	} else if err != nil {
		return err
	}
	group, working := errgroup.WithContext(ctx)
	busy := map[string]bool{} // guarded by mu
	for {
		for _, lane := range s.idle(busy) {
			group.Go(func() error { return s.workLane(working, lane, busy) })
		}
		select {
		case <-working.Done():
			return group.Wait()
		case <-s.wake:
		}
	}
}

// lane names what is worked one after the other.
func (j *job) lane() string {
	if j.Kind == KindHistory {
		return j.ID
	}
	return KindLetters
}

// idle marks the lanes busy that have jobs and that nobody works, and returns
// them.
func (s *Store) idle(busy map[string]bool) (lanes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if lane := j.lane(); j.State == Running && !busy[lane] {
			busy[lane] = true
			lanes = append(lanes, lane)
		}
	}
	return lanes
}

// workLane works the jobs of a lane until there is none left.
func (s *Store) workLane(ctx context.Context, lane string, busy map[string]bool) error {
	for !over(ctx) {
		j, job := s.nextJob(lane, busy)
		if j == nil {
			return nil
		}
		s.options.Logger.Info("replay started", slog.String("job", job.ID), slog.String("kind", job.Kind), slog.Uint64("after", job.Handled))
		if err := s.work(ctx, j, job.Rate); err != nil {
			return fmt.Errorf("working the replay %s: %w", job.ID, err)
		}
	}
	return nil
}

func over(ctx context.Context) bool { return ctx.Err() != nil }

// reload reads the jobs again: an earlier Run may have ended in doubt.
func (s *Store) reload(ctx context.Context) error {
	s.table.Lock()
	defer s.table.Unlock()
	return s.load(ctx)
}

// nextJob returns the oldest job of a lane that has not ended; when there is
// none the lane is not busy any more.
func (s *Store) nextJob(lane string, busy map[string]bool) (*job, Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next *job
	for _, j := range s.jobs {
		if j.State == Running && j.lane() == lane && (next == nil || older(j.Job, next.Job) < 0) {
			next = j
		}
	}
	if next == nil {
		delete(busy, lane)
		return nil, Job{}
	}
	return next, next.snapshot()
}

// work works a job until it or ctx ends, however long the bus is away.
func (s *Store) work(ctx context.Context, j *job, perSecond float64) error {
	size := batchSize(perSecond, j.most)
	limiter := rate.NewLimiter(rate.Inf, size)
	if perSecond > 0 {
		limiter.SetLimit(rate.Limit(perSecond))
		limiter.ReserveN(s.options.Now(), size) // each batch waits for the one before it
	}
	for {
		n, ended, err := s.advance(ctx, j, size)
		if !over(ctx) {
			s.report(j, err)
		}
		switch {
		case over(ctx):
			return nil
		case errors.Is(err, event.ErrFenced):
			return err
		case err != nil:
			wait(ctx, nil, retryEvery)
		case ended:
			return s.tidy(ctx)
		default:
			wait(ctx, s.stopOf(j), limiter.ReserveN(s.options.Now(), n).DelayFrom(s.options.Now()))
		}
	}
}

// tidy forgets old jobs after one has ended. That it cannot now is no reason to
// stop: the end of another one tries again.
func (s *Store) tidy(ctx context.Context) error {
	s.table.Lock()
	defer s.table.Unlock()
	if err := s.dropOld(ctx); err != nil && !over(ctx) {
		s.options.Logger.Warn("old replays are kept", slog.String("error", err.Error()))
	}
	return nil
}

func (s *Store) stopOf(j *job) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return j.stop
}

// report keeps what holds a job up, and logs it when it is new.
func (s *Store) report(j *job, err error) {
	s.mu.Lock()
	before := j.problem
	j.problem = ""
	if err != nil {
		j.problem = err.Error()
	}
	now := j.snapshot()
	s.mu.Unlock()
	switch {
	case now.Problem != "" && now.Problem != before:
		s.options.Logger.Warn("replay held up", slog.String("job", now.ID), slog.String("error", now.Problem))
	case now.Problem == "" && now.State != Running:
		s.options.Logger.Info("replay ended", slog.String("job", now.ID), slog.String("state", string(now.State)), slog.Int("replayed", now.Replayed))
	}
}

// wait waits, but no longer than until stop is closed.
func wait(ctx context.Context, stop <-chan struct{}, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-stop:
	case <-timer.C:
	}
}

// batchSize spreads a slow replay over batches of a quarter of a second.
func batchSize(perSecond float64, most int) int {
	if perSecond == 0 || perSecond >= float64(4*most) {
		return most
	}
	return max(1, int(perSecond/4))
}

// advance replays what comes next of a job, n of it, or ends it.
//
// The order makes it safe to be killed anywhere. The entries become durable with
// the position, and the list of letters that they were made of. Only then are
// these deleted, and nothing else is done before they are: not the next batch,
// not another job of letters.
func (s *Store) advance(ctx context.Context, j *job, size int) (n int, ended bool, err error) {
	select {
	case j.steps <- struct{}{}:
		defer func() { <-j.steps }()
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	j.turn.Lock()
	defer j.turn.Unlock()
	if j.State != Running {
		return 0, true, nil
	}
	if err := s.resolve(ctx, j); err != nil {
		return 0, false, err
	}
	if err := j.kind.settle(ctx, j); err != nil {
		return 0, false, err
	}
	n, err = s.replay(ctx, j, size)
	if errors.Is(err, event.ErrTooLarge) {
		n, err = s.replay(ctx, j, 1) // finds out which one it is
	}
	if stopped, found := errors.AsType[*stopError](err); found {
		return 0, true, s.end(ctx, j, Cancelled, stopped.reason)
	}
	if err != nil {
		return 0, false, err
	}
	return n, j.State == Finished, j.kind.settle(ctx, j)
}

// replay commits one batch of at most size entries; when there is none left, the
// end of the job.
func (s *Store) replay(ctx context.Context, j *job, size int) (int, error) {
	b := &batch{next: j.record}
	b.next.Taken, b.next.Skipped = nil, maps.Clone(j.Skipped)
	more, err := j.kind.collect(ctx, b, size)
	if s.isReleased(j) {
		err = &stopError{reason: reasonSpace} // what was read may have gaps
	}
	if err == nil && len(b.entries) > 0 {
		err = s.options.Room(ctx)
	}
	if err != nil {
		return 0, err
	}
	if len(b.entries) == 0 && !more {
		b.next.State = Finished
	}
	b.next.Replayed += len(b.entries)
	err = s.commit(ctx, j, b.next, b.entries)
	if size == 1 && len(b.entries) == 1 && errors.Is(err, event.ErrTooLarge) {
		b.next.Replayed, b.next.Taken = j.Replayed, nil
		b.skip(SkipTooLarge)
		return 0, s.commit(ctx, j, b.next, nil)
	}
	return len(b.entries), err
}

// A batch is what one step of a job does.
type batch struct {
	next    record
	entries []event.Directed
	bytes   int
}

func (b *batch) skip(reason string) {
	if b.next.Skipped == nil {
		b.next.Skipped = map[string]int{}
	}
	b.next.Skipped[reason]++
}

// commit makes entries and record durable together, and takes the record over.
func (s *Store) commit(ctx context.Context, j *job, next record, entries []event.Directed) error {
	next.Updated = s.options.Now().UTC()
	position, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encoding the position: %w", err)
	}
	if err := s.options.Log.Direct(ctx, next.ID, position, entries...); err != nil {
		j.doubt = position
		if unresolved := s.resolve(ctx, j); unresolved != nil {
			return errors.Join(err, unresolved)
		}
		if !bytes.Equal(j.stored, position) {
			return err
		}
		return nil
	}
	s.take(j, next, position)
	return nil
}

func (s *Store) take(j *job, next record, position []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.record, j.stored, j.deleted, j.resumed, j.doubt = next, position, len(next.Taken) == 0, false, nil
}

// resolve finds out what has become of a write whose fate is unknown: the
// position tells, because it was stored with the entries. As long as that
// cannot be read, nothing else may be written: the same letters might be
// replayed again.
func (s *Store) resolve(ctx context.Context, j *job) error {
	if j.doubt == nil {
		return nil
	}
	stored, err := s.options.Log.Position(ctx, j.ID)
	switch {
	case err != nil:
		return fmt.Errorf("reading the position: %w", err)
	case bytes.Equal(stored, j.doubt):
		read, err := decodeRecord(stored)
		if err != nil {
			return err
		}
		s.take(j, read, stored)
	case !bytes.Equal(stored, j.stored):
		return fmt.Errorf("the position is neither the old nor the new one: %w", event.ErrFenced)
	}
	j.doubt = nil
	return nil
}
