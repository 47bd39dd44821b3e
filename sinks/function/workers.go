package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"sluice/functions"
	"sluice/functions/container"
	"sluice/functions/runtimes"
)

// The waits before a program that could not be made is made again.
const (
	firstMaking   = time.Second
	longestMaking = time.Minute
)

// workers make the program of a function, and have its pool.
type workers struct {
	config  *Config
	name    string
	logger  *slog.Logger
	host    functions.Host
	folder  string
	release func() // of the folder

	refresh chan chan error
	cancel  context.CancelFunc
	ended   chan struct{}
	made    chan struct{} // closed when the program has been made once, or could not be

	launcher *container.Launcher // of an image, once it is there; of run and close alone

	mu      sync.Mutex
	pool    *functions.Pool // nil until there is a program
	program runtimes.Program
	err     error     // of the last making
	again   time.Time // when the next one is, after an error
}

func newWorkers(c *Config, name string, host functions.Host, logger *slog.Logger) (*workers, error) {
	folder, release, err := host.Folders.Take(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &workers{
		config: c, name: name, logger: logger, host: host, folder: folder, release: release,
		refresh: make(chan chan error), cancel: cancel, ended: make(chan struct{}), made: make(chan struct{}),
	}
	if c.Image == "" {
		w.program.Watch = []string{filepath.Dir(c.path())}
	}
	go func() {
		defer close(w.ended)
		w.run(ctx)
	}()
	return w, nil
}

// run makes the program: at once, again when that has failed, and whenever
// somebody asks for it.
func (w *workers) run(ctx context.Context) {
	waits := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstMaking), backoff.WithMaxInterval(longestMaking), backoff.WithMaxElapsedTime(0),
	)
	answer := func(error) {}
	for first := true; ctx.Err() == nil; first = false {
		err := w.make(ctx)
		var timer <-chan time.Time
		if wait := waits.NextBackOff(); err != nil {
			timer = time.After(wait)
			w.failed(ctx, err, wait)
		} else {
			waits.Reset()
		}
		if first {
			close(w.made)
		}
		answer(err)
		answer = func(error) {}
		select {
		case <-ctx.Done():
		case <-timer:
		case asked := <-w.refresh:
			waits.Reset()
			answer = func(err error) { asked <- err }
		}
	}
}

// make makes the program, and the pool or its workers anew.
func (w *workers) make(ctx context.Context) error {
	program, err := w.prepare(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pool == nil {
		pool, err := w.open(program)
		if err != nil {
			return err
		}
		w.pool = pool
	} else {
		w.pool.Refresh()
	}
	w.program, w.err = program, nil
	return nil
}

// prepare makes the program, or finds the image; of a container the program is
// in there, and nothing of it is known.
func (w *workers) prepare(ctx context.Context) (program runtimes.Program, err error) {
	switch {
	case w.config.Image == "":
		folder := filepath.Join(w.folder, "program")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return program, fmt.Errorf("make the folder of the program: %w", err)
		}
		return w.config.source.Program(ctx, folder)
	case w.launcher != nil:
		return program, w.launcher.Refresh(ctx)
	}
	w.launcher, err = container.NewLauncher(ctx, "", w.config.containers(w.name))
	return program, err
}

func (w *workers) open(program runtimes.Program) (*functions.Pool, error) {
	spec := w.config.spec(w.name)
	spec.Program = program
	options := functions.Options{
		Logger: w.logger, Observer: w.host.Observer, Metrics: w.host.Metrics, Scratch: filepath.Join(w.folder, "workers"),
	}
	if w.launcher != nil {
		spec.User, options.Launcher = "", w.launcher
	}
	return functions.NewPool(spec, options)
}

// failed keeps and logs what went wrong. An older program goes on.
func (w *workers) failed(ctx context.Context, err error, wait time.Duration) {
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.logger.Error("a function's program cannot be made", slog.String("function", w.name), slog.Any("error", err))
	}
	w.err, w.again = err, time.Now().Add(wait)
}

var errMaking = errors.New("the function's program is still being made")

// get returns the pool. It waits for the first program, but no longer than it
// may.
func (w *workers) get(ctx context.Context, wait time.Duration) (*functions.Pool, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.made:
	case <-timer.C:
		return nil, &functions.StartError{Function: w.name, Err: errMaking, After: firstMaking}
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.ended:
		return nil, functions.ErrClosed
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pool == nil {
		return nil, &functions.StartError{Function: w.name, Err: w.err, After: max(0, time.Until(w.again))}
	}
	return w.pool, nil
}

// Refresh makes the program anew, and returns why that is not possible; the old
// one goes on then.
func (w *workers) Refresh(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case w.refresh <- answer:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.ended:
		return functions.ErrClosed
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-w.ended:
		return functions.ErrClosed
	}
}

// Fingerprint changes whenever the files of the program do. It waits for the
// first program.
func (w *workers) Fingerprint() string {
	select {
	case <-w.made:
	case <-w.ended:
	}
	w.mu.Lock()
	program := w.program
	w.mu.Unlock()
	return program.Fingerprint()
}

// Health returns why no worker can be started, or nil.
func (w *workers) Health() error {
	w.mu.Lock()
	pool, err := w.pool, w.err
	w.mu.Unlock()
	if err != nil || pool == nil {
		return err
	}
	return pool.Stats().Err
}

// Stats returns how the pool stands.
func (w *workers) Stats() functions.Stats {
	w.mu.Lock()
	pool := w.pool
	w.mu.Unlock()
	if pool == nil {
		return functions.Stats{}
	}
	return pool.Stats()
}

// close ends all workers.
func (w *workers) close() error {
	w.cancel()
	<-w.ended
	defer w.release()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.pool != nil:
		return w.pool.Close()
	case w.launcher != nil:
		return w.launcher.Close()
	}
	return nil
}
