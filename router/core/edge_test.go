package core_test

import (
	"fmt"
	"testing"
	"time"

	"sluice/router/core"
	"sluice/router/ledger"
)

// A hand drives a core by hand: appends are durable at once, everything else
// waits to be answered.
type hand struct {
	t       *testing.T
	codec   *ledger.Codec
	core    *core.Core
	now     time.Time
	wake    time.Time
	fold    *ledger.Fold
	stored  uint64
	next    uint64 // the last event that was sent
	broken  error
	largest int

	starts  []core.Start
	reads   []core.Read
	fetches []core.Fetch
	asked   []core.Identify
	letters []core.WriteLetter
	stopped bool
}

func newHand(t *testing.T, state *ledger.State, last uint64, options core.Options) *hand {
	t.Helper()
	codec, err := ledger.NewCodec()
	if err != nil {
		t.Fatal(err)
	}
	return &hand{t: t, codec: codec, core: core.Open(state, last, options), now: time.Unix(1_700_000_000, 0), fold: ledger.NewFold(codec)}
}

func fresh() *ledger.State {
	state := ledger.NewState("rig")
	state.Claim = 1
	return state
}

func (r *hand) step(inputs ...core.Input) {
	r.t.Helper()
	for {
		outputs, wake := r.core.Step(r.now, inputs)
		r.wake, inputs = wake, nil
		for _, out := range outputs {
			switch out := out.(type) {
			case core.Start:
				r.starts = append(r.starts, out)
			case core.Append:
				inputs = append(inputs, r.append(out))
			case core.Read:
				r.reads = append(r.reads, out)
			case core.Fetch:
				r.fetches = append(r.fetches, out)
			case core.Identify:
				r.asked = append(r.asked, out)
			case core.WriteLetter:
				r.letters = append(r.letters, out)
			case core.Stopped:
				r.stopped = true
			case core.Broken:
				r.broken = out.Err
			}
		}
		if len(inputs) == 0 {
			return
		}
	}
}

func (r *hand) append(a core.Append) core.Appended {
	r.t.Helper()
	done := core.Appended{Number: a.Number, Sequence: r.stored + 1}
	for _, rec := range a.Records {
		data, err := r.codec.Encode(rec)
		if err != nil {
			r.t.Fatal(err)
		}
		r.stored++
		done.Bytes += len(data)
		r.largest = max(r.largest, len(data))
		if err := r.fold.Add(r.stored, data); err != nil && r.broken == nil {
			r.broken = err
		}
	}
	return done
}

// pass lets time go by, at least so that records are written.
func (r *hand) pass(d time.Duration) {
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(min(d, 100*time.Millisecond))
		r.step()
	}
}

func triggers(n int, policy core.RetryPolicy) []core.Trigger {
	all := make([]core.Trigger, n)
	for i := range all {
		all[i] = core.Trigger{Name: fmt.Sprintf("t%d", i), Fingerprint: "f", Concurrency: 2, Buffer: 8, Retry: policy}
	}
	return all
}

func entry(sequence uint64, size int, ids ...uint32) core.Entry {
	return core.Entry{Sequence: sequence, Size: size, Triggers: ids, Body: sequence}
}

func (r *hand) match(entries ...core.Entry) {
	r.t.Helper()
	r.step(core.Matched{From: entries[0].Sequence, To: entries[len(entries)-1].Sequence, Version: 1, Entries: entries})
}

// finishAll ends all attempts under way.
func (r *hand) finishAll(class core.Class) {
	r.t.Helper()
	todo := r.starts
	r.starts = nil
	for _, s := range todo {
		r.step(core.Finished{Key: s.Key, Result: core.Result{Class: class, Duration: time.Millisecond, Jitter: 0.5, Error: "e"}})
	}
}

var policy = core.RetryPolicy{Attempts: 100, Initial: 10 * time.Millisecond, Max: 10 * time.Millisecond}

// TestCleanStopIsRemembered: after an orderly stop and the seal of who
// takes over, nothing is suspected (invariant I7).
func TestCleanStopIsRemembered(t *testing.T) {
	r := newHand(t, fresh(), 0, core.Options{})
	r.step(core.Configure{Version: 1, Triggers: triggers(1, policy)})
	r.pass(time.Second)
	r.step(core.Drain{})
	r.pass(time.Second)
	if !r.stopped {
		t.Fatal("not stopped")
	}
	state := r.fold.State()
	if !state.Stopped {
		t.Fatal("the last record does not say that the stop was orderly")
	}
	if err := state.Apply(&ledger.Record{Format: ledger.Format, Claim: 1, Number: state.Number + 1, Sealed: true}); err != nil {
		t.Fatal(err)
	}
	if !state.Stopped {
		t.Error("the seal makes an orderly stop a crash")
	}
}

// TestManyRemovedAtOnce: more triggers than fit into one record leave for
// good at the same time.
func TestManyRemovedAtOnce(t *testing.T) {
	const n = 1500
	r := newHand(t, fresh(), 0, core.Options{RemovedAfter: time.Second})
	r.step(core.Configure{Version: 1, Triggers: triggers(n, policy)})
	r.pass(time.Second)
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32(i + 1)
	}
	r.match(entry(1, 100, ids...))
	r.finishAll(core.Failed)
	r.step(core.Configure{Version: 2})
	r.pass(3 * time.Second)
	if r.broken != nil {
		t.Fatalf("the ledger is broken for good: %v", r.broken)
	}
	if left := len(r.fold.State().Triggers); left != 0 {
		t.Errorf("%d triggers are left", left)
	}
}

// TestLargeRetryAmongSmall: on a busy trigger, the retry of an event that
// is larger than the trigger's share of the memory starts at some time, and so
// do those that are due after it.
func TestLargeRetryAmongSmall(t *testing.T) {
	r := newHand(t, fresh(), 0, core.Options{Budget: 8 << 10, Ring: 4}) // a share of 1 KiB
	r.step(core.Configure{Version: 1, Triggers: triggers(1, policy)})
	r.pass(time.Second)
	r.match(entry(1, 2000, 1))
	r.finishAll(core.Failed)
	for sequence := uint64(2); sequence < 2000; sequence++ {
		r.match(entry(sequence, 100, 1))
		r.now = r.now.Add(10 * time.Millisecond)
		for len(r.starts) > 1 { // one is always under way
			s := r.starts[0]
			r.starts = r.starts[1:]
			r.step(core.Finished{Key: s.Key, Result: core.Result{Class: core.Succeeded, Duration: 1}})
		}
		for len(r.fetches) > 0 {
			r.fetches = r.fetches[1:]
			r.step(core.Fetched{Entries: []core.Entry{{Sequence: 1, Size: 2000, Body: uint64(1)}}})
		}
		for _, s := range r.starts {
			if s.Key.Sequence == 1 {
				return
			}
		}
	}
	t.Errorf("not attempted again in %v", 20*time.Second)
}

// TestNoReadsInVain: while an event is too large for what a trigger may
// hold besides an attempt that hangs, the log is not read again and again.
func TestNoReadsInVain(t *testing.T) {
	r := newHand(t, fresh(), 0, core.Options{Budget: 8 << 10, Ring: 1, UnwrittenAge: time.Hour})
	r.step(core.Configure{Version: 1, Triggers: triggers(1, policy)})
	r.pass(time.Second)
	r.match(entry(1, 300, 1), entry(2, 100, 1))
	for sequence := uint64(3); sequence < 20; sequence++ {
		r.match(entry(sequence, 900, 1)) // too much beside the first: the gate closes
	}
	short := r.starts[1]
	r.starts = r.starts[:1]
	r.step(core.Finished{Key: short.Key, Result: core.Result{Class: core.Succeeded}})
	reads := 0
	for range 1000 {
		if len(r.reads) == 0 {
			break
		}
		read := r.reads[0]
		r.reads = nil
		reads++
		in := core.Swept{From: read.From, Version: 1}
		for s := read.From; s < 20 && len(in.Entries) < read.Max; s++ {
			in.Entries = append(in.Entries, entry(s, 900, 1))
			in.To = s
		}
		r.step(in)
	}
	if reads > 10 {
		t.Errorf("%d reads of the log while nothing has changed", reads)
	}
}

// TestSweepsServeAll: a trigger that catches up as fast as the log is
// read does not keep another one from catching up (invariant I4).
func TestSweepsServeAll(t *testing.T) {
	const last = 20_000
	r := newHand(t, fresh(), 0, core.Options{})
	r.step(core.Configure{Version: 1, Triggers: triggers(2, policy)})
	r.pass(time.Second)
	r.step(core.Pause{Name: "t0"}, core.Pause{Name: "t1"})
	var all []core.Entry
	for s := uint64(1); s <= last; s++ {
		all = append(all, entry(s, 100, 1, 2))
	}
	r.step(core.Matched{From: 1, To: last, Version: 1, Entries: all})
	r.pass(2 * time.Second)
	// The first is on its way when the second comes.
	r.step(core.Resume{Name: "t0"})
	served := map[uint32]int{}
	answer := func() {
		read := r.reads[0]
		r.reads = r.reads[1:]
		to := min(read.From+uint64(read.Max)-1, last)
		r.step(core.Swept{From: read.From, To: to, Version: 1, Entries: all[read.From-1 : to]})
	}
	for n := 0; len(r.reads) > 0 && served[1] < last; n++ {
		if n == 3 {
			r.step(core.Resume{Name: "t1"})
		}
		answer()
		for len(r.starts) > 0 {
			for _, s := range r.starts {
				served[s.Key.Trigger]++
			}
			r.finishAll(core.Succeeded)
		}
		r.now = r.now.Add(time.Millisecond)
		if served[2] > 0 {
			return
		}
	}
	t.Errorf("the second trigger got %d events while the first got %d", served[2], served[1])
}

// TestRenamedOntoOne: a trigger that is renamed to the name of one that
// was removed a while ago keeps its deliveries.
func TestRenamedOntoOne(t *testing.T) {
	r := newHand(t, fresh(), 0, core.Options{})
	r.step(core.Configure{Version: 1, Triggers: triggers(2, policy)})
	r.pass(time.Second)
	r.step(core.Configure{Version: 2, Triggers: triggers(1, policy)}) // t1 leaves
	r.pass(time.Second)
	renamed := triggers(1, policy)
	renamed[0].Name, renamed[0].Was = "t1", []string{"t0"}
	r.step(core.Configure{Version: 3, Triggers: renamed})
	r.pass(time.Second)
	if g := r.fold.State().Triggers[1].Gate; g.Removed != 0 {
		t.Errorf("the renamed trigger counts as removed: %+v; its deliveries are discarded after a day", g)
	}
}

// TestBodiesOfRetries: the bodies that are asked for count with the size
// that is known of them.
func TestBodiesOfRetries(t *testing.T) {
	r := newHand(t, fresh(), 0, core.Options{Ring: 1})
	one := triggers(1, policy)
	one[0].Concurrency = 500
	r.step(core.Configure{Version: 1, Triggers: one})
	r.pass(time.Second)
	const size = 1 << 20
	for sequence := uint64(1); sequence <= 600; sequence++ {
		r.match(entry(sequence, size, 1))
		r.finishAll(core.Failed)
	}
	r.starts, r.fetches = nil, nil
	r.pass(time.Second)
	held := 0
	for len(r.fetches) > 0 {
		f := r.fetches[0]
		r.fetches = r.fetches[1:]
		in := core.Fetched{}
		for _, s := range f.Sequences {
			in.Entries = append(in.Entries, core.Entry{Sequence: s, Size: size, Body: s})
		}
		held += len(f.Sequences) * size
		r.step(in)
	}
	if held > 64<<20 {
		t.Errorf("%d MiB of bodies are held; the budget is 64 MiB, and the share 8 MiB", held>>20)
	}
}

// TestRecordFits: the largest record is one that the ledger takes.
func TestRecordFits(t *testing.T) {
	const n = 10_000
	r := newHand(t, fresh(), 0, core.Options{UnwrittenAge: time.Hour, UnwrittenLimit: 1 << 30, Budget: 1 << 40})
	r.step(core.Configure{Version: 1, Triggers: triggers(n, policy)})
	r.pass(time.Second)
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32(i + 1)
	}
	const base = 1 << 40
	r.step(core.Matched{From: 1, To: base, Version: 1})
	r.largest = 0
	r.match(entry(base+1, 10, ids...), entry(base+2, 10, ids...), entry(base+3, 10, ids...), entry(base+4, 10, ids...))
	var all []core.Input
	for _, s := range r.starts {
		all = append(all, core.Finished{Key: s.Key, Result: core.Result{Class: core.Failed, Duration: time.Second, Jitter: 0.5, Status: 503, Error: fmt.Sprintf("%090d", 7)}})
	}
	r.starts = nil
	r.now = r.now.Add(2 * time.Second)
	r.step(all...)
	r.pass(3 * time.Second)
	t.Logf("the largest record has %d bytes", r.largest)
	if r.largest > 1<<20 {
		t.Errorf("a record of %d bytes", r.largest)
	}
}

// TestSnapshotOfAnOutage: a sink that is away for an hour does not make a
// state that cannot be written any more.
func TestSnapshotOfAnOutage(t *testing.T) {
	state := ledger.NewState("rig")
	state.Claim = 1
	now := time.Unix(1_700_000_000, 0).UnixNano()
	for id := range uint32(20) {
		rec := &ledger.Record{Format: ledger.Format, Claim: 1, Number: state.Number + 1, Gates: []ledger.Gate{{Trigger: id + 1, Name: "t", Start: 1}}}
		if err := state.Apply(rec); err != nil {
			t.Fatal(err)
		}
		for attempt := range 20 {
			rec := &ledger.Record{Format: ledger.Format, Claim: 1, Number: state.Number + 1}
			for s := range uint64(10_000) {
				rec.Outcomes = append(rec.Outcomes, ledger.Outcome{
					Key: ledger.Key{Trigger: id + 1, Sequence: s + 1}, Kind: ledger.Retry, Attempt: attempt + 1, Time: now,
					Detail: &ledger.Detail{Due: now, Error: "POST http://worker.internal:8080/hook: dial tcp 10.1.2.3:8080: connect: connection refused"},
				})
			}
			if err := state.Apply(rec); err != nil {
				t.Fatal(err)
			}
		}
	}
	if chunks := len(state.Chunks(1, 2, now)); chunks > 1000 {
		t.Errorf("a snapshot has %d chunks, and a batch takes 1,000: it is never stored", chunks)
	}
}

// TestStartedFits: after a crash under full load of very many triggers,
// what is about to start is written in records that the ledger takes.
func TestStartedFits(t *testing.T) {
	const n = 10_000
	const base = 1 << 40
	state := fresh()
	for i := range uint32(n) {
		state.Triggers[i+1] = &ledger.Trigger{Gate: ledger.Gate{Trigger: i + 1, Name: fmt.Sprintf("t%d", i), Fingerprint: "f", Start: 1, Since: 1}}
	}
	state.Mark, state.NextTrigger = base, n+1
	r := newHand(t, state, base+100, core.Options{Budget: 1 << 40})
	all := triggers(n, policy)
	for i := range all {
		all[i].Concurrency = 10
	}
	r.step(core.Configure{Version: 1, Triggers: all})
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32(i + 1)
	}
	r.largest = 0
	var entries []core.Entry
	for s := range uint64(8) {
		entries = append(entries, entry(base+1+s, 10, ids...))
	}
	r.match(entries...)
	r.pass(100 * time.Millisecond)
	if r.largest > 1<<20 {
		t.Errorf("a record of %d bytes", r.largest)
	}
}

// TestAGoneSink pauses the trigger with what it has said; the delivery that met
// it waits, and this was no attempt of it.
func TestAGoneSink(t *testing.T) {
	r := newHand(t, fresh(), 0, core.Options{})
	r.step(core.Configure{Version: 1, Triggers: triggers(1, core.RetryPolicy{Attempts: 1, Initial: time.Second, Max: time.Second, MaxAge: time.Hour})})
	r.pass(time.Second)
	r.match(entry(1, 10, 1), entry(2, 10, 1), entry(3, 10, 1))
	gone := core.Result{Class: core.Gone, Status: 410, Error: "answered 410 Gone", Duration: time.Millisecond}
	under := r.starts
	r.starts = nil
	r.step(core.Finished{Key: under[0].Key, Result: gone})
	at := r.now
	r.pass(time.Second)
	r.step(core.Finished{Key: under[1].Key, Result: gone})
	r.pass(2 * time.Hour)
	if len(under) != 2 || len(r.starts) != 0 || len(r.letters) != 0 {
		t.Fatalf("%d attempts before, %d after, %d letters", len(under), len(r.starts), len(r.letters))
	}
	known := r.core.State().Triggers[1]
	want := ledger.Pause{Trigger: 1, Since: at.UnixNano(), Reason: ledger.PausedGone, Error: "answered 410 Gone"}
	if !known.Paused || known.Pause != want || r.fold.State().Triggers[1].Pause != want {
		t.Errorf("the pause is %+v, want %+v", known.Pause, want)
	}
	for _, w := range r.core.State().Waiting {
		if w.Attempts != 0 || w.Dying {
			t.Errorf("what waits is %+v", w)
		}
	}
	r.step(core.Resume{Name: "t0", Token: 1})
	r.pass(time.Second)
	for _, read := range r.reads {
		r.step(core.Swept{From: read.From, To: 3, Version: 1, Entries: []core.Entry{entry(3, 10, 1)}})
	}
	if len(r.starts) != 2 || r.starts[0].Attempt != 1 || r.core.State().Triggers[1].Pause != (ledger.Pause{}) {
		t.Errorf("after the resume: %+v, %+v", r.starts, r.core.State().Triggers[1].Pause)
	}
	late := gone
	late.Duration = time.Minute // it began before the resume
	r.step(core.Finished{Key: r.starts[0].Key, Result: late})
	r.pass(time.Second)
	if r.core.State().Triggers[1].Paused {
		t.Error("an attempt from before the resume has paused the trigger again")
	}
}

// TestStartInThePastHoldsTheLog: where a trigger is told to begin is needed from
// the step that configures it, and not only when that is written down.
func TestStartInThePastHoldsTheLog(t *testing.T) {
	r := newHand(t, fresh(), 0, core.Options{})
	r.step(core.Configure{Version: 1, Triggers: triggers(1, policy)})
	r.pass(time.Second)
	r.match(entry(90, 100, 1))
	r.finishAll(core.Succeeded)
	r.pass(2 * time.Second)
	if low := r.core.Low(); low != 91 {
		t.Fatalf("the log is needed from %d on, want 91", low)
	}
	both := triggers(2, policy)
	both[1].From = 50
	r.core.Step(r.now, []core.Input{core.Configure{Version: 2, Triggers: both}})
	if low := r.core.Low(); low != 50 {
		t.Errorf("the log is needed from %d on, want 50", low)
	}
}

// TestDoubtOutlivesAnOrderlyStop: what was under way at a crash is written down
// before it starts again, also when a claim that did not get to it has ended in
// good order in between (invariant I7).
func TestDoubtOutlivesAnOrderlyStop(t *testing.T) {
	configured := core.Configure{Version: 1, Triggers: triggers(1, policy)}
	next := func(after *hand) *hand {
		state := after.fold.State()
		state.Claim, state.Number = state.Claim+1, 0
		r := newHand(t, state, 1, core.Options{})
		r.now = after.now
		return r
	}
	crashes := newHand(t, fresh(), 0, core.Options{})
	crashes.step(configured)
	crashes.pass(time.Second)
	crashes.match(entry(1, 100, 1))
	if len(crashes.starts) != 1 {
		t.Fatalf("%d attempts", len(crashes.starts))
	}
	stops := next(crashes)
	stops.step(configured)
	stops.step(core.Drain{})
	stops.pass(time.Second)
	if !stops.stopped || len(stops.starts) > 0 {
		t.Fatalf("stopped: %v after %d attempts", stops.stopped, len(stops.starts))
	}
	again := next(stops)
	again.step(configured)
	again.match(entry(1, 100, 1))
	again.pass(time.Second)
	if s := again.core.State().Suspects[ledger.Key{Trigger: 1, Sequence: 1}]; !s.Running || len(again.starts) != 1 {
		t.Errorf("it is attempted %d times, and suspected as %+v", len(again.starts), s)
	}
}

// TestAnIdleCrowdLeavesRoom: what one of many triggers may hold goes by what all
// of them hold, not by how many there are.
func TestAnIdleCrowdLeavesRoom(t *testing.T) {
	r := newHand(t, fresh(), 0, core.Options{Budget: 64 << 10})
	all := triggers(1000, policy)
	for i := range all {
		all[i].Buffer = 100
	}
	r.step(core.Configure{Version: 1, Triggers: all})
	r.pass(time.Second)
	for n := range uint64(60) {
		r.match(entry(n+1, 100, 1))
	}
	if s := r.core.Standings()[0]; s.Gate.Behind || s.Running+s.Buffered != 60 {
		t.Errorf("6,000 of 65,536 bytes are held, and the trigger stands at %+v", s)
	}
	for n := range uint64(200) {
		r.match(entry(n+61, 100, 1))
	}
	if s := r.core.Standings()[0]; !s.Gate.Behind {
		t.Errorf("more than an eighth is held: %+v", s)
	}
}
