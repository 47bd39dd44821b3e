package core_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"sluice/router/core"
	"sluice/router/ledger"
)

// A world is everything around a core: the log, the ledger, the letters and
// the sinks. It does what the core asks for in any order, or not at all
// because it crashes, and checks the invariants while it does so.
type world struct {
	rng    *rand.Rand
	codec  *ledger.Codec
	tamper func(*world, *ledger.Record)
	now    time.Time

	events   []uint64 // sequences in the log, ascending
	next     uint64   // sequence of the next event
	purged   uint64   // everything up to here is gone
	messages []message
	claim    uint64
	letters  map[string]int

	names    []string          // of the configured triggers
	prints   map[string]string // their fingerprints
	away     []string          // that have left the configuration
	past     map[string]bool   // those that start in the past when they are new
	starts   map[string]uint64 // where those were told to start
	created  int
	mood     map[string]mood
	gone     map[uint32]bool // triggers that met a sink which is gone, until they are resumed
	version  uint64
	renamed  map[string][]string // the names that triggers had before
	indexes  map[uint64]index
	started  map[string]int      // attempts by delivery
	begun    map[ledger.Key]bool // written down as about to be attempted
	settled  map[string]ledger.Kind
	poisoned map[string]int // crashes by poison event

	flows     map[string]configuredFlow
	forever   map[string]bool // triggers whose deliveries never die
	flowing   map[uint32]*flowing
	specs     map[uint64]map[uint32]string // how keys are found, by version and number
	count     int                          // attempts that have begun
	steps     int
	unsettled map[ledger.Key]int  // attempts by delivery: which one began it, until the world knows its end
	over      map[ledger.Key]bool // ended in this process, as far as the world told it
	left      map[uint32]bool     // triggers that were not configured for a while
	debounced map[uint32]bool     // triggers that were told to let the last one win

	core     *core.Core
	identify *core.Identify
	wake     time.Time
	tail     uint64
	append   *core.Append
	read     *core.Read
	fetch    *core.Fetch
	pending  []core.WriteLetter
	attempts []core.Start
	acks     int
	budget   int  // bytes that bodies may take
	full     bool // no letter can be stored
	hasty    bool // says that letters are stored before they are
	blurred  bool // tells the core wrong keys
	stopped  bool
	crashes  int
	fault    error
}

// An index is what the events are matched with from a version on: the
// fingerprints by number.
type index map[uint32]string

type message struct {
	claim uint64
	data  []byte
}

// A mood is how a trigger's sink behaves.
type mood struct {
	fail, refuse, busy, gone float64
	hangs                    bool
}

var calm = mood{}

const incarnation = "sim"

func newWorld(seed uint64) *world {
	codec, err := ledger.NewCodec()
	if err != nil {
		panic(err)
	}
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 7)), codec: codec, now: time.Unix(1_700_000_000, 0), next: 1,
		letters: map[string]int{}, prints: map[string]string{}, past: map[string]bool{}, starts: map[string]uint64{}, mood: map[string]mood{}, gone: map[uint32]bool{},
		flows: map[string]configuredFlow{}, forever: map[string]bool{}, flowing: map[uint32]*flowing{}, specs: map[uint64]map[uint32]string{}, unsettled: map[ledger.Key]int{}, over: map[ledger.Key]bool{}, left: map[uint32]bool{}, debounced: map[uint32]bool{},
		renamed: map[string][]string{}, indexes: map[uint64]index{}, started: map[string]int{}, begun: map[ledger.Key]bool{}, settled: map[string]ledger.Kind{}, poisoned: map[string]int{},
	}
	w.budget = []int{8 << 10, 8 << 10, 4 << 10, 2 << 10}[w.rng.IntN(4)]
	for i := range 1 + w.rng.IntN(5) {
		w.addTrigger(fmt.Sprintf("t%d", i))
	}
	return w
}

func (w *world) addTrigger(name string) {
	w.names = append(w.names, name)
	w.prints[name] = string(rune('f' + w.rng.IntN(3)))
	w.past[name] = w.rng.IntN(3) == 0
	w.created++
	w.drawFlow(name)
	w.mood[name] = mood{fail: w.rng.Float64() * 0.6, refuse: w.rng.Float64() * 0.1, busy: w.rng.Float64() * 0.2, gone: w.rng.Float64() * 0.05, hangs: w.rng.IntN(6) == 0}
}

func (w *world) failf(format string, args ...any) {
	if w.fault == nil {
		w.fault = fmt.Errorf(format, args...)
	}
}

// matches is the world's pattern: each trigger takes two events of three, which
// ones depends on its fingerprint.
func matches(fingerprint string, sequence uint64) bool {
	return (sequence+uint64(fingerprint[0]))%3 != 0
}

// isPoison tells which deliveries crash the process.
func isPoison(name string, sequence uint64) bool {
	return name == "t0" && sequence%97 == 13
}

// options are small, so that every limit is met.
func (w *world) options() core.Options {
	return core.Options{
		Budget: w.budget, Ring: 16, WaitingLimit: 12, UnwrittenLimit: 40,
		SnapshotEvery: 20 << 10, Sweep: 10, RecordEvery: time.Millisecond, RemovedAfter: 3 * time.Second,
	}
}

func (w *world) configuration(token any) core.Configure {
	w.version++
	in := core.Configure{Version: w.version, Token: token}
	if n := len(w.events); n > 0 {
		in.Last = w.next - 1
	}
	for _, name := range w.names {
		in.Triggers = append(in.Triggers, core.Trigger{
			Name: name, Was: w.renamed[name], Fingerprint: w.prints[name], From: w.from(name), Concurrency: 3, Buffer: 6,
			Flow: w.flows[name].flow, KeySpec: w.flows[name].spec,
			Retry: core.RetryPolicy{Attempts: 3, Initial: 50 * time.Millisecond, Max: time.Second, MaxAge: time.Hour, Forever: w.forever[name]},
		})
	}
	return in
}

// from is where a trigger starts if it is new: somewhere in what is left of the
// log.
func (w *world) from(name string) uint64 {
	if !w.past[name] {
		return 0
	}
	from := w.purged + 1 + w.rng.Uint64N(w.next-w.purged)
	known := slices.ContainsFunc(w.core.Standings(), func(s core.Standing) bool {
		return s.Gate.Name == name || slices.Contains(w.renamed[name], s.Gate.Name)
	})
	if !known {
		w.starts[name] = from
	}
	return from
}

// open starts a core from what the ledger holds.
func (w *world) open() {
	state := w.recoverState()
	w.claim = state.Claim + 1
	if !state.Sealed {
		w.seal(state.Claim)
	}
	state.Claim, state.Number, state.Sealed = w.claim, 0, false
	w.tail = state.Mark
	w.append, w.read, w.fetch, w.pending, w.attempts, w.stopped = nil, nil, nil, nil, nil, false
	w.identify, w.unsettled, w.over = nil, map[ledger.Key]int{}, map[ledger.Key]bool{}
	w.flowing = map[uint32]*flowing{}
	w.gone, w.begun = map[uint32]bool{}, map[ledger.Key]bool{}
	for _, t := range state.Triggers {
		if t.Paused != (t.Pause.Since != 0) {
			w.failf("trigger %s is paused: %v, and why is %+v", t.Name, t.Paused, t.Pause)
		}
		w.gone[t.Trigger] = t.Pause.Reason == ledger.PausedGone
	}
	if last := time.Unix(0, state.Time); w.now.Before(last.Add(-time.Second)) {
		w.now = last // as the clock of a router
	}
	state.Resume(w.now.UnixNano())
	w.core = core.Open(state, w.next-1, w.options())
	w.step(w.configuration(nil))
}

// recoverState folds the newest claim.
func (w *world) recoverState() *ledger.State {
	if len(w.messages) == 0 {
		return ledger.NewState(incarnation)
	}
	newest := w.messages[len(w.messages)-1]
	fold, start := ledger.NewFold(w.codec), w.snapshotOf(newest)
	for at, m := range w.messages {
		if m.claim != newest.claim || at < start {
			continue
		}
		if err := fold.Add(uint64(at+1), m.data); err != nil {
			w.failf("fold: %w", err)
		}
	}
	if fold.State() == nil {
		w.failf("claim %d has no whole snapshot", newest.claim)
		return ledger.NewState(incarnation)
	}
	return fold.State()
}

// snapshotOf returns the index of the first chunk that a message refers to.
func (w *world) snapshotOf(m message) int {
	r, err := w.codec.Decode(m.data)
	if err != nil {
		w.failf("decode: %w", err)
		return 0
	}
	if r.Chunk != nil {
		return len(w.messages) - 1 - r.Chunk.Index
	}
	return int(r.Snapshot) - 1
}

func (w *world) seal(claim uint64) {
	if len(w.messages) == 0 {
		return
	}
	last, err := w.codec.Decode(w.messages[len(w.messages)-1].data)
	if err != nil {
		w.failf("decode: %w", err)
		return
	}
	start := last.Snapshot
	if last.Chunk != nil {
		start = uint64(len(w.messages) - last.Chunk.Index)
	}
	w.store(claim, &ledger.Record{Format: ledger.Format, Claim: claim, Number: last.Number + 1, Time: last.Time, Snapshot: start, Sealed: true})
}

func (w *world) store(claim uint64, r *ledger.Record) int {
	data, err := w.codec.Encode(r)
	if err != nil {
		w.failf("encode: %w", err)
	}
	w.messages = append(w.messages, message{claim: claim, data: data})
	return len(data)
}

func (w *world) step(inputs ...core.Input) {
	outputs, wake := w.core.Step(w.now, inputs)
	w.wake = wake
	for n := 0; len(outputs) == 0 && !w.wake.IsZero() && w.wake.Before(w.now); n++ {
		if n == 3 {
			w.failf("busy: woken at %v again and again, and it is %v", w.wake, w.now)
			break
		}
		outputs, w.wake = w.core.Step(w.now, nil)
	}
	for _, out := range outputs {
		w.take(out)
	}
	if w.steps++; w.steps%recountEvery == 0 {
		if err := w.core.Recount(); err != nil {
			w.failf("%w", err)
		}
	}
}

// recountEvery is how many steps go by until everything is counted anew, which
// takes longer than a step.
const recountEvery = 16

func (w *world) take(out core.Output) {
	switch out := out.(type) {
	case core.Start:
		w.checkStart(out)
		w.attempts = append(w.attempts, out)
	case core.Append:
		if w.append != nil {
			w.failf("two appends under way")
		}
		if w.tamper != nil {
			for _, r := range out.Records {
				w.tamper(w, r)
			}
		}
		w.append = &out
	case core.Fetch:
		w.fetch = &out
	case core.Identify:
		w.identify = &out
	case core.Read:
		w.read = &out
	case core.WriteLetter:
		w.pending = append(w.pending, out)
	case core.Indexed:
		for id := range w.indexes[out.Version-1] {
			if !slices.Contains(slices.Collect(maps.Values(out.Numbers)), id) {
				w.left[id] = true
			}
		}
		w.indexes[out.Version], w.specs[out.Version] = index{}, map[uint32]string{}
		for name, id := range out.Numbers {
			w.indexes[out.Version][id], w.specs[out.Version][id] = w.prints[name], w.flows[name].spec
			w.reflow(id, name)
			if d := w.flows[name].flow.Debounce; d.Window > 0 && !d.All {
				w.debounced[id] = true
			}
		}
	case core.Acknowledge:
		w.acks++
	case core.Stopped:
		w.stopped = true
	case core.Broken:
		w.failf("broken: %w", out.Err)
	}
}

func (w *world) name(trigger uint32) string {
	if t := w.core.State().Triggers[trigger]; t != nil {
		return t.Name
	}
	return "?"
}

func (w *world) id(key ledger.Key) string { return fmt.Sprintf("%d.%d", key.Sequence, key.Trigger) }

// checkStart: an attempt of a delivery whose outcome is durable breaks I6; one
// of a dying delivery too.
func (w *world) checkStart(s core.Start) {
	id := w.id(s.Key)
	if kind, found := w.settled[id]; found {
		w.failf("I6: %s is attempted again after %v", id, kind)
	}
	if waiting := w.core.State().Waiting[s.Key]; waiting != nil && waiting.Dying {
		w.failf("I6: %s is attempted although it is dying", id)
	}
	if s.Body != s.Key.Sequence {
		w.failf("%s is attempted with the body of %v", id, s.Body)
	}
	if w.core.State().Suspects[s.Key].Crashes >= 2 && !s.Alone {
		w.failf("I7: %s is not attempted alone", id)
	}
	if w.gone[s.Key.Trigger] && !w.begun[s.Key] {
		w.failf("%s is attempted although its sink is gone", id)
	}
	w.checkFlow(s)
	w.count++
	w.unsettled[s.Key] = w.count
	if f := w.flowing[s.Key.Trigger]; f != nil && f.changed && w.begun[s.Key] {
		w.unsettled[s.Key] = f.since
	}
	w.started[id]++
}

// matchedBetween returns the events of a stretch as an index of this version
// matches them.
func (w *world) matchedBetween(from, to, version uint64, most int) ([]core.Entry, uint64) {
	var entries []core.Entry
	begin, _ := slices.BinarySearch(w.events, max(from, w.purged+1))
	for _, sequence := range w.events[begin:] {
		if sequence > to {
			break
		}
		e := core.Entry{Sequence: sequence, Size: 100 + int(sequence%7)*100, Body: sequence}
		for id, fingerprint := range w.indexes[version] {
			if matches(fingerprint, sequence) {
				e.Triggers = append(e.Triggers, id)
			}
		}
		slices.Sort(e.Triggers)
		for _, id := range e.Triggers {
			e.Keys = append(e.Keys, w.tellKeys(w.specs[version][id], sequence))
		}
		entries = append(entries, e)
		if len(entries) == most {
			return entries, sequence
		}
	}
	return entries, to
}
