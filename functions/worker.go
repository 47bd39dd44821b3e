package functions

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/functions/runtimeapi"
)

// shutdownGrace is how long a worker with an extension has from its SIGTERM
// until it is killed, as in the service. Others are killed at once.
const shutdownGrace = 2 * time.Second

// A worker is one process of a function, from its start to its end.
type worker struct {
	pool        *Pool
	id          int
	name        string // random
	provisioned bool

	stop, kill         chan struct{} // closed when it has to end, after its grace or at once
	stopOnce, killOnce sync.Once
	calls              sync.WaitGroup // invocations that it was given

	// Set before it is ready.
	api     *runtimeapi.Server
	process Process
	output  *output
	init    atomic.Int64 // nanoseconds, until they are reported

	// Set before api is closed.
	exit Exit
}

func newWorker(p *Pool, id int, provisioned bool) *worker {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return &worker{
		pool: p, id: id, name: hex.EncodeToString(random[:]), provisioned: provisioned,
		stop: make(chan struct{}), kill: make(chan struct{}),
	}
}

func (w *worker) end()     { w.stopOnce.Do(func() { close(w.stop) }) }
func (w *worker) killNow() { w.killOnce.Do(func() { close(w.kill) }) }

// live runs the worker, and tells the pool when it is gone.
func (w *worker) live() {
	err := w.run(context.Background()) // it outlives the invocation that it was started for
	if err == nil {
		err = w.ended()
	}
	if w.output != nil {
		err = &loggedError{w.output.last(), err}
	}
	w.pool.lost(w) // if it has never run
	w.pool.gone(w, err)
}

// run lives the worker's life. The error is why it could not be started; that
// its process has ended is none.
func (w *worker) run(ctx context.Context) error {
	folder := filepath.Join(w.pool.options.Scratch, folderPrefix+w.name)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("make the worker's folder: %w", err)
	}
	defer func() { _ = removeFolder(folder) }() // the next pool tries again
	if err := w.launch(ctx, folder); err != nil {
		return err
	}
	ready, err := w.initialize()
	if ready {
		w.pool.ready(w)
		w.wait(ctx)
	}
	w.process.Kill()
	<-w.process.Done()
	w.output.end()
	w.exit = w.process.Exit()
	w.pool.lost(w)
	_ = w.api.Close() // what it runs is answered now
	w.calls.Wait()
	return err
}

// launch opens the Runtime API and starts the process.
func (w *worker) launch(ctx context.Context, folder string) (err error) {
	spec := &w.pool.spec
	w.api = runtimeapi.New(runtimeapi.Options{
		ARN: spec.ARN(), Handler: spec.Program.Handler, MaxConcurrency: spec.PerWorker,
		Logger: w.pool.options.Logger.With(slog.String("function", spec.Name)),
	})
	if err := w.api.Listen(ctx); err != nil {
		return err
	}
	from, to, err := os.Pipe()
	if err == nil {
		w.process, err = w.pool.launcher.Launch(ctx, Launch{
			Worker: w.name, Folder: folder, Output: to,
			Env: environment(*spec, w.name, w.api.Addr(), w.provisioned, time.Now()),
		})
	}
	if err != nil {
		_ = from.Close()
		_ = w.api.Close()
		return err
	}
	w.output = newOutput(from, spec.Name, w.name, w.pool.line)
	return nil
}

// initialize waits until the worker asks for its first invocation. It is not
// ready, without an error, when its process has ended.
func (w *worker) initialize() (ready bool, err error) {
	started := w.process.Started()
	limit := time.NewTimer(w.pool.spec.InitTimeout)
	defer limit.Stop()
	select {
	case <-w.api.Initialized():
		took := time.Since(started)
		w.pool.options.Metrics.initialized(w.pool.spec.Name, took)
		if !w.provisioned {
			w.init.Store(int64(took))
		}
		return true, nil
	case failed := <-w.api.InitError():
		w.process.Settle()
		w.output.drain()
		w.output.platform("", initReportLine(time.Since(started), "error", failed.Type))
		return false, failed
	case <-w.process.Done():
		w.output.drain()
		kind, _ := w.process.Exit().words()
		w.output.platform("", initReportLine(time.Since(started), "error", kind))
		return false, nil
	case <-limit.C:
		w.output.drain()
		w.output.platform("", initReportLine(time.Since(started), "timeout", ""))
		return false, fmt.Errorf("it did not ask for an invocation within %v (init_timeout)", w.pool.spec.InitTimeout)
	case <-w.stop:
	case <-w.kill:
	}
	return false, ErrClosed
}

// ended words the end of a worker that was of no use.
func (w *worker) ended() error {
	if w.exit.OutOfMemory {
		return fmt.Errorf("it has used more than the %d MiB of memory that it may", w.pool.spec.Memory>>20)
	}
	_, message := w.exit.words()
	return errors.New(strings.Replace(message, "Runtime exited", "it has exited", 1) + " before it began an invocation")
}

// wait waits until the worker has ended or has to. One with an extension is told
// before, and asked.
func (w *worker) wait(ctx context.Context) {
	select {
	case <-w.process.Done():
		return
	case <-w.kill:
		return
	case <-w.stop:
	}
	if len(w.api.Extensions()) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, shutdownGrace)
	defer cancel()
	deadline, _ := ctx.Deadline()
	_ = w.api.Shutdown(ctx, "spindown", deadline) // it may have gone
	w.process.Terminate()
	select {
	case <-w.process.Done():
	case <-w.kill:
	case <-ctx.Done():
	}
}

// removeFolder removes what a worker has left, in folders too that it has
// closed to itself.
func removeFolder(path string) error {
	if err := os.RemoveAll(path); err == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(at string, entry os.DirEntry, _ error) error {
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(at, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}
