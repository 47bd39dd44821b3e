package functions

import (
	"path/filepath"
	"strconv"
	"sync"
)

// A Host is what the pools of one program share. Folders must be set.
type Host struct {
	Observer Observer
	Metrics  *Metrics
	Folders  *Folders
}

// Folders gives every pool a folder of its own, below one. The names are used
// again, so that a pool finds what one of an earlier run has left, and NewPool
// can clear it away.
type Folders struct {
	base  func() (string, error)
	mu    sync.Mutex
	taken map[string]bool
}

// NewFolders gives folders below base, which makes that one when it is not
// there, and returns its absolute path. It is called for each folder that is
// taken.
func NewFolders(base func() (string, error)) *Folders {
	return &Folders{base: base, taken: map[string]bool{}}
}

// Take returns the path of a folder for a pool of a function, which is not made.
// Nobody else gets it before release.
func (f *Folders) Take(function string) (dir string, release func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	base, err := f.base()
	if err != nil {
		return "", nil, err
	}
	for n := 1; ; n++ {
		name := function + "." + strconv.Itoa(n)
		if f.taken[name] {
			continue
		}
		f.taken[name] = true
		return filepath.Join(base, name), func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.taken, name)
		}, nil
	}
}
