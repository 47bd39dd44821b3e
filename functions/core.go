package functions

import (
	"slices"
	"time"
)

// A core decides when workers start and end, and which worker an invocation
// gets. It does no I/O, and has neither a clock nor random numbers. Each of its
// methods is one event, and returns what has to be done.
//
// Invocations wait in one line. Those at its head are covered by the workers
// that start, as far as these have room; only for what is not covered another
// worker is started. So the first invocation always gets the first room, may it
// come from a worker that has started or from one that has become free.
//
// After a start that failed one worker at a time is tried, with growing pauses,
// until one is ready. A worker that is ready and ends without having served
// anything has failed too.
type core struct {
	limits  limits
	workers []*coreWorker // in the order of their start
	line    []*ask        // in the order of their arrival
	running int           // invocations that have a worker
	workerN int
	askN    int
	closed  bool

	failed     int       // starts in a row, until an invocation is served
	suspect    bool      // since a failure no worker was ready
	failedAt   time.Time // the last one
	until      time.Time // before it nothing is started
	failureErr error
}

type limits struct {
	concurrency, perWorker int
	workers                int // the most at once
	provisioned, maxCalls  int
	idle                   time.Duration
}

// A coreWorker is what the core knows of a worker.
type coreWorker struct {
	id             int
	state          workerState
	started        time.Time
	used           time.Time // when its last invocation has ended, or it became ready
	running, calls int       // invocations now, and in its life
	initialized    bool      // it has been ready
	served         bool      // one of its invocations has begun
	lost           bool      // it has ended, or had to, without having been told to
}

type workerState int

const (
	starting workerState = iota
	ready
	retiring // takes nothing more, and ends after what it runs
	ending   // has been told to end
)

// An ask is an invocation that waits for a worker.
type ask struct {
	id      int
	overdue bool // it has waited as long as it may, and stays for a worker that starts only
}

type actionKind int

const (
	startWorker actionKind = iota
	assignWorker
	endWorker
	killWorker // with what it runs
	refuseThrottled
	refuseStart
	refuseClosed
)

// An action is something that the pool has to do.
type action struct {
	kind   actionKind
	worker int // of startWorker, assignWorker, endWorker, killWorker
	ask    int // of assignWorker and refuse…
	// provisioned, of startWorker: to be kept warm, not for an invocation.
	provisioned bool
	after       time.Duration // of refuseStart: until the next start
}

// arrive puts an invocation into the line, which is overdue at once if it may
// not wait; first is for one that had a worker which did not begin it.
func (c *core) arrive(now time.Time, overdue, first bool) (id int, do []action) {
	c.askN++
	a := &ask{id: c.askN, overdue: overdue}
	if first {
		c.line = slices.Insert(c.line, 0, a)
	} else {
		c.line = append(c.line, a)
	}
	return a.id, c.settle(now)
}

// expire: an invocation has waited as long as it may.
func (c *core) expire(now time.Time, id int) []action {
	for _, a := range c.line {
		if a.id == id {
			a.overdue = true
		}
	}
	return c.settle(now)
}

// leave takes an invocation out of the line. It is false when it has a worker,
// or was refused.
func (c *core) leave(id int) bool {
	n := len(c.line)
	c.line = slices.DeleteFunc(c.line, func(a *ask) bool { return a.id == id })
	return len(c.line) < n
}

// ready: a worker has asked for its first invocation.
func (c *core) ready(now time.Time, id int) []action {
	if w := c.find(id); w != nil && w.state == starting {
		w.state, w.initialized, w.used = ready, true, now
		c.suspect = false
	}
	return c.settle(now)
}

// finished: an invocation has left its worker. It was begun or not, and the
// worker can be kept or not.
func (c *core) finished(now time.Time, id int, begun, keep bool) []action {
	w := c.find(id)
	if w == nil {
		return nil
	}
	c.running--
	w.running--
	w.used = now
	if begun {
		w.served = true
		c.failed, c.suspect, c.until, c.failureErr = 0, false, time.Time{}, nil
	}
	w.lost = w.lost || !begun && !keep
	var do []action
	if !keep && w.state != ending {
		w.state = ending
		do = append(do, action{kind: killWorker, worker: id})
	}
	return append(do, c.settle(now)...)
}

// lost: a worker has ended. It gets nothing more.
func (c *core) lost(id int) {
	if w := c.find(id); w != nil && w.state != ending {
		w.lost = w.state != retiring
		w.state = ending
	}
}

// gone: a worker that was lost or told to end has no invocations any more. If it
// was lost before it was of any use it has failed, and pause is how long to wait
// for the next start.
func (c *core) gone(now time.Time, id int, err error, pause func(failed int) time.Duration) []action {
	w := c.find(id)
	if w == nil {
		return nil
	}
	c.workers = slices.DeleteFunc(c.workers, func(o *coreWorker) bool { return o.id == id })
	if !w.served && w.lost {
		c.failure(now, w, err, pause)
	}
	return c.settle(now)
}

// failure counts a failed start. Those that had begun before the last failure
// are one with it. What a single worker did that was ready before is held
// against nobody: something else may have ended it.
func (c *core) failure(now time.Time, w *coreWorker, err error, pause func(failed int) time.Duration) {
	c.suspect = true
	c.failureErr = err
	if c.failed > 0 && w.started.Before(c.failedAt) {
		return
	}
	c.failed++
	c.failedAt, c.until = now, now
	if c.failed > 1 || !w.initialized {
		c.until = now.Add(pause(c.failed))
	}
}

// refresh lets all workers end after what they run, and forgets failures.
func (c *core) refresh(now time.Time) []action {
	c.failed, c.suspect, c.until, c.failureErr = 0, false, time.Time{}, nil
	for _, w := range c.workers {
		if w.state != ending {
			w.state = retiring
		}
	}
	return c.settle(now)
}

// close ends all workers, and refuses what waits.
func (c *core) close(now time.Time) []action {
	c.closed = true
	var do []action
	for _, w := range c.workers {
		if w.state != ending {
			do = append(do, c.stop(w))
		}
	}
	return append(do, c.settle(now)...)
}

// stop ends a worker, and kills it if it still runs something.
func (c *core) stop(w *coreWorker) action {
	w.state = ending
	if w.running > 0 {
		return action{kind: killWorker, worker: w.id}
	}
	return action{kind: endWorker, worker: w.id}
}

// settle does what has become possible or due.
func (c *core) settle(now time.Time) []action {
	if c.closed {
		do := c.refuse(c.line, action{kind: refuseClosed})
		c.line = nil
		return do
	}
	do := c.assign(now)
	do = append(do, c.end(now)...)
	do = append(do, c.start(now)...)
	return append(do, c.shed(now)...)
}

// assign hands out what waits. The most recently used worker goes first, so
// that those which are not needed become idle.
func (c *core) assign(now time.Time) (do []action) {
	for len(c.line) > 0 && c.running < c.limits.concurrency {
		w := c.best()
		if w == nil {
			break
		}
		do = append(do, action{kind: assignWorker, worker: w.id, ask: c.line[0].id})
		c.line = c.line[1:]
		c.running++
		w.running++
		w.calls++
		w.used = now
		if c.limits.maxCalls > 0 && w.calls >= c.limits.maxCalls {
			w.state = retiring
		}
	}
	return do
}

func (c *core) best() (best *coreWorker) {
	for _, w := range c.workers {
		if w.state == ready && w.running < c.limits.perWorker && (best == nil || w.used.After(best.used)) {
			best = w
		}
	}
	return best
}

// start starts workers for what waits and is not covered, and those that are
// provisioned.
func (c *core) start(now time.Time) (do []action) {
	for c.wanted() && !now.Before(c.until) && (!c.suspect || c.count(starting) == 0) {
		c.workerN++
		provisioned := c.live() < c.limits.provisioned
		c.workers = append(c.workers, &coreWorker{id: c.workerN, started: now})
		do = append(do, action{kind: startWorker, worker: c.workerN, provisioned: provisioned})
	}
	return do
}

// wanted says whether one more worker is of use.
func (c *core) wanted() bool {
	live := c.live()
	return live < c.limits.provisioned || live < c.limits.workers && c.covered() < min(len(c.line), c.limits.concurrency-c.running)
}

// covered is how many invocations have room in workers that start.
func (c *core) covered() int {
	return min(c.count(starting)*c.limits.perWorker, max(0, c.limits.concurrency-c.running))
}

func (c *core) live() int { return c.count(starting) + c.count(ready) }

func (c *core) count(s workerState) (n int) {
	for _, w := range c.workers {
		if w.state == s {
			n++
		}
	}
	return n
}

// shed refuses what waits, is not covered, and may not wait. While no worker
// can be started and none is there, that is all which is not covered.
func (c *core) shed(now time.Time) []action {
	covered := min(c.covered(), len(c.line))
	broken := c.suspect && c.count(ready)+c.count(retiring) == 0
	hopeless := broken && c.count(starting) == 0
	kept := c.line[:covered:covered]
	var shed []*ask
	for _, a := range c.line[covered:] {
		if a.overdue || hopeless {
			shed = append(shed, a)
		} else {
			kept = append(kept, a)
		}
	}
	c.line = kept
	if broken {
		return c.refuse(shed, action{kind: refuseStart, after: max(0, c.until.Sub(now))})
	}
	return c.refuse(shed, action{kind: refuseThrottled})
}

func (c *core) refuse(asks []*ask, with action) (do []action) {
	for _, a := range asks {
		with.ask = a.id
		do = append(do, with)
	}
	return do
}

// end ends workers that have served as much as they may, and those that were
// idle for long and are not provisioned, the least recently used ones first.
func (c *core) end(now time.Time) (do []action) {
	for _, w := range c.workers {
		if w.state == retiring && w.running == 0 {
			do = append(do, c.stop(w))
		}
	}
	for c.live() > c.limits.provisioned {
		w := c.idlest()
		if w == nil || now.Before(w.used.Add(c.limits.idle)) {
			break
		}
		do = append(do, c.stop(w))
	}
	return do
}

func (c *core) idlest() (idlest *coreWorker) {
	for _, w := range c.workers {
		if w.state == ready && w.running == 0 && (idlest == nil || w.used.Before(idlest.used)) {
			idlest = w
		}
	}
	return idlest
}

// wake is when settle has something to do even if nothing happens; zero: never.
func (c *core) wake(now time.Time) (at time.Time) {
	if c.closed {
		return at
	}
	if w := c.idlest(); w != nil && c.live() > c.limits.provisioned {
		at = w.used.Add(c.limits.idle)
	}
	if c.wanted() && now.Before(c.until) && (at.IsZero() || c.until.Before(at)) {
		at = c.until
	}
	return at
}

func (c *core) find(id int) *coreWorker {
	for _, w := range c.workers {
		if w.id == id {
			return w
		}
	}
	return nil
}

func (c *core) stats(now time.Time) Stats {
	s := Stats{Starting: c.count(starting), Waiting: len(c.line), Failed: c.failed, Backoff: max(0, c.until.Sub(now)), Err: c.failureErr}
	for _, w := range c.workers {
		switch {
		case w.state == starting:
		case w.running > 0:
			s.Busy++
		case w.state == ready:
			s.Idle++
		default:
			s.Ending++
		}
	}
	return s
}
