package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats-server/v2/server"

	"sluice/event"
)

const (
	// examineEvery is how often the store is looked at when nothing is said of it.
	examineEvery = 2 * time.Second
	// startRoom is how much must be free before a server is started, beyond what
	// it has to finish storing.
	startRoom = 1 << 20
)

// An embedded server runs in this process, on a folder that it owns. A server
// whose store has failed to write stores nothing any more, even when there is
// room again. So it is stopped at once, and another one is started on the folder
// as soon as that is possible: the connection finds it by itself.
type embedded struct {
	options Options
	log     *slog.Logger
	names   Names
	lock    *folderLock
	staging *staging
	alarm   chan struct{} // a token when the server has said that something is wrong
	cancel  context.CancelFunc
	watched chan struct{} // closed when nobody looks at the store any more; nil when nobody has

	mu       sync.Mutex
	server   *server.Server // nil while there is none
	problem  error          // why there is none
	failures uint64         // of stores
}

// startEmbedded locks the folder and starts a server on it, which nobody watches
// yet.
func startEmbedded(o Options, names Names) (*embedded, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("the bus's folder: %w", err)
	}
	lock, err := lockFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{
		options: o, log: o.Logger, names: names, lock: lock, staging: newStaging(o, names),
		alarm: make(chan struct{}, 1),
	}
	if err := e.start(); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return e, nil
}

// keep looks after the server from now on, until stop is called.
func (e *embedded) keep(ctx context.Context) {
	ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e.watched = make(chan struct{})
	go e.watch(ctx)
}

// again stops the server and starts another one, while nobody watches it.
func (e *embedded) again() error {
	s, err := e.current()
	if err != nil {
		return err
	}
	stopServer(s)
	return e.start()
}

// start starts a server, when there is room for what it does first.
func (e *embedded) start() error {
	err := roomToStart(e.options.Dir)
	var s *server.Server
	if err == nil {
		e.staging.examine()
		s, err = startServer(e.options, serverLog{e.log, e.alarm})
	}
	if err == nil {
		e.settle(s)
	}
	if err == nil && e.options.Listen != "" {
		e.options.Listen = s.Addr().String() // the next one is to be found there too
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server, e.problem = s, err
	return err
}

// settle has the streams of a server stored as they should be, as far as they
// exist. It is to be called before anything is published.
func (e *embedded) settle(s *server.Server) {
	e.staging.place()
	if err := forgetBlocks(s, cacheFor, e.names.Events, e.names.Objects); err != nil {
		e.log.Info("more of the log is kept in memory than need be", slog.Any("error", err))
	}
}

// current returns the server, or why there is none at the moment.
func (e *embedded) current() (*server.Server, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return nil, fmt.Errorf("%w: the embedded server is being started again: %w", event.ErrUnavailable, e.problem)
	}
	return e.server, nil
}

// failed returns how many stores were broken.
func (e *embedded) failed() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failures
}

// InProcessConn connects to the server that runs at the moment; it is for
// nats.InProcessServer.
func (e *embedded) InProcessConn() (net.Conn, error) {
	s, err := e.current()
	if err != nil {
		return nil, err
	}
	return s.InProcessConn()
}

// watch replaces servers whose store is broken, until ctx ends.
func (e *embedded) watch(ctx context.Context) {
	defer close(e.watched)
	ticker := time.NewTicker(examineEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-e.alarm:
		case <-ctx.Done():
			return
		}
		s, err := e.current()
		if err == nil {
			err = storeFailure(s)
		}
		if err != nil {
			e.replace(ctx, s, err)
		}
	}
}

// storeFailure returns why the server does not store any more; nil when it does.
func storeFailure(s *server.Server) error {
	if !s.JetStreamEnabled() {
		return errors.New("the server has switched its store off; its log says why")
	}
	for _, found := range s.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if strings.Contains(found.Error, "write error") { // others do not go away by a restart
			return errors.New(found.Error)
		}
	}
	return nil
}

// replace stops the server, and tries until another one runs or ctx ends.
func (e *embedded) replace(ctx context.Context, broken *server.Server, cause error) {
	e.log.Error("the store is broken: the embedded server is started again", slog.Any("error", cause))
	began := time.Now()
	e.mu.Lock()
	e.server, e.problem = nil, cause
	e.failures++
	e.mu.Unlock()
	if broken != nil {
		stopServer(broken)
	}
	pace := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(250*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0),
	)
	said := ""
	err := backoff.RetryNotify(e.start, backoff.WithContext(pace, ctx), func(err error, _ time.Duration) {
		if said != err.Error() {
			said = err.Error()
			e.log.Warn("the embedded server cannot be started yet", slog.Any("error", err))
		}
	})
	if err == nil {
		e.log.Info("the embedded server stores again", slog.Duration("after", time.Since(began)))
	}
}

// stop ends the server and lets the folder go, when ctx has not ended before.
// The folder stays locked as long as the server may still write to it.
func (e *embedded) stop(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		if e.watched != nil {
			e.cancel()
			<-e.watched
		}
		if s, err := e.current(); err == nil {
			stopServer(s)
		}
		e.staging.clear()
		done <- e.lock.release()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the embedded server did not stop in time: %w", ctx.Err())
	}
}

// roomToStart returns an error when the disk has no room for a server to finish
// what another one has begun: a batch that is partly stored is completed from
// what was staged of it, and what does not fit then would be lost.
func roomToStart(dir string) error {
	need, err := stagedBelow(filepath.Join(dir, storeFolder))
	if err != nil {
		return fmt.Errorf("the bus's folder: %w", err)
	}
	need += startRoom
	if free, err := freeSpace(dir); err == nil && free < need { // what the system does not say is no reason
		return fmt.Errorf("%w: the disk of %s has %d bytes free, and a start needs %d: make room", event.ErrFull, dir, free, need)
	}
	return nil
}

// stagedBelow returns how many bytes of batches are staged below a folder.
func stagedBelow(dir string) (size int64, err error) {
	folders, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "*", "batches"))
	if err != nil {
		return 0, err
	}
	for _, folder := range folders {
		folder, err := filepath.EvalSymlinks(folder)
		if errors.Is(err, fs.ErrNotExist) { // it was in memory
			continue
		}
		if err != nil {
			return 0, err
		}
		err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err == nil {
				size += info.Size()
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return size, nil
}
