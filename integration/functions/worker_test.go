//go:build integration

package functions_test

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// What a worker finds in its environment.
const (
	tokenVariable = "FAULTS_TOKEN" // by which a test knows its processes
	urlVariable   = "FAULTS_URL"   // of the test's server
)

// An order is an event: what the worker is to do, at most so many times.
type order struct {
	ID   string `json:"id"`
	Data struct {
		Do       string `json:"do"`
		Attempts int    `json:"attempts"` // the first ones; 0: all
	} `json:"data"`
}

// An answer echoes whose it is.
type answer struct {
	ID   string `json:"id"`
	Fill string `json:"fill,omitempty"`
}

const large = 5 << 20 // bytes of an answer

// seen is where workers tell what they do.
type seen struct {
	server *httptest.Server

	mu      sync.Mutex
	ids     map[string]int
	pids    []int // of workers that have begun an invocation, and were not hit
	meeting int
	wanted  int           // how many meet
	met     chan struct{} // closed when they have
	over    chan struct{} // closed to let them go
}

func newSeen(t *testing.T) *seen {
	t.Helper()
	s := &seen{ids: map[string]int{}, met: make(chan struct{}), over: make(chan struct{})}
	s.server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
	})
	return s
}

// ServeHTTP takes what a worker tells. At the meeting it answers when that is over.
func (s *seen) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path != "/meet" {
		s.ids[r.URL.Query().Get("id")]++
		if pid, err := strconv.Atoi(r.URL.Query().Get("pid")); err == nil && !slices.Contains(s.pids, pid) {
			s.pids = append(s.pids, pid)
		}
		return
	}
	s.meeting++
	if s.meeting == s.wanted {
		close(s.met)
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-s.over:
	case <-r.Context().Done():
	}
}

// missing returns which of the ids no worker has told of.
func (s *seen) missing(ids []string) (missing []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.ids[id] == 0 {
			missing = append(missing, id)
		}
	}
	return missing
}

// hit sends a signal to one of the workers that have begun an invocation. It is
// false while there is none. Those that have not begun are spared, since a pool
// pauses when workers end again and again before they do.
func (i *installation) hit(r *rand.Rand, signal syscall.Signal) bool {
	s := i.seen
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pids) > 0 {
		n := r.IntN(len(s.pids))
		pid := s.pids[n]
		s.pids = slices.Delete(s.pids, n, n+1)
		if i.workers.have(pid) && syscall.Kill(pid, signal) == nil {
			return true
		}
	}
	return false
}

// processes are those with a token in their environment: workers, and what they
// have started.
type processes string

func (p processes) pids() (pids []int) {
	paths, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range paths {
		if pid, err := strconv.Atoi(filepath.Base(path)); err == nil && p.have(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// have tells whether a process is one of them. One that has ended has no
// environment.
func (p processes) have(pid int) bool {
	environment, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return err == nil && bytes.Contains(environment, []byte(tokenVariable+"="+string(p)+"\x00"))
}

func (p processes) kill() {
	for _, pid := range p.pids() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
}
