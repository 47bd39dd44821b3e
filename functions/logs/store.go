package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sluice/functions"
)

// The pace of a store.
const (
	flushPause = 10 * time.Millisecond // between two writes of lines
	usageEvery = time.Second
	cleanEvery = 10 * time.Minute
	recovered  = time.Second // after the last failure
)

// The defaults and the least of the limits of a store.
const (
	DefaultMaxBytes = 64 << 20
	MinMaxBytes     = 1 << 20
	DefaultMaxAge   = 7 * 24 * time.Hour
	MinMaxAge       = time.Hour
)

// Options are what a Store is made of.
type Options struct {
	// Dir is the store's folder. It is made when it is missing, and belongs to
	// one store at a time.
	Dir string
	// MaxBytes bounds the lines that are kept of one function; DefaultMaxBytes,
	// and at least MinMaxBytes.
	MaxBytes int64
	// MaxAge is how long lines are kept; DefaultMaxAge, and at least MinMaxAge.
	MaxAge time.Duration
	// Full tells that nothing may be written, because what is left of the disk is
	// for others; nil when that is never so.
	Full   func() bool
	Logger *slog.Logger
	// Now is the clock; nil for the system's.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.Full == nil {
		o.Full = func() bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// A Store keeps the lines and the usage of functions. It is the Observer of
// their pools. It may be used by many goroutines at once.
type Store struct {
	options Options
	root    *os.Root
	queue   *queue
	usage   *usage
	folders map[string]*folder   // of Run only
	failing map[string]time.Time // of Run only: what cannot be written, and when that was tried last

	mu      sync.Mutex
	changed chan struct{} // closed when lines were written
}

// Open opens the store's folder. Run must be called for anything to be written,
// and Close when nobody reads any more.
func Open(options Options) (*Store, error) {
	options = options.withDefaults()
	if options.MaxBytes < MinMaxBytes || options.MaxAge < MinMaxAge {
		return nil, fmt.Errorf("the logs of functions: they are bounded to %d bytes and %s, and the least is %d and %s",
			options.MaxBytes, options.MaxAge, MinMaxBytes, MinMaxAge)
	}
	root, err := openRoot(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("the logs of functions: %w", err)
	}
	return &Store{
		options: options, root: root, queue: newQueue(), usage: newUsage(root, options.Now),
		folders: map[string]*folder{}, failing: map[string]time.Time{}, changed: make(chan struct{}),
	}, nil
}

// openRoot opens a folder with what is in it: one for lines, and one for usage.
func openRoot(dir string) (*os.Root, error) {
	for _, below := range []string{linesFolder, usageFolder} {
		if err := os.MkdirAll(filepath.Join(dir, below), 0o700); err != nil {
			return nil, err
		}
	}
	return os.OpenRoot(dir)
}

// Close lets the folder go. Run must have ended.
func (s *Store) Close() error { return s.root.Close() }

// Line takes a line. It does not block.
func (s *Store) Line(line functions.Line) { s.queue.put(line) }

// Report counts an invocation. It does not block.
func (s *Store) Report(report functions.Report) { s.usage.add(&report) }

// Run writes what the store is given, until ctx ends; then it writes the rest.
// What cannot be written is logged, and never an error.
func (s *Store) Run(ctx context.Context) error {
	sums := time.NewTicker(usageEvery)
	defer sums.Stop()
	cleaning := time.NewTicker(cleanEvery)
	defer cleaning.Stop()
	s.clean()
	for {
		select {
		case <-s.queue.ready:
			s.writeLines()
			pause(ctx, flushPause)
		case <-sums.C:
			s.writeUsage()
		case <-cleaning.C:
			s.clean()
		case <-ctx.Done():
			s.writeLines()
			s.writeUsage()
			return nil
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// writeLines writes all lines that wait, and tells those who follow.
func (s *Store) writeLines() {
	var failures []error
	for name, p := range s.queue.take() {
		failures = append(failures, s.folder(name).write(p))
	}
	s.note("lines", errors.Join(failures...))
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Store) writeUsage() { s.note("usage", s.usage.write()) }

// note logs that something cannot be written, once until it can again for a
// while: on a disk that is nearly full one write fits and another does not.
func (s *Store) note(what string, err error) {
	now, last := s.options.Now(), s.failing[what]
	switch {
	case err != nil && last.IsZero():
		s.options.Logger.Error("logs of functions cannot be written", slog.String("what", what), slog.Any("error", err))
		s.failing[what] = now
	case err != nil:
		s.failing[what] = now
	case !last.IsZero() && now.Sub(last) >= recovered:
		s.options.Logger.Info("logs of functions are written again", slog.String("what", what))
		delete(s.failing, what)
	}
}

func (s *Store) folder(name string) *folder {
	f := s.folders[name]
	if f == nil {
		f = &folder{root: s.root, name: name, options: &s.options}
		s.folders[name] = f
	}
	return f
}

// Changed returns a channel that is closed when lines were written after the
// call.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}
