package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

const (
	// maxUnsettled is how many files that are being written are watched at once.
	// Others are left for a later walk.
	maxUnsettled = 10_000
	// readAtOnce is how many names of a folder are read at once.
	readAtOnce = 1024
)

// An unsettled file is one that may still be written to.
type unsettled struct {
	state state
	since time.Time // when it was first seen so
}

// A walk is one look at everything below the folder.
type walk struct {
	run    *run
	root   *os.Root
	number uint32
	now    time.Time

	changes   []change
	unsettled map[string]unsettled
	due       time.Time // when the next unsettled file may be complete; zero for never
	skipped   []string  // folders that could not be read: what is known there stays
	problem   error     // the first one
}

func stateOf(info fs.FileInfo) state {
	s := state{modified: info.ModTime().UnixNano(), size: info.Size()}
	if system, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = system.Ino
	}
	return s
}

// folder looks at what is in a folder, "." for the whole; hand takes what was
// found when it has become much.
func (w *walk) folder(dir string, hand func() error) error {
	w.run.watch(dir)
	f, err := w.root.Open(dir)
	if err != nil {
		return w.skip(dir, err)
	}
	defer func() { _ = f.Close() }()
	var below []string
	for {
		entries, err := f.ReadDir(readAtOnce)
		for _, entry := range entries {
			name := path.Join(dir, entry.Name())
			switch {
			case !utf8.ValidString(name):
				w.trouble(fmt.Errorf("the name %q is not UTF-8, and the file is left out: rename it", name))
			case entry.IsDir():
				if w.run.cfg.Recursive && (w.run.cfg.Hidden || !strings.HasPrefix(entry.Name(), ".")) {
					below = append(below, name)
				}
			case entry.Type().IsRegular() && w.run.cfg.wants(name):
				w.file(name, entry)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return w.skip(dir, err)
		}
		if err := hand(); err != nil {
			return err
		}
	}
	_ = f.Close()
	for _, name := range below {
		if err := w.folder(name, hand); err != nil {
			return err
		}
	}
	return hand()
}

// skip leaves out a folder that cannot be read. The folder itself must be there.
func (w *walk) skip(dir string, err error) error {
	if dir == "." {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has gone meanwhile
	}
	w.skipped = append(w.skipped, dir+"/")
	w.trouble(fmt.Errorf("folder %q cannot be read, and is left out: let sluice's user read it: %w", dir, err))
	return nil
}

func (w *walk) trouble(err error) {
	if w.problem == nil {
		w.problem = err
	}
}

// wants tells whether a path is one to tell of.
func (c *Config) wants(name string) bool {
	segments := strings.Split(name, "/")
	for i, segment := range segments {
		if !c.Hidden && strings.HasPrefix(segment, ".") || !c.Recursive && i > 0 {
			return false
		}
	}
	return (len(c.Include) == 0 || matches(c.Include, name)) && !matches(c.Exclude, name)
}

func matches(patterns []string, name string) bool {
	for _, pattern := range patterns {
		what := path.Base(name)
		if strings.Contains(pattern, "/") {
			what = name
		}
		if matched, err := path.Match(pattern, what); err == nil && matched {
			return true
		}
	}
	return false
}

// file looks at one file.
func (w *walk) file(name string, entry fs.DirEntry) {
	shard := w.run.memory.files[shardOf(name)]
	before, found := shard[name]
	if found {
		before.walk = w.number
		shard[name] = before
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return // the next walk sees that it has gone
	}
	if err != nil {
		w.trouble(fmt.Errorf("%q cannot be looked at: %w", name, err))
		return
	}
	now := stateOf(info)
	if found && before.state == now || !w.settled(name, now) {
		return
	}
	w.changes = append(w.changes, change{path: name, state: now, known: found, quiet: !found && w.run.memory.old(now)})
}

// settled tells whether a file has stayed as it is for long enough: by the time at
// which it was modified, or, where that cannot be trusted, by having looked twice.
func (w *walk) settled(name string, s state) bool {
	settle := time.Duration(w.run.cfg.Settle)
	age := w.now.Sub(time.Unix(0, s.modified))
	if settle == 0 || age >= settle {
		return true
	}
	seen, found := w.run.unsettled[name]
	if !found || seen.state != s {
		seen = unsettled{state: s, since: w.now}
	}
	if w.now.Sub(seen.since) >= settle {
		return true
	}
	due := seen.since.Add(settle)
	if age >= 0 {
		due = w.now.Add(settle - age)
	}
	if w.due.IsZero() || due.Before(w.due) {
		w.due = due
	}
	if len(w.unsettled) < maxUnsettled {
		w.unsettled[name] = seen
	}
	return false
}

// gone returns what is known of a shard and was not seen.
func (w *walk) gone(shard int) []change {
	var all []change
	for name, f := range w.run.memory.files[shard] {
		if f.walk != w.number && !w.isSkipped(name) {
			all = append(all, change{path: name, state: f.state, gone: true, quiet: !w.run.cfg.wants(name), at: w.now})
		}
	}
	return all
}

func (w *walk) isSkipped(name string) bool {
	for _, prefix := range w.skipped {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
