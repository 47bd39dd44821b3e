package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"sluice/cmd/sluice/internal/admin"
	"sluice/config"
	"sluice/event"
	"sluice/sources"
	sourcehttp "sluice/sources/http"
)

const (
	mountWait    = 2 * time.Second  // for sources to mount their paths
	sourceWithin = 15 * time.Second // for a source to end
)

// A supervised is one source that runs, or is about to.
type supervised struct {
	config config.Source
	source sources.Source
	mount  *mount
	health *health
	cancel context.CancelFunc // nil before it runs
	ended  chan struct{}
}

// A supervisor runs the sources. Those that fail are run again.
type supervisor struct {
	logger   *slog.Logger
	ingest   *sourcehttp.Server
	out      func(name string) sources.Out
	accepted func(source string, events []event.Event)
	now      func() time.Time
	swaps    chan swap

	mu      sync.Mutex
	current []*supervised
}

// A swap asks the supervisor's goroutine for other sources.
type swap struct {
	next []*supervised
	done chan struct{}
}

// build makes what the list asks for. Sources that run already and have not
// changed are kept. It starts and stops nothing.
func (s *supervisor) build(list []config.Source) ([]*supervised, error) {
	s.mu.Lock()
	current := slices.Clone(s.current)
	s.mu.Unlock()
	next := make([]*supervised, 0, len(list))
	var problems []error
	for _, wanted := range list {
		same := func(old *supervised) bool {
			return old.config.Name == wanted.Name && old.config.Kind == wanted.Kind && sameSection(old.config.Section, wanted.Section)
		}
		if i := slices.IndexFunc(current, same); i >= 0 {
			next = append(next, current[i])
			continue
		}
		made, err := s.buildOne(wanted)
		if err != nil {
			problems = append(problems, fmt.Errorf("source %q: %w", wanted.Name, err))
			continue
		}
		next = append(next, made)
	}
	return next, errors.Join(problems...)
}

func (s *supervisor) buildOne(wanted config.Source) (*supervised, error) {
	section, ok := wanted.Section.(sources.Config)
	if !ok {
		return nil, fmt.Errorf("its kind %q is no source", wanted.Kind)
	}
	made := &supervised{config: wanted, mount: newMount(s.ingest), health: newHealth(s.now), ended: make(chan struct{})}
	var err error
	made.source, err = section.Source(sources.Env{
		Name: wanted.Name, Logger: s.logger.With(slog.String("source", wanted.Name)), Ingest: made.mount,
		Report: made.health.report, Now: s.now,
	})
	return made, err
}

// run runs sources until ctx ends. Which ones is said by swap.
func (s *supervisor) run(ctx context.Context) error {
	defer s.replace(ctx, nil)
	for {
		select {
		case <-ctx.Done():
			return nil
		case ask := <-s.swaps:
			s.replace(ctx, ask.next)
			close(ask.done)
		}
	}
}

// swap replaces the sources that run, and waits until those that take requests
// have mounted their paths.
func (s *supervisor) swap(ctx context.Context, next []*supervised) error {
	ask := swap{next: next, done: make(chan struct{})}
	select {
	case s.swaps <- ask:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-ask.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.awaitMounts(ctx, next)
}

func (s *supervisor) awaitMounts(ctx context.Context, all []*supervised) error {
	limit := time.NewTimer(mountWait)
	defer limit.Stop()
	for _, one := range all {
		pending := one.mount.pending()
		if pending == nil {
			continue
		}
		select {
		case <-pending:
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// replace ends the sources that are not among next, and then starts those that
// do not run.
func (s *supervisor) replace(ctx context.Context, next []*supervised) {
	s.mu.Lock()
	before := s.current
	s.current = next
	s.mu.Unlock()
	var ending []*supervised
	for _, one := range before {
		if !slices.Contains(next, one) {
			one.cancel()
			ending = append(ending, one)
		}
	}
	limit := time.NewTimer(sourceWithin)
	defer limit.Stop()
	for _, one := range ending {
		select {
		case <-one.ended:
		case <-limit.C:
			s.logger.Error("source has not stopped in time", slog.String("source", one.config.Name), slog.Duration("after", sourceWithin))
			return
		}
	}
	for _, one := range next {
		if one.cancel == nil {
			s.start(ctx, one)
		}
	}
}

// start runs one source until it is cancelled.
func (s *supervisor) start(ctx context.Context, one *supervised) {
	ctx, one.cancel = context.WithCancel(ctx)
	name := one.config.Name
	out := &countingOut{Out: s.out(name), name: name, health: one.health, accepted: s.accepted}
	run := func(ctx context.Context) error {
		well := time.AfterFunc(settleTime, one.health.recovered)
		defer well.Stop()
		return one.source.Run(ctx, out)
	}
	failed := func(err error, wait time.Duration) {
		one.health.failed(err)
		one.mount.settled()
		attrs := []any{slog.String("source", name), slog.Any("error", err), slog.Duration("again_in", wait)}
		if panicked, ok := errors.AsType[*panicError](err); ok {
			attrs = append(attrs, slog.String("stack", string(panicked.stack)))
		}
		s.logger.Error("source has failed", attrs...)
	}
	go func() {
		defer close(one.ended)
		keep(ctx, run, failed)
	}()
}

// list returns the health of the sources.
func (s *supervisor) list() []admin.Source {
	s.mu.Lock()
	current := slices.Clone(s.current)
	s.mu.Unlock()
	all := make([]admin.Source, 0, len(current))
	for _, one := range current {
		seen := admin.Source{Name: one.config.Name, Kind: one.config.Kind}
		one.health.fill(&seen)
		if lagging, ok := one.source.(sources.Lagging); ok {
			fillLag(&seen, lagging)
		}
		all = append(all, seen)
	}
	return all
}

// fillLag adds what the source knows of its lag: how old, how many, or both.
func fillLag(seen *admin.Source, source sources.Lagging) {
	age, items := source.Lag()
	if age >= 0 {
		seconds := age.Seconds()
		seen.LagSeconds = &seconds
	}
	if items >= 0 {
		seen.LagItems = &items
	}
}

// failures returns how many publishes of each source were refused.
func (s *supervisor) failures() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]uint64, len(s.current))
	for _, one := range s.current {
		one.health.mu.Lock()
		all[one.config.Name] = one.health.failures
		one.health.mu.Unlock()
	}
	return all
}
