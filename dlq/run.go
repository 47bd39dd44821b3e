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

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"sluice/event"
)

const (
	// The most letters, and about the most bytes of events, of one batch.
	maxBatch      = 100
	maxBatchBytes = 4 << 20
	// deleters is how many letters are deleted at a time.
	deleters = 16
	// retryEvery is the wait after a failure.
	retryEvery = time.Second
)

// Run works the jobs, one at a time, those that an earlier run has left first.
// It blocks until ctx ends, and then returns nil. It returns event.ErrFenced,
// wrapped, when somebody else works the same job: run it again later.
func (s *Store) Run(ctx context.Context) error {
	if err := s.reload(ctx); err != nil {
		return err
	}
	for {
		j, job := s.nextJob()
		if j == nil {
			select {
			case <-ctx.Done():
				return nil
			case <-s.wake:
			}
			continue
		}
		s.options.Logger.Info("replay started", slog.String("job", job.ID), slog.Int("letters", job.Total), slog.Uint64("after", job.Handled))
		if err := s.work(ctx, j, job.Rate); err != nil {
			return fmt.Errorf("working the replay %s: %w", job.ID, err)
		}
		if over(ctx) {
			return nil
		}
	}
}

func over(ctx context.Context) bool { return ctx.Err() != nil }

// reload reads the jobs again: an earlier Run may have ended in doubt.
func (s *Store) reload(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.load(ctx)
}

// nextJob returns the oldest job that has not ended.
func (s *Store) nextJob() (*job, Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next *job
	for _, j := range s.jobs {
		if j.State == Running && (next == nil || older(j.Job, next.Job) < 0) {
			next = j
		}
	}
	if next == nil {
		return nil, Job{}
	}
	return next, next.snapshot()
}

// work works a job until it or ctx ends, however long the bus is away.
func (s *Store) work(ctx context.Context, j *job, perSecond float64) error {
	size := batchSize(perSecond)
	limiter := rate.NewLimiter(rate.Inf, size)
	if perSecond > 0 {
		limiter.SetLimit(rate.Limit(perSecond))
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
			wait(ctx, j, retryEvery)
		case ended:
			return nil
		default:
			wait(ctx, j, limiter.ReserveN(s.options.Now(), n).DelayFrom(s.options.Now()))
		}
	}
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

// wait waits, but not for a job that was cancelled.
func wait(ctx context.Context, j *job, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-j.stop:
	case <-timer.C:
	}
}

// batchSize spreads a slow replay over batches of a quarter of a second.
func batchSize(perSecond float64) int {
	if perSecond == 0 || perSecond >= 4*maxBatch {
		return maxBatch
	}
	return max(1, int(perSecond/4))
}

// advance replays the next letters of a job, n of them, or ends it.
//
// The order makes it safe to be killed anywhere. The entries become durable
// with the list of their letters. Only then are these deleted, and nothing
// else is done before they are: not the next batch, not another job.
func (s *Store) advance(ctx context.Context, j *job, size int) (n int, ended bool, err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if j.State != Running {
		return 0, true, nil
	}
	if err := s.resolve(ctx, j); err != nil {
		return 0, false, err
	}
	if err := s.deleteTaken(ctx, j); err != nil {
		return 0, false, err
	}
	n, err = s.replay(ctx, j, size)
	if errors.Is(err, event.ErrTooLarge) {
		n, err = s.replay(ctx, j, 1) // finds out which one it is
	}
	if err != nil {
		return 0, false, err
	}
	if j.State == Finished {
		return n, true, s.dropOld(ctx)
	}
	return n, false, s.deleteTaken(ctx, j)
}

// replay commits one batch of at most size letters; when there is none left,
// the end of the job.
func (s *Store) replay(ctx context.Context, j *job, size int) (int, error) {
	b := &batch{next: j.record}
	b.next.Taken, b.next.Skipped = nil, maps.Clone(j.Skipped)
	more, err := s.collect(ctx, b, size)
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

// collect reads letters until the batch is full, and tells whether there may
// be more.
func (s *Store) collect(ctx context.Context, b *batch, size int) (more bool, err error) {
	var read error
	err = s.scan(ctx, &b.next.Filter, b.next.Handled, b.next.Last, func(letter Summary) bool {
		if len(b.entries) == size || b.bytes >= maxBatchBytes {
			more = true
			return false
		}
		if read = s.add(ctx, b, &letter); read != nil {
			return false
		}
		b.next.Handled = letter.Sequence
		return true
	})
	return more, errors.Join(err, read)
}

// unfit returns why a letter cannot be replayed, or "".
func (s *Store) unfit(letter *Summary) string {
	switch {
	case letter.Problem != "":
		return SkipUnreadable
	case letter.Reason == ReasonUndecodable:
		return SkipUndecodable
	case !s.options.Known(letter.ID.Trigger):
		return SkipUnknown
	case !s.options.Settled(letter.ID.String()):
		return SkipUnsettled
	}
	return ""
}

// add reads one letter and adds its entry to the batch.
func (s *Store) add(ctx context.Context, b *batch, letter *Summary) error {
	if reason := s.unfit(letter); reason != "" {
		b.skip(reason)
		return nil
	}
	msg, err := s.stream.GetMsg(ctx, letter.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		b.skip(SkipGone)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the letter of %s: %w", letter.ID, translate(err))
	}
	whole, err := decode(letter.ID, msg.Header, msg.Data)
	switch {
	case err != nil:
		b.skip(SkipUnreadable)
	case whole.Event == nil:
		b.skip(SkipUndecodable)
	default:
		id := letter.ID.String()
		b.entries = append(b.entries, event.Directed{Trigger: letter.ID.Trigger, Origin: id, Event: *whole.Event})
		b.next.Taken = append(b.next.Taken, taken{Sequence: letter.Sequence, ID: id})
		b.bytes += len(msg.Data)
	}
	return nil
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
		s.take(j, read.record, stored)
	case !bytes.Equal(stored, j.stored):
		return fmt.Errorf("the position is neither the old nor the new one: %w", event.ErrFenced)
	}
	j.doubt = nil
	return nil
}

// deleteTaken deletes the letters whose entries are durable. It may be called
// again. What an earlier run has taken is deleted only where it still is what
// the record says.
func (s *Store) deleteTaken(ctx context.Context, j *job) error {
	if j.deleted {
		return nil
	}
	if err := s.deleteAll(ctx, j.Taken, j.resumed); err != nil {
		return err
	}
	j.deleted = true
	return nil
}

// deleteAll deletes several letters at a time: each waits for the disk.
func (s *Store) deleteAll(ctx context.Context, all []taken, check bool) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(deleters)
	for _, t := range all {
		group.Go(func() error {
			if err := s.deleteOne(ctx, t, check); err != nil {
				return fmt.Errorf("deleting the letter of %s: %w", t.ID, translate(err))
			}
			return nil
		})
	}
	return group.Wait()
}

func (s *Store) deleteOne(ctx context.Context, t taken, check bool) error {
	if check {
		same, err := s.isStill(ctx, t)
		if err != nil || !same {
			return err
		}
	}
	err := s.stream.DeleteMsg(ctx, t.Sequence)
	if err == nil {
		return nil
	}
	// The server has one error for all that may go wrong, also for no message.
	if same, readErr := s.isStill(ctx, t); readErr == nil && !same {
		return nil
	}
	return err
}

// isStill tells whether the letter of a delivery is at a position.
func (s *Store) isStill(ctx context.Context, t taken) (bool, error) {
	id, err := event.ParseDeliveryID(t.ID)
	if err != nil {
		return false, err
	}
	msg, err := s.stream.GetMsg(ctx, t.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil && msg.Subject == subject(s.options.Prefix, id), err
}
