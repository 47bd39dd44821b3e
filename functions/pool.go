package functions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	// An invocation that this many workers in a row did not begin is not given
	// to one more.
	maxHands = 3
	// The pauses between starts that fail.
	firstPause = 200 * time.Millisecond
	mostPause  = time.Minute
	// Folders of workers in the scratch folder.
	folderPrefix = "worker-"
)

// Options are what a pool is given beside its Spec.
type Options struct {
	Logger   *slog.Logger // discards when nil
	Observer Observer     // may be nil
	// Scratch is the absolute path of a folder of this pool alone, made when it
	// is not there. What an earlier pool has left in it is removed, processes
	// too.
	Scratch string
	// Metrics may be nil. Pools share one.
	Metrics *Metrics
	// Launcher starts the processes; nil are those of this machine. The pool
	// closes it.
	Launcher Launcher
}

// Stats is how a pool stands.
type Stats struct {
	// Workers that start, wait for an invocation, have one, or end.
	Starting, Idle, Busy, Ending int
	// Waiting invocations, for a worker that starts or for room.
	Waiting int
	// Failed starts in a row. While there are some, Backoff is how long no
	// worker will be started, and Err what went wrong.
	Failed  int
	Backoff time.Duration
	Err     error
}

// A Pool has the workers of one function.
type Pool struct {
	spec     Spec
	options  Options
	launcher Launcher
	running  sync.WaitGroup // the workers

	mu      sync.Mutex
	core    core
	workers map[int]*worker
	asks    map[int]chan grant // of a capacity of 1
	timer   *time.Timer        // calls tick
}

// A grant is what an invocation that waits gets.
type grant struct {
	worker *worker
	err    error
}

// NewPool checks the spec, removes what an earlier pool has left in the scratch
// folder, and starts the provisioned workers in the background.
func NewPool(spec Spec, options Options) (*Pool, error) {
	spec = spec.WithDefaults()
	if err := spec.check(); err != nil {
		return nil, err
	}
	if err := clean(options.Scratch, spec.User != ""); err != nil {
		return nil, err
	}
	p := &Pool{
		spec: spec, options: options, launcher: options.Launcher,
		workers: make(map[int]*worker), asks: make(map[int]chan grant),
		core: core{limits: limits{
			concurrency: spec.Concurrency, perWorker: spec.PerWorker, workers: spec.Workers(),
			provisioned: spec.Provisioned, maxCalls: spec.MaxCalls, idle: spec.Idle,
		}},
	}
	if p.options.Logger == nil {
		p.options.Logger = slog.New(slog.DiscardHandler)
	}
	if p.launcher == nil {
		launcher, err := newLauncher(spec, options.Scratch)
		if err != nil {
			return nil, fmt.Errorf("function %q: %w", spec.Name, err)
		}
		p.launcher = launcher
	}
	p.timer = time.AfterFunc(time.Hour, p.tick)
	p.options.Metrics.add(p)
	p.tick()
	return p, nil
}

// clean makes the scratch folder, and removes the folders and processes of
// workers that an earlier sluice had no time to end.
func clean(scratch string, others bool) error {
	if !filepath.IsAbs(scratch) {
		return fmt.Errorf("the scratch folder %q of a function is no absolute path", scratch)
	}
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return fmt.Errorf("make a function's scratch folder: %w", err)
	}
	if others { // workers of another user have to pass through it
		if err := os.Chmod(scratch, 0o711); err != nil { //nolint:gosec // on purpose
			return fmt.Errorf("open a function's scratch folder: %w", err)
		}
	}
	entries, err := os.ReadDir(scratch)
	if err != nil {
		return fmt.Errorf("read a function's scratch folder: %w", err)
	}
	for _, entry := range entries {
		if worker, ok := strings.CutPrefix(entry.Name(), folderPrefix); ok {
			killOrphans(worker)
			if err := removeFolder(filepath.Join(scratch, entry.Name())); err != nil {
				return fmt.Errorf("remove what a worker has left: %w", err)
			}
		}
	}
	return nil
}

// Invoke waits for a worker and calls the function. Its errors are
// *FunctionError when the invocation has begun, and then the Result has its
// Report and LogTail, *StartError, ErrThrottled, ErrClosed and ctx's own. A
// worker whose invocation is canceled is killed, since nobody knows what it
// still does.
func (p *Pool) Invoke(ctx context.Context, in Invocation) (Result, error) {
	asked := time.Now()
	for hands := 1; ; hands++ {
		w, err := p.acquire(ctx, in.MaxWait-time.Since(asked), hands > 1)
		if err != nil {
			p.options.Metrics.refused(p.spec.Name, err)
			return Result{}, err
		}
		result, v := w.call(ctx, in)
		if v.begun || ctx.Err() != nil {
			return result, v.err
		}
		if hands == maxHands {
			err := &StartError{Function: p.spec.Name, After: firstPause, Log: w.output.last(), Err: v.err}
			p.options.Metrics.refused(p.spec.Name, err)
			return Result{}, err
		}
	}
}

// acquire waits for a worker.
func (p *Pool) acquire(ctx context.Context, maxWait time.Duration, first bool) (*worker, error) {
	id, granted := p.arrive(maxWait <= 0, first)
	expired := time.NewTimer(max(0, maxWait))
	defer expired.Stop()
	for {
		select {
		case g := <-granted:
			return g.worker, g.err
		case <-expired.C:
			p.do(func(now time.Time) []action { return p.core.expire(now, id) })
		case <-ctx.Done():
			p.leave(id, granted)
			return nil, ctx.Err()
		}
	}
}

func (p *Pool) arrive(overdue, first bool) (int, <-chan grant) {
	granted := make(chan grant, 1)
	var id int
	p.do(func(now time.Time) []action {
		var do []action
		id, do = p.core.arrive(now, overdue, first)
		p.asks[id] = granted
		return do
	})
	return id, granted
}

// leave gives up waiting, and gives back what was got at the same time.
func (p *Pool) leave(id int, granted <-chan grant) {
	p.do(func(now time.Time) []action {
		if p.core.leave(id) {
			delete(p.asks, id)
			return p.core.settle(now)
		}
		g := <-granted // it is there, since the line does not have it any more
		if g.worker == nil {
			return nil
		}
		defer g.worker.calls.Done()
		return p.core.finished(now, g.worker.id, false, true)
	})
}

// do lets the core take an event, and does what it says.
func (p *Pool) do(event func(now time.Time) []action) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, a := range event(now) {
		p.act(a)
	}
	if at := p.core.wake(now); !at.IsZero() {
		p.timer.Reset(max(0, at.Sub(now)))
	}
}

func (p *Pool) act(a action) {
	switch a.kind {
	case startWorker:
		w := newWorker(p, a.worker, a.provisioned)
		p.workers[a.worker] = w
		p.running.Go(w.live)
	case assignWorker:
		w := p.workers[a.worker]
		w.calls.Add(1)
		p.answer(a.ask, grant{worker: w})
	case endWorker:
		p.workers[a.worker].end()
	case killWorker:
		p.workers[a.worker].killNow()
	case refuseThrottled:
		p.answer(a.ask, grant{err: ErrThrottled})
	case refuseClosed:
		p.answer(a.ask, grant{err: ErrClosed})
	case refuseStart:
		p.answer(a.ask, grant{err: p.startError(a.after)})
	}
}

func (p *Pool) answer(ask int, g grant) {
	p.asks[ask] <- g
	delete(p.asks, ask)
}

func (p *Pool) startError(after time.Duration) error {
	failed := &StartError{Function: p.spec.Name, After: after, Err: p.core.failureErr}
	if with, ok := errors.AsType[*loggedError](p.core.failureErr); ok {
		failed.Log, failed.Err = with.log, with.err
	}
	return failed
}

// tick does what has become due.
func (p *Pool) tick() { p.do(func(now time.Time) []action { return p.core.settle(now) }) }

func (p *Pool) ready(w *worker) {
	p.do(func(now time.Time) []action { return p.core.ready(now, w.id) })
}

func (p *Pool) finished(w *worker, v verdict) {
	defer w.calls.Done()
	p.do(func(now time.Time) []action { return p.core.finished(now, w.id, v.begun, v.keep) })
}

func (p *Pool) lost(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core.lost(w.id)
}

// gone forgets a worker that has ended.
func (p *Pool) gone(w *worker, err error) {
	p.do(func(now time.Time) []action {
		delete(p.workers, w.id)
		before := p.core.failed
		do := p.core.gone(now, w.id, err, pause)
		if p.core.failed > before {
			p.options.Metrics.failed(p.spec.Name)
		}
		if before == 0 && p.core.failed > 0 {
			p.options.Logger.Warn("workers of a function cannot be started", slog.String("function", p.spec.Name), slog.Any("error", err))
		}
		return do
	})
}

// pause is how long to wait after so many failed starts in a row.
func pause(failed int) time.Duration {
	longest := min(mostPause, firstPause<<min(failed-1, 20))
	return longest/2 + rand.N(longest/2)
}

func (p *Pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.closed
}

func (p *Pool) line(l Line) {
	if p.options.Observer != nil {
		p.options.Observer.Line(l)
	}
}

func (p *Pool) report(r Report) {
	p.options.Metrics.reported(r)
	if p.options.Observer != nil {
		p.options.Observer.Report(r)
	}
}

// Refresh says that the program has changed: new workers are started from it,
// those that are there end after what they run.
func (p *Pool) Refresh() { p.do(p.core.refresh) }

// Stats says how the pool stands.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.stats(time.Now())
}

// Close ends all workers. Whoever wants running invocations to end waits for
// them first: what still runs is killed, and answered with ErrClosed.
func (p *Pool) Close() error {
	if p.isClosed() {
		return nil
	}
	p.do(p.core.close)
	p.timer.Stop()
	p.running.Wait()
	p.options.Metrics.remove(p)
	return p.launcher.Close()
}
