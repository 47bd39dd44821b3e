package functions

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// How often the memory of a process is looked at, and every how many looks
	// that of what it has started.
	watchEvery   = 100 * time.Millisecond
	watchOthers  = 10
	maxOthers    = 1024 // processes of one worker that are looked at
	statusBuffer = 4 << 10
)

// A watch looks at the memory of processes, and kills those that use more than
// they may. It is not as exact as a control group, which a service without root
// seldom may make: what is used between two looks is not seen.
type watch struct {
	limit int64
	done  sync.WaitGroup

	mu      sync.Mutex
	all     map[*memory]struct{}
	running bool
}

func newWatch(limit int64) *watch { return &watch{limit: limit, all: make(map[*memory]struct{})} }

func (w *watch) add(p *process) *memory {
	m := &memory{process: p}
	base := "/proc/" + strconv.Itoa(p.os.Pid)
	m.statm, _ = os.Open(base + "/statm") // a process that is gone has nothing to be read
	m.status, _ = os.Open(base + "/status")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[m] = struct{}{}
	if !w.running {
		w.running = true
		w.done.Go(w.run)
	}
	return m
}

// remove is called before the process is reaped.
func (w *watch) remove(m *memory) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, m)
	m.close()
}

// close waits until nothing is looked at any more.
func (w *watch) close() { w.done.Wait() }

func (w *watch) run() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for n := 1; w.look(n%watchOthers == 0); n++ {
		<-ticker.C
	}
}

// look looks at all processes once. It is false when there are none.
func (w *watch) look(others bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for m := range w.all {
		if m.look(others) > w.limit {
			m.process.outOfMemory.Store(true)
			m.process.Kill()
		}
	}
	w.running = len(w.all) > 0
	return w.running
}

// A memory is that of one process and of what it has started.
type memory struct {
	process *process
	others  int64 // of what it has started, at the last look; the watch's
	peak    atomic.Int64

	mu            sync.Mutex
	statm, status *os.File // nil when it is gone
}

// look returns the bytes that are used now.
func (m *memory) look(others bool) int64 {
	if others {
		m.others = descendants(m.process.os.Pid)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	used := residentOf(m.statm) + m.others
	m.raise(used)
	return used
}

func (m *memory) raise(to int64) {
	for {
		peak := m.peak.Load()
		if to <= peak || m.peak.CompareAndSwap(peak, to) {
			return
		}
	}
}

// max is the most that was used until now.
func (m *memory) max() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.raise(highWater(m.status))
	return m.peak.Load()
}

// ended takes what the system has counted.
func (m *memory) ended(state *os.ProcessState) {
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		m.raise(usage.Maxrss << 10)
	}
}

func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, file := range []*os.File{m.statm, m.status} {
		if file != nil {
			_ = file.Close()
		}
	}
	m.statm, m.status = nil, nil
}

// PeakMemory is for launchers whose processes are seen on this machine: the most
// bytes that a process has used until now, and those that its children use. 0
// when it is gone.
func PeakMemory(pid int) int64 {
	status, err := os.Open("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	defer func() { _ = status.Close() }()
	return highWater(status) + descendants(pid)
}

// residentOf reads the second number of a statm, in pages.
func residentOf(statm *os.File) int64 {
	if statm == nil {
		return 0
	}
	var buffer [128]byte
	n, _ := statm.ReadAt(buffer[:], 0) // it says io.EOF too
	fields := bytes.Fields(buffer[:n])
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64) // the kernel's number
	return pages * int64(os.Getpagesize())
}

// highWater reads the VmHWM of a status.
func highWater(status *os.File) int64 {
	if status == nil {
		return 0
	}
	var buffer [statusBuffer]byte
	n, _ := status.ReadAt(buffer[:], 0)
	_, after, found := bytes.Cut(buffer[:n], []byte("VmHWM:"))
	if !found {
		return 0
	}
	line, _, _ := bytes.Cut(after, []byte(" kB"))
	kilobytes, _ := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
	return kilobytes << 10
}

// descendants are the bytes of what a process has started, as far as it is
// still its own or its children's child.
func descendants(pid int) (sum int64) {
	queue := children(pid, nil)
	for i := 0; i < len(queue) && i < maxOthers; i++ {
		if file, err := os.Open("/proc/" + queue[i] + "/statm"); err == nil {
			sum += residentOf(file)
			_ = file.Close()
		}
		if n, err := strconv.Atoi(queue[i]); err == nil {
			queue = children(n, queue)
		}
	}
	return sum
}

// children adds those of all threads of a process.
func children(pid int, to []string) []string {
	base := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, _ := os.ReadDir(base)
	for _, thread := range threads {
		data, _ := os.ReadFile(base + "/" + thread.Name() + "/children")
		for child := range bytes.FieldsSeq(data) {
			to = append(to, string(child))
		}
	}
	return to
}
