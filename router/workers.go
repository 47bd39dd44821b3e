package router

import (
	"sync"

	"sluice/router/core"
)

// idleWorkers is how many workers wait for work at most; what is more under way
// for a moment ends with it.
const idleWorkers = 256

// A job is one attempt: of one delivery, or of the starts when there are any.
type job struct {
	trigger *Trigger
	one     core.Start
	starts  []core.Start
	ended   func() // called before the core is told; may be nil
}

// A worker makes one attempt after the other. Its goroutine, whose stack has
// grown once, and what it needs for each are used again.
type worker struct {
	jobs    chan job
	one     [1]core.Start
	errs    []error
	places  []int
	results []core.Input
}

// begin takes a job's deliveries over.
func (w *worker) begin(j *job) []core.Start {
	if j.starts != nil {
		return j.starts
	}
	w.one[0] = j.one
	return w.one[:]
}

// rest lets go of what the last attempt was about.
func (w *worker) rest() {
	w.one[0] = core.Start{}
	clear(w.errs)
	clear(w.results)
	w.results = w.results[:0]
}

// workers are those that have nothing to do, the one whose stack is warmest
// last.
type workers struct {
	mu     sync.Mutex
	idle   []*worker
	closed bool
}

// give has a worker do a job, a new one when all are busy: what is under way at
// once is bounded by whoever gives. Hire runs a new one.
func (p *workers) give(j job, hire func(*worker)) {
	w := p.pop()
	if w == nil {
		w = &worker{jobs: make(chan job, 1)}
		hire(w)
	}
	w.jobs <- j
}

func (p *workers) pop() *worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	w := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return w
}

// keep has a worker wait for the next job, or tells that it is not needed.
func (p *workers) keep(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= idleWorkers {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

// close ends those that wait; the others end after their attempts.
func (p *workers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.idle {
		close(w.jobs)
	}
	p.idle = nil
}
