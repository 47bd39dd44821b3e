package functions

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A script drives a core and writes down what it does.
type script struct {
	core core
	now  time.Time
	did  []string
}

var epoch = time.Unix(1_800_000_000, 0)

func newScript(l limits) *script { return &script{core: core{limits: l}, now: epoch} }

func (s *script) note(do []action) {
	for _, a := range do {
		switch a.kind {
		case startWorker:
			s.did = append(s.did, fmt.Sprintf("start w%d", a.worker))
			if a.provisioned {
				s.did[len(s.did)-1] += " provisioned"
			}
		case assignWorker:
			s.did = append(s.did, fmt.Sprintf("a%d to w%d", a.ask, a.worker))
		case endWorker:
			s.did = append(s.did, fmt.Sprintf("end w%d", a.worker))
		case killWorker:
			s.did = append(s.did, fmt.Sprintf("kill w%d", a.worker))
		case refuseThrottled:
			s.did = append(s.did, fmt.Sprintf("throttle a%d", a.ask))
		case refuseClosed:
			s.did = append(s.did, fmt.Sprintf("closed a%d", a.ask))
		case refuseStart:
			s.did = append(s.did, fmt.Sprintf("no worker for a%d for %v", a.ask, a.after))
		}
	}
}

var errBroken = errors.New("broken")

func second(failed int) time.Duration { return time.Duration(failed) * time.Second }

// play reads one step: a word, and the number of a worker or an invocation.
func (s *script) play(t *testing.T, step string) {
	t.Helper()
	var n int
	word, number, _ := strings.Cut(step, " ")
	_, _ = fmt.Sscan(number, &n)
	switch word {
	case "patient", "hasty":
		_, do := s.core.arrive(s.now, word == "hasty", false)
		s.note(do)
	case "again":
		_, do := s.core.arrive(s.now, false, true)
		s.note(do)
	case "expire":
		s.note(s.core.expire(s.now, n))
	case "leave":
		s.core.leave(n)
		s.note(s.core.settle(s.now))
	case "ready":
		s.note(s.core.ready(s.now, n))
	case "done":
		s.note(s.core.finished(s.now, n, true, true))
	case "timeout":
		s.note(s.core.finished(s.now, n, true, false))
	case "unbegun":
		s.note(s.core.finished(s.now, n, false, false))
	case "gone":
		s.core.lost(n)
		s.note(s.core.gone(s.now, n, errBroken, second))
	case "refresh":
		s.note(s.core.refresh(s.now))
	case "close":
		s.note(s.core.close(s.now))
	case "wait":
		d, err := time.ParseDuration(number)
		if err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(d)
		s.note(s.core.settle(s.now))
	default:
		t.Fatalf("there is no step %q", step)
	}
}

func TestCore(t *testing.T) {
	one := limits{concurrency: 1, perWorker: 1, workers: 1, idle: time.Minute}
	two := limits{concurrency: 2, perWorker: 1, workers: 2, idle: time.Minute}
	wide := limits{concurrency: 5, perWorker: 2, workers: 3, idle: time.Minute}
	with := func(l limits, change func(*limits)) limits { change(&l); return l }
	for _, c := range []struct {
		name   string
		limits limits
		steps  string
		want   string
	}{
		{"from zero and back", one, "hasty; ready 1; done 1; wait 59s; wait 1s; gone 1; hasty", "start w1; a1 to w1; end w1; start w2"},
		{"used again", two, "hasty; ready 1; done 1; hasty; done 1; hasty", "start w1; a1 to w1; a2 to w1; a3 to w1"},
		{"one more for each that is not covered", two, "hasty; hasty; ready 2; ready 1", "start w1; start w2; a1 to w2; a2 to w1"},
		{"room for several in one that starts", wide, "hasty; hasty; hasty; ready 1; ready 2", "start w1; start w2; a1 to w1; a2 to w1; a3 to w2"},
		{"no more than the concurrency", wide, "hasty; hasty; hasty; hasty; hasty; hasty", "start w1; start w2; start w3; throttle a6"},
		{"throttled at once", one, "hasty; hasty; ready 1; hasty", "start w1; throttle a2; a1 to w1; throttle a3"},
		{"waiting in order", one, "patient; ready 1; patient; patient; done 1; done 1", "start w1; a1 to w1; a2 to w1; a3 to w1"},
		{"throttled when it has waited", one, "patient; ready 1; patient; expire 2; done 1", "start w1; a1 to w1; throttle a2"},
		{"the start of a worker is no waiting", one, "patient; expire 1; ready 1", "start w1; a1 to w1"},
		{"one that has left", one, "patient; patient; leave 1; ready 1", "start w1; a2 to w1"},
		{"free before the other has started", two, "hasty; ready 1; hasty; done 1; ready 2", "start w1; a1 to w1; start w2; a2 to w1"},
		{
			"the last used first", two, "hasty; hasty; ready 1; ready 2; done 1; wait 1s; done 2; wait 1s; hasty; done 2; wait 58s; wait 2s",
			"start w1; start w2; a1 to w1; a2 to w2; a3 to w2; end w1; end w2",
		},
		{
			"provisioned", with(two, func(l *limits) { l.provisioned = 1 }), "wait 0s; ready 1; wait 1h; hasty; hasty; ready 2; done 2; wait 1s; done 1; wait 1h",
			"start w1 provisioned; a1 to w1; start w2; a2 to w2; end w2",
		},
		{"provisioned comes back", with(two, func(l *limits) { l.provisioned = 1 }), "wait 0s; ready 1; hasty; done 1; gone 1", "start w1 provisioned; a1 to w1; start w2 provisioned"},
		{"replaced after so many calls", with(one, func(l *limits) { l.maxCalls = 2 }), "hasty; ready 1; done 1; hasty; patient; done 1; gone 1", "start w1; a1 to w1; a2 to w1; end w1; start w2"},
		{"killed after a timeout", one, "hasty; ready 1; patient; timeout 1; ready 2", "start w1; a1 to w1; kill w1; start w2; a2 to w2"},
		{"a failed start", one, "hasty; patient; gone 1; hasty; wait 999ms; hasty; wait 1ms; hasty", "start w1; no worker for a1 for 1s; no worker for a2 for 1s; no worker for a3 for 1s; no worker for a4 for 1ms; start w2"},
		{
			"one at a time", wide, "hasty; hasty; hasty; wait 1ms; gone 1; gone 2; wait 1s; patient; patient; patient; hasty; ready 3",
			"start w1; start w2; no worker for a3 for 1s; no worker for a1 for 1s; no worker for a2 for 1s; start w3; no worker for a7 for 0s; a4 to w3; a5 to w3; start w4",
		},
		{
			"longer and longer", one, "hasty; gone 1; wait 1s; hasty; gone 2; wait 2s; hasty; gone 3; wait 3s; hasty; ready 4; done 4; gone 4; hasty; gone 5",
			"start w1; no worker for a1 for 1s; start w2; no worker for a2 for 2s; start w3; no worker for a3 for 3s; start w4; a4 to w4; start w5; no worker for a5 for 1s",
		},
		{"failed while another works", two, "hasty; ready 1; patient; gone 2; hasty; done 1", "start w1; a1 to w1; start w2; throttle a3; a2 to w1"},
		{"a new try while another works", two, "hasty; ready 1; done 1; hasty; patient; gone 2; wait 1s; ready 3", "start w1; a1 to w1; a2 to w1; start w2; start w3; a3 to w3"},
		{"provisioned that fails", with(one, func(l *limits) { l.provisioned = 1 }), "wait 0s; gone 1; wait 1s; ready 2; gone 2; wait 1s; wait 1s; ready 3; gone 3", "start w1 provisioned; start w2 provisioned; start w3 provisioned"},
		{"gone before it has begun", one, "hasty; ready 1; unbegun 1; gone 1; wait 1ms; again; ready 2; unbegun 2; gone 2; again", "start w1; a1 to w1; kill w1; start w2; a2 to w2; kill w2; no worker for a3 for 2s"},
		{"refresh", two, "hasty; ready 1; hasty; ready 2; done 2; refresh; hasty; done 1; ready 3", "start w1; a1 to w1; start w2; a2 to w2; end w2; start w3; end w1; a3 to w3"},
		{"refresh while it starts", one, "hasty; refresh; gone 1; ready 2", "start w1; end w1; start w2; a1 to w2"},
		{"refresh after failures", one, "hasty; gone 1; refresh; hasty", "start w1; no worker for a1 for 1s; start w2"},
		{"close", two, "hasty; ready 1; patient; ready 2; done 2; patient; patient; close; hasty; gone 2; done 1; gone 1", "start w1; a1 to w1; start w2; a2 to w2; a3 to w2; kill w1; kill w2; closed a4; closed a5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(c.limits)
			for step := range strings.SplitSeq(c.steps, "; ") {
				s.play(t, step)
			}
			if got := strings.Join(s.did, "; "); got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.steps, got, c.want)
			}
		})
	}
}

func TestCoreWakes(t *testing.T) {
	s := newScript(limits{concurrency: 2, perWorker: 1, workers: 2, provisioned: 1, idle: time.Minute})
	s.play(t, "wait 0s")
	if at := s.core.wake(s.now); !at.IsZero() {
		t.Errorf("nothing is due, but it wakes at %v", at)
	}
	s.play(t, "gone 1")
	if at := s.core.wake(s.now); !at.Equal(epoch.Add(time.Second)) {
		t.Errorf("the next try is due at %v", at)
	}
	for _, step := range []string{"wait 1s", "ready 2", "hasty", "hasty", "ready 3", "done 2", "wait 1s", "done 3"} {
		s.play(t, step)
	}
	if at := s.core.wake(s.now); !at.Equal(epoch.Add(time.Second + time.Minute)) {
		t.Errorf("the first that ends is due at %v", at)
	}
}

// TestCoreProperties lets anything happen in any order, and looks at what must
// hold after each step.
func TestCoreProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(rt)
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			m.step(rt)
			m.check(rt)
		}
		m.drain(rt)
	})
}

// A model is what a pool would see.
type model struct {
	script
	waiting  []int         // invocations, in their order
	hasty    map[int]bool  // may not wait for room
	runs     map[int][]int // by worker
	starting []int
	live     []int // all that are not gone
	told     map[int]bool
}

func newModel(rt *rapid.T) *model {
	l := limits{
		concurrency: rapid.IntRange(1, 6).Draw(rt, "concurrency"), perWorker: rapid.IntRange(1, 3).Draw(rt, "per worker"),
		maxCalls: rapid.IntRange(0, 4).Draw(rt, "max calls"), idle: time.Minute,
	}
	l.workers = (l.concurrency + l.perWorker - 1) / l.perWorker
	l.provisioned = rapid.IntRange(0, l.workers).Draw(rt, "provisioned")
	return &model{script: *newScript(l), hasty: map[int]bool{}, runs: map[int][]int{}, told: map[int]bool{}}
}

func (m *model) act(rt *rapid.T, do []action) {
	for _, a := range do {
		switch a.kind {
		case startWorker:
			if !a.provisioned && m.coming()*m.core.limits.perWorker >= len(m.waiting) {
				rt.Fatalf("w%d starts, but nothing needs it", a.worker)
			}
			m.starting, m.live = append(m.starting, a.worker), append(m.live, a.worker)
		case assignWorker:
			if len(m.waiting) == 0 || m.waiting[0] != a.ask {
				rt.Fatalf("a%d was served, but %v wait", a.ask, m.waiting)
			}
			if slices.Contains(m.starting, a.worker) || !slices.Contains(m.live, a.worker) || m.told[a.worker] {
				rt.Fatalf("a%d was given to w%d, which takes nothing", a.ask, a.worker)
			}
			m.waiting = m.waiting[1:]
			m.runs[a.worker] = append(m.runs[a.worker], a.ask)
		case endWorker, killWorker:
			if m.told[a.worker] {
				rt.Fatalf("w%d was told to end twice", a.worker)
			}
			m.told[a.worker] = true
		case refuseThrottled, refuseStart, refuseClosed:
			if !slices.Contains(m.waiting, a.ask) {
				rt.Fatalf("a%d was refused, but does not wait", a.ask)
			}
			m.waiting = slices.DeleteFunc(m.waiting, func(id int) bool { return id == a.ask })
		}
	}
}

// coming are the workers that start and were not told to end.
func (m *model) coming() (n int) {
	for _, w := range m.starting {
		if !m.told[w] {
			n++
		}
	}
	return n
}

func (m *model) busy() (busy []int) {
	for _, w := range m.live {
		if len(m.runs[w]) > 0 {
			busy = append(busy, w)
		}
	}
	return busy
}

func (m *model) step(rt *rapid.T) {
	switch what := rapid.SampledFrom([]string{"ask", "ask", "ask", "ready", "ready", "finish", "finish", "gone", "wait", "leave", "refresh"}).Draw(rt, "step"); {
	case what == "ask":
		m.ask(rt)
	case what == "ready" && len(m.starting) > 0:
		w := rapid.SampledFrom(m.starting).Draw(rt, "worker")
		m.starting = slices.DeleteFunc(m.starting, func(o int) bool { return o == w })
		m.act(rt, m.core.ready(m.now, w))
	case what == "finish" && len(m.busy()) > 0:
		w := rapid.SampledFrom(m.busy()).Draw(rt, "worker")
		m.runs[w] = m.runs[w][1:]
		m.act(rt, m.core.finished(m.now, w, true, rapid.Bool().Draw(rt, "keep")))
	case what == "gone" && len(m.live) > 0:
		m.gone(rt, rapid.SampledFrom(m.live).Draw(rt, "worker"))
	case what == "wait":
		m.now = m.now.Add(time.Duration(rapid.IntRange(0, 90_000).Draw(rt, "ms")) * time.Millisecond)
		m.act(rt, m.core.settle(m.now))
	case what == "leave" && len(m.waiting) > 0:
		a := rapid.SampledFrom(m.waiting).Draw(rt, "ask")
		m.waiting = slices.DeleteFunc(m.waiting, func(o int) bool { return o == a })
		if !m.core.leave(a) {
			rt.Fatalf("a%d waits and cannot leave", a)
		}
		m.act(rt, m.core.settle(m.now))
	case what == "refresh":
		m.act(rt, m.core.refresh(m.now))
	}
}

func (m *model) ask(rt *rapid.T) {
	hasty := rapid.Bool().Draw(rt, "hasty")
	id := m.core.askN + 1
	m.waiting = append(m.waiting, id)
	m.hasty[id] = hasty
	_, do := m.core.arrive(m.now, hasty, false)
	m.act(rt, do)
}

// gone lets a worker end: first it takes nothing more, then what it ran is
// answered, then it is gone.
func (m *model) gone(rt *rapid.T, w int) {
	m.core.lost(w)
	m.told[w] = true
	for range m.runs[w] {
		m.act(rt, m.core.finished(m.now, w, rapid.Bool().Draw(rt, "begun"), false))
	}
	delete(m.runs, w)
	m.live = slices.DeleteFunc(m.live, func(o int) bool { return o == w })
	m.starting = slices.DeleteFunc(m.starting, func(o int) bool { return o == w })
	m.act(rt, m.core.gone(m.now, w, errBroken, second))
}

func (m *model) check(rt *rapid.T) {
	c, l := &m.core, m.core.limits
	running := 0
	for w, asks := range m.runs {
		running += len(asks)
		if len(asks) > l.perWorker {
			rt.Fatalf("w%d runs %d", w, len(asks))
		}
	}
	switch {
	case running > l.concurrency || running != c.running:
		rt.Fatalf("%d run, the core says %d", running, c.running)
	case c.live() > l.workers:
		rt.Fatalf("%d workers take invocations", c.live())
	case len(m.waiting) != len(c.line):
		rt.Fatalf("%d wait, the core says %d", len(m.waiting), len(c.line))
	case len(m.waiting) > 0 && running < l.concurrency && c.best() != nil:
		rt.Fatal("one waits while a worker is free")
	case len(m.waiting) > 0 && running < l.concurrency && len(m.live) == 0 && !m.now.Before(c.until):
		rt.Fatal("one waits for nothing")
	}
	for i, a := range m.waiting {
		if m.hasty[a] && i >= c.covered() {
			rt.Fatalf("a%d may not wait and is not covered", a)
		}
	}
	if wait := len(m.waiting); wait > 0 && c.wanted() && m.now.Before(c.until) && c.wake(m.now).IsZero() {
		rt.Fatal("nobody looks again when workers may be started")
	}
}

// drain lets all go well from now on: everything that waits is served, and the
// workers end.
func (m *model) drain(rt *rapid.T) {
	for range 1000 {
		m.now = m.now.Add(2 * time.Second)
		m.act(rt, m.core.settle(m.now))
		for _, w := range slices.Clone(m.starting) {
			m.starting = slices.DeleteFunc(m.starting, func(o int) bool { return o == w })
			m.act(rt, m.core.ready(m.now, w))
		}
		for _, w := range m.busy() {
			m.runs[w] = m.runs[w][1:]
			m.act(rt, m.core.finished(m.now, w, true, true))
		}
		for w := range m.told {
			if slices.Contains(m.live, w) && len(m.runs[w]) == 0 {
				m.gone(rt, w)
			}
		}
		if len(m.waiting) == 0 && len(m.busy()) == 0 && m.core.live() == m.core.limits.provisioned {
			return
		}
	}
	rt.Fatalf("%d wait, %d run, %d workers are left", len(m.waiting), m.core.running, len(m.live))
}
