package cron

import (
	"container/heap"
	"sync"
	"time"
)

const (
	// checkEvery bounds how long the scheduler sleeps: a timer runs on monotonic
	// time and does not notice that the wall clock has been set.
	checkEvery = 2 * time.Second
	// publishing is how many sources publish at once: enough to keep the bus
	// busy, few enough to bound the memory of 10,000 ticks in one second.
	publishing = 256
)

// A Scheduler wakes sources at their ticks: all of them from one heap, with one
// goroutine and one timer, which run while there is a source. Sources publish in
// their own goroutines, so that a slow one delays no other; at most 256 do so at
// the same time.
type Scheduler struct {
	now     func() time.Time
	slots   chan struct{}
	changed chan struct{} // holds a token when the earliest alarm may have changed

	mu     sync.Mutex
	alarms alarms
	users  int
	stop   chan struct{} // of the loop that runs, or nil
	done   chan struct{}
}

// NewScheduler returns a scheduler that reads the wall clock from now, which is
// time.Now outside of tests. It needs no closing.
func NewScheduler(now func() time.Time) *Scheduler {
	return &Scheduler{now: now, slots: make(chan struct{}, publishing), changed: make(chan struct{}, 1)}
}

// An alarm wakes one source at one time after the other.
type alarm struct {
	at   time.Time
	ring chan struct{} // holds a token once the time has come
	// index is the place in the heap, or -1.
	index int
}

// join returns an alarm that is not set. It is ended by leave.
func (s *Scheduler) join() *alarm {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users++
	if s.users == 1 {
		s.stop, s.done = make(chan struct{}), make(chan struct{})
		go s.loop(s.stop, s.done)
	}
	return &alarm{ring: make(chan struct{}, 1), index: -1}
}

// leave ends the alarm, and with the last one the goroutine.
func (s *Scheduler) leave(a *alarm) {
	s.mu.Lock()
	if a.index >= 0 {
		heap.Remove(&s.alarms, a.index)
	}
	s.users--
	stop, done := s.stop, s.done
	last := s.users == 0
	s.mu.Unlock()
	if last {
		close(stop)
		<-done
	}
}

// set makes the alarm ring once at the given time, or at once if it has passed.
// The alarm must not be set already.
func (s *Scheduler) set(a *alarm, at time.Time) {
	s.mu.Lock()
	a.at = at
	heap.Push(&s.alarms, a)
	first := a.index == 0
	s.mu.Unlock()
	if first {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

func (s *Scheduler) loop(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-s.changed:
		case <-timer.C:
		}
		if wait, ok := s.ringDue(); ok {
			timer.Reset(wait)
		}
	}
}

// ringDue rings the alarms whose time has come, and returns how long to wait for
// the next ones; false when there are none.
func (s *Scheduler) ringDue() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().Round(0) // the wall clock only
	for len(s.alarms) > 0 {
		a := s.alarms[0]
		if wait := a.at.Sub(now); wait > 0 {
			return min(wait, checkEvery), true
		}
		heap.Pop(&s.alarms)
		a.ring <- struct{}{}
	}
	return 0, false
}

// alarms is a heap by time.
type alarms []*alarm

func (h alarms) Len() int           { return len(h) }
func (h alarms) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h alarms) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is for package heap.
func (h *alarms) Push(x any) {
	a := x.(*alarm)
	a.index = len(*h)
	*h = append(*h, a)
}

// Pop is for package heap.
func (h *alarms) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	a.index = -1
	return a
}
