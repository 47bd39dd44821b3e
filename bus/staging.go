package bus

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// stagingRoom is how much must be free in memory for staging there: that of
// several batches.
const stagingRoom = 32 << 20

// stagingPrefix begins the names of folders in memory.
const stagingPrefix = "sluice-batches-"

// A staging is where the embedded server writes the batches of one stream before
// it stores them. On the disk that takes five syncs of files and folders for each
// batch, which nobody ever reads unless the process dies while a batch is being
// stored: then the server completes it from there at its next start. So they are
// in memory, where the system has a file system for that: it outlives the process.
// It does not outlive the machine: see mendTail for a batch that a power cut leaves
// in part.
type staging struct {
	path   string // where the server looks for them
	memory string // the file system in memory; empty when there is none
	log    *slog.Logger

	mu  sync.Mutex
	dir string // the folder there, as long as path is a link to it
}

func newStaging(o Options, names Names) *staging {
	return &staging{path: filepath.Join(streamFolder(o.Dir, names.Events), "batches"), memory: memoryFolder(), log: o.Logger}
}

// streamFolder is where the embedded server keeps a stream.
func streamFolder(dir, stream string) string {
	return filepath.Join(dir, storeFolder, "jetstream", "$G", "streams", stream)
}

// examine finds what another process has staged in memory, for the server to
// complete. After a restart of the machine anybody may have made a folder of that
// name: only this user's own is taken.
func (s *staging) examine() {
	s.mu.Lock()
	defer s.mu.Unlock()
	target, err := os.Readlink(s.path)
	if err != nil { // nothing, or a folder on the disk
		return
	}
	if strings.HasPrefix(filepath.Base(target), stagingPrefix) && isPrivate(target) {
		s.dir = target
		return
	}
	s.tell(os.Remove(s.path))
}

// place makes room in memory for what the server will stage, once the stream
// exists and the server has completed what there was. It is to be called before
// anything is published, and does nothing when all is in place.
func (s *staging) place() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if link, err := os.Readlink(s.path); err == nil && link == s.dir && s.dir != "" {
		return
	}
	if s.dir != "" { // completed, and its link removed, by the server
		s.tell(os.RemoveAll(s.dir))
		s.dir = ""
	}
	if _, err := os.Stat(filepath.Dir(s.path)); err != nil || s.memory == "" {
		return
	}
	if free, err := freeSpace(s.memory); err != nil || free < stagingRoom {
		s.log.Info("batches are staged on the disk, which is slower: there is no room in memory", slog.String("dir", s.memory), slog.Int64("free", free))
		return
	}
	dir, err := os.MkdirTemp(s.memory, stagingPrefix)
	if err != nil {
		s.tell(err)
		return
	}
	if err := os.Symlink(dir, s.path); err != nil {
		s.tell(errors.Join(err, os.Remove(dir)))
		return
	}
	s.dir = dir
}

// inMemory tells whether batches are staged there.
func (s *staging) inMemory() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dir != ""
}

// clear gives the memory back when the server has stopped. What a batch still
// needs stays.
func (s *staging) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" || os.Remove(s.dir) != nil {
		return
	}
	s.tell(os.Remove(s.path))
	s.dir = ""
}

// tell logs what is no more than a loss of speed, or of some memory.
func (s *staging) tell(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Info("the folder for batches in memory", slog.Any("error", err))
	}
}
