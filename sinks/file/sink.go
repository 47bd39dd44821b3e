package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"sluice/event/transform"
	"sluice/sinks"
	"sluice/sinks/naming"
)

const (
	// maxOpen is how many files stay open between deliveries.
	maxOpen = 64
	// temporary begins the names of files that are not whole yet.
	temporary = ".sluice-"
)

// A sink writes below one folder.
type sink struct {
	config Config
	path   *transform.Template
	turns  *transform.Turns
	logger *slog.Logger
	now    func() time.Time

	mu     sync.Mutex
	root   *os.Root        // nil until it is needed
	logs   map[string]*log // by path
	used   uint64          // counts uses of logs
	closed bool
}

var _ sinks.Closer = (*sink)(nil)

// Close closes the files.
func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.closeAll()
}

// Deliver writes the deliveries, those of one path together.
func (s *sink) Deliver(ctx context.Context, attempt sinks.Attempt) (sinks.Response, error) {
	failed := &naming.Failures{}
	for _, indexes := range naming.Groups(ctx, s.turns, "path", s.path, &attempt, failed) {
		if err := ctx.Err(); err != nil {
			failed.Add(fmt.Errorf("stopped before it was written: %w", err), indexes...)
			continue
		}
		if s.config.Format != Raw {
			failed.Add(s.write(ctx, &attempt, indexes), indexes...)
			continue
		}
		for _, i := range indexes {
			failed.Add(s.write(ctx, &attempt, []int{i}), i)
		}
	}
	return sinks.Response{}, failed.Settle(len(attempt.Deliveries))
}

// write writes the deliveries into one file, and returns when they are durable.
func (s *sink) write(ctx context.Context, a *sinks.Attempt, indexes []int) error {
	deliveries := make([]*sinks.Delivery, len(indexes))
	for i, at := range indexes {
		deliveries[i] = &a.Deliveries[at]
	}
	var name string
	err := sinks.Fill(ctx, s.turns, naming.Event(a, deliveries[0], naming.Batch(deliveries)), func(ctx context.Context, in *transform.Input) (err error) {
		if name, err = s.path.Text(ctx, in, nil); err == nil {
			err = checkPath(name)
		}
		return naming.Keyed("path", err)
	})
	if err != nil {
		return err
	}
	l, err := s.take(name)
	if err != nil {
		return s.explain(name, err)
	}
	defer s.leave(l)
	if s.config.Mode == Whole {
		return s.explain(name, l.replace(s.content(deliveries)))
	}
	return s.explain(name, l.append(s.content(deliveries)))
}

// content returns what is written for some deliveries.
func (s *sink) content(deliveries []*sinks.Delivery) []byte {
	var content []byte
	for _, d := range deliveries {
		switch s.config.Format {
		case Raw:
			return d.Event.Data
		case Data:
			content = sinks.AppendDataLine(content, d)
		default:
			content = sinks.AppendEventLine(content, d)
		}
	}
	return content
}

// checkPath refuses paths that are none, and the names of files that are not
// whole yet.
func checkPath(name string) error {
	if err := naming.Check(name, maxPath); err != nil {
		return err
	}
	if strings.HasPrefix(path.Base(name), temporary) {
		return fmt.Errorf("it makes %q, but names that begin with %s are those of files that are not whole yet", name, temporary)
	}
	return nil
}

// take returns the log of a path, which is kept open until it is left.
func (s *sink) take(name string) (*log, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, sinks.ErrClosed
	}
	if err := s.enter(); err != nil {
		return nil, &folderError{err}
	}
	l := s.logs[name]
	if l == nil {
		s.makeRoom()
		l = &log{root: s.root, name: name, rotate: s.config.Rotate, now: s.now, logger: s.logger}
		s.logs[name] = l
	}
	s.used++
	l.users, l.used = l.users+1, s.used
	return l, nil
}

// enter opens the folder, anew when another one is there now: it was moved, or
// something was mounted.
func (s *sink) enter() error {
	there, err := os.Stat(string(s.config.Folder))
	if err != nil {
		return err
	}
	if s.root != nil {
		mine, err := s.root.Stat(".")
		if err == nil && os.SameFile(there, mine) {
			return nil
		}
		if err := s.closeAll(); err != nil {
			s.logger.Warn("closing the files of a folder that was replaced", slog.Any("error", err))
		}
	}
	s.root, err = os.OpenRoot(string(s.config.Folder))
	return err
}

// closeAll closes everything. What is being written meanwhile fails.
func (s *sink) closeAll() error {
	var problems []error
	for _, l := range s.logs {
		problems = append(problems, l.close())
	}
	s.logs = map[string]*log{}
	if s.root != nil {
		problems = append(problems, s.root.Close())
		s.root = nil
	}
	return errors.Join(problems...)
}

// makeRoom closes the log that was not used for the longest time, when there are
// many.
func (s *sink) makeRoom() {
	if len(s.logs) < maxOpen {
		return
	}
	var oldest *log
	for _, l := range s.logs {
		if l.users == 0 && (oldest == nil || l.used < oldest.used) {
			oldest = l
		}
	}
	if oldest == nil {
		return // they are as many as attempts are under way
	}
	delete(s.logs, oldest.name)
	if err := oldest.close(); err != nil {
		s.logger.Warn("closing a file", slog.String("path", oldest.name), slog.Any("error", err))
	}
}

func (s *sink) leave(l *log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.users--
}

// A folderError says that the folder itself cannot be used.
type folderError struct{ err error }

func (e *folderError) Error() string { return e.err.Error() }
func (e *folderError) Unwrap() error { return e.err }

// explain adds to err what the user can do about it. What the path makes is
// refused for ever where the same event makes it again.
func (s *sink) explain(name string, err error) error {
	switch folder := s.config.Folder; {
	case err == nil:
		return nil
	case errors.As(err, new(*folderError)) && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("folder %s does not exist: create it, or correct folder: %w", folder, err)
	case errors.As(err, new(*folderError)):
		return fmt.Errorf("folder %s cannot be written into: correct folder: %w", folder, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("there is no room in %s: make some: %w", folder, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("sluice may not write %q below %s: let its user do so: %w", name, folder, err)
	case errors.Is(err, syscall.ENAMETOOLONG):
		return sinks.Permanent(fmt.Errorf("path: it makes %q, of which a part is too long for a name: %w", name, err))
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, fs.ErrExist):
		return sinks.Permanent(fmt.Errorf("path: it makes %q, but a file and a folder cannot have the same name: %w", name, err))
	default:
		return fmt.Errorf("%q cannot be written below %s: %w", name, folder, err)
	}
}
