package core_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"sluice/router/core"
	"sluice/router/ledger"
)

// flowingHand returns a hand with one trigger of this flow, and keys when spec is
// not empty.
func flowingHand(t *testing.T, flow core.Flow, spec string, change func(*core.Trigger)) *hand {
	t.Helper()
	r := newHand(t, fresh(), 0, core.Options{WaitingLimit: 40})
	trigger := core.Trigger{Name: "t", Fingerprint: "f", Concurrency: 4, Buffer: 8, Retry: policy, Flow: flow, KeySpec: spec}
	if change != nil {
		change(&trigger)
	}
	r.step(core.Configure{Version: 1, Triggers: []core.Trigger{trigger}})
	r.pass(time.Second)
	return r
}

// send matches events with these keys, which stand for every limit.
func (r *hand) send(keys ...string) {
	r.t.Helper()
	entries := make([]core.Entry, len(keys))
	for i, key := range keys {
		r.next++
		entries[i] = entry(r.next, 100, 1)
		entries[i].Keys = []*core.Keys{{Order: key, Concurrency: key, Rate: key, Debounce: key, Batch: key}}
	}
	r.match(entries...)
}

// end ends the attempt of one event.
func (r *hand) end(sequence uint64, class core.Class) {
	r.t.Helper()
	at := slices.IndexFunc(r.starts, func(s core.Start) bool { return s.Key.Sequence == sequence })
	if at < 0 {
		r.t.Fatalf("%d is not under way", sequence)
	}
	key := r.starts[at].Key
	r.starts = slices.Delete(r.starts, at, at+1)
	r.step(core.Finished{Key: key, Result: core.Result{Class: class, Duration: time.Millisecond, Jitter: 0.5, Error: "e"}})
}

// answer gives the bodies that were asked for.
func (r *hand) answer() {
	r.t.Helper()
	for len(r.fetches) > 0 {
		out := core.Fetched{}
		for _, sequence := range r.fetches[0].Sequences {
			out.Entries = append(out.Entries, core.Entry{Sequence: sequence, Size: 100, Body: sequence})
		}
		r.fetches = r.fetches[1:]
		r.step(out)
	}
}

func (r *hand) underWay() []uint64 {
	all := make([]uint64, 0, len(r.starts))
	for _, s := range r.starts {
		all = append(all, s.Key.Sequence)
	}
	return all
}

func (r *hand) want(when string, sequences ...uint64) {
	r.t.Helper()
	if got := r.underWay(); !slices.Equal(got, sequences) && len(got)+len(sequences) > 0 {
		r.t.Fatalf("%s: %v under way, want %v", when, got, sequences)
	}
}

// hold returns what is held for a reason.
func (r *hand) hold(reason core.HoldReason) core.Hold {
	for _, h := range r.core.Standings()[0].Holds {
		if h.Reason == reason {
			return h
		}
	}
	return core.Hold{}
}

func (r *hand) discarded() (n int) {
	return int(r.core.State().Triggers[1].Discarded)
}

func TestRate(t *testing.T) {
	r := flowingHand(t, core.Flow{Rate: core.Rate{Limit: 10, Per: time.Second, Burst: 2}}, "", nil)
	r.send("", "", "", "", "")
	r.want("a burst", 1, 2)
	if h := r.hold(core.HeldByRate); h.Deliveries != 3 || h.Until != r.now.Add(100*time.Millisecond).UnixNano() {
		t.Errorf("held: %+v at %d", h, r.now.UnixNano())
	}
	r.pass(99 * time.Millisecond)
	r.want("before the third is due", 1, 2)
	r.pass(time.Millisecond)
	r.want("when it is", 1, 2, 3)
	r.finishAll(core.Failed)
	r.pass(100 * time.Millisecond)
	r.answer()
	if n := len(r.starts); n != 1 {
		t.Errorf("a retry is an attempt too: %v under way", r.underWay())
	}
}

// TestRateOfAKeyGoesByTurns: what waits for the rate of its key goes in the order
// in which it has come, also when each is let go only by the end of a wait.
func TestRateOfAKeyGoesByTurns(t *testing.T) {
	for _, perKey := range []int{0, 2} {
		flow := core.Flow{PerKey: perKey, Rate: core.Rate{Limit: 10, Per: time.Second, Burst: 1, Keyed: true}}
		r := flowingHand(t, flow, "k", nil)
		r.send("a", "a", "a", "a", "a", "a")
		for n := uint64(1); n <= 6; n++ {
			r.want(fmt.Sprintf("with %d of a key, turn %d", perKey, n), n)
			r.finishAll(core.Succeeded)
			r.pass(100 * time.Millisecond)
		}
	}
}

// TestHighRate: a timer that is late by less than ten milliseconds costs a rate
// nothing.
func TestHighRate(t *testing.T) {
	r := flowingHand(t, core.Flow{Rate: core.Rate{Limit: 1000, Per: time.Second}}, "", func(c *core.Trigger) { c.Concurrency, c.Buffer = 1000, 1000 })
	r.send(make([]string, 100)...)
	for range 5 {
		r.now = r.now.Add(9 * time.Millisecond)
		r.step()
	}
	if n := len(r.starts); n != 55 {
		t.Errorf("%d attempts in 45 ms after a pause, want 10 at once and 45", n)
	}
}

// TestRateOverARestart: what an earlier run has started is not known, so that a
// burst has to be earned first.
func TestRateOverARestart(t *testing.T) {
	flow := core.Flow{Rate: core.Rate{Limit: 10, Per: time.Second, Burst: 5}}
	r := flowingHand(t, flow, "", nil)
	r.pass(time.Second)
	state := r.fold.State()
	state.Claim, state.Number, state.Sealed = 2, 0, false
	again := newHand(t, state, 0, core.Options{})
	again.now = r.now
	again.step(core.Configure{Version: 1, Triggers: []core.Trigger{{Name: "t", Fingerprint: "f", Concurrency: 9, Buffer: 9, Retry: policy, Flow: flow}}})
	again.send("", "", "", "", "")
	again.pass(0)
	again.step()
	again.want("at the start", 1)
}

func TestRateByKey(t *testing.T) {
	r := flowingHand(t, core.Flow{Rate: core.Rate{Limit: 10, Per: time.Second, Keyed: true}}, "k", nil)
	r.send("a", "a", "b", "a")
	r.want("one of each key", 1, 3)
	if h := r.hold(core.HeldByRate); h.Deliveries != 2 || h.Keys != 1 {
		t.Errorf("held: %+v", h)
	}
	r.pass(100 * time.Millisecond)
	r.want("the next one", 1, 3, 2)
	r.pass(100 * time.Millisecond)
	r.want("and the next", 1, 3, 2, 4)
}

func TestConcurrencyByKey(t *testing.T) {
	r := flowingHand(t, core.Flow{PerKey: 1}, "k", nil)
	r.send("a", "a", "b", "a")
	r.want("one of each key", 1, 3)
	r.end(1, core.Failed)
	r.want("a failed attempt leaves its slot", 3, 2)
	if h := r.hold(core.HeldByKeyConcurrency); h.Deliveries != 1 || h.Limit != 1 {
		t.Errorf("held: %+v", h)
	}
	r.end(2, core.Succeeded)
	r.want("the next of the key", 3, 4)
}

// TestOrder: a key that fails holds back itself only, and goes on in order.
func TestOrder(t *testing.T) {
	r := flowingHand(t, core.Flow{Ordered: true}, "k", func(c *core.Trigger) { c.Retry.Attempts = 2 })
	r.send("a", "a", "b", "", "", "a")
	r.want("the first of each key, and what has none", 1, 3, 4, 5)
	r.end(3, core.Succeeded)
	r.end(1, core.Failed)
	r.want("the second waits for the first", 4, 5)
	r.pass(20 * time.Millisecond)
	r.answer()
	r.want("which is tried again", 4, 5, 1)
	r.end(1, core.Failed)
	r.want("and waits for its letter", 4, 5)
	if len(r.letters) == 0 {
		r.pass(10 * time.Millisecond)
	}
	r.step(core.LetterStored{Key: r.letters[0].Key})
	r.want("then the key goes on", 4, 5, 2)
}

// TestOrderBlocks: with Forever a delivery is tried until it is taken.
func TestOrderBlocks(t *testing.T) {
	r := flowingHand(t, core.Flow{Ordered: true}, "k", func(c *core.Trigger) { c.Retry.Attempts, c.Retry.Forever = 1, true })
	r.send("a", "a")
	for n := range 5 {
		r.want(fmt.Sprint("attempt ", n), 1)
		r.end(1, []core.Class{core.Failed, core.Refused}[n%2])
		r.pass(20 * time.Millisecond)
		r.answer()
	}
	r.end(1, core.Succeeded)
	r.want("at last", 2)
	if len(r.letters) > 0 {
		t.Errorf("%d letters", len(r.letters))
	}
}

// TestAKeyHoldsBackOnlyItself: what waits behind a failing delivery waits
// without a body, and leaves the buffer to others (invariant I4).
func TestAKeyHoldsBackOnlyItself(t *testing.T) {
	r := flowingHand(t, core.Flow{Ordered: true}, "k", func(c *core.Trigger) { c.Retry.Initial, c.Retry.Max = time.Hour, time.Hour })
	r.send("a")
	r.end(1, core.Failed)
	for range 30 {
		r.send("a")
	}
	r.send("b")
	r.want("another key", 32)
	if h := r.hold(core.HeldByOrder); h.Deliveries != 30 || h.Keys != 1 || h.Event != 1 {
		t.Errorf("held: %+v", h)
	}
	if h := r.hold(core.HeldByRetry); h.Deliveries != 1 || time.Unix(0, h.Until).Before(r.now) {
		t.Errorf("the one that has failed: %+v", h)
	}
	for range 20 {
		r.send("a")
	}
	if h := r.hold(core.HeldByWaiting); h.Limit != 40 {
		t.Errorf("with more than may wait its gate is not closed: %+v", r.core.Standings()[0].Holds)
	}
}

func TestDebounce(t *testing.T) {
	r := flowingHand(t, core.Flow{Debounce: core.Debounce{Window: 50 * time.Millisecond, Most: 120 * time.Millisecond}}, "k", nil)
	r.send("a", "b", "a")
	r.want("nothing goes at once")
	if h := r.hold(core.HeldByDebounce); h.Deliveries != 2 || h.Keys != 2 {
		t.Errorf("held: %+v", h)
	}
	r.pass(49 * time.Millisecond)
	r.send("a")
	r.pass(time.Millisecond)
	r.want("one that nothing came after", 2)
	r.pass(48 * time.Millisecond)
	r.send("a")
	r.pass(22 * time.Millisecond)
	r.want("the last one, when the first has waited long enough", 2, 5)
	r.finishAll(core.Succeeded)
	r.pass(time.Second)
	if n := r.discarded(); n != 3 {
		t.Errorf("%d are discarded, want 3", n)
	}
}

func TestDebounceKeepsAll(t *testing.T) {
	r := flowingHand(t, core.Flow{Debounce: core.Debounce{Window: 50 * time.Millisecond, All: true}}, "k", func(c *core.Trigger) { c.Concurrency, c.Batch = 20, 20 })
	for range 12 {
		r.send("a")
	}
	r.want("nothing goes at once")
	r.pass(50 * time.Millisecond)
	r.answer()
	if n := len(r.starts); n != 12 {
		t.Errorf("%v under way", r.underWay())
	}
}

// TestDebounceOverARestart: what was attempted once is attempted until it has
// ended, also when that has used up no attempt.
func TestDebounceOverARestart(t *testing.T) {
	flow := core.Flow{Debounce: core.Debounce{Window: 10 * time.Minute}}
	r := flowingHand(t, flow, "k", nil)
	r.send("a")
	r.pass(10 * time.Minute)
	r.finishAll(core.Busy)
	r.pass(10 * time.Millisecond)
	state := r.fold.State()
	state.Claim, state.Number, state.Sealed = 2, 0, false
	again := newHand(t, state, 1, core.Options{})
	again.now, again.next = r.now, 1
	again.step(core.Configure{Version: 1, Last: 1, Triggers: []core.Trigger{{
		Name: "t", Fingerprint: "f", Concurrency: 4, Buffer: 8, Retry: policy, Flow: flow, KeySpec: "k",
	}}})
	key := ledger.Key{Trigger: 1, Sequence: 1}
	again.step(core.Identified{Version: 1, Keys: map[ledger.Key]*core.Keys{key: {Debounce: "a"}}})
	again.send("a")
	again.pass(time.Minute)
	again.answer()
	again.want("what was attempted", 1)
	if n := again.discarded(); n != 0 {
		t.Errorf("%d are discarded", n)
	}
}

// TestDebounceKeepsToTheBuffer: what has waited for others and cannot go yet is
// not more than a trigger may have in memory, however much comes.
func TestDebounceKeepsToTheBuffer(t *testing.T) {
	flow := core.Flow{Debounce: core.Debounce{Window: 50 * time.Millisecond, All: true}}
	r := flowingHand(t, flow, "k", nil) // a buffer of 8, and 40 may wait
	for range 20 {
		for range 8 {
			r.send("a")
		}
		r.pass(50 * time.Millisecond)
	}
	if live, _, _, _, _ := r.core.Held(); live > 4+8+40 {
		t.Errorf("%d deliveries are in memory", live)
	}
}

// TestBreaker: while it is open nothing starts; then one attempt finds out, and
// burns nothing if it fails.
func TestBreaker(t *testing.T) {
	flow := core.Flow{Breaker: core.Breaker{Failures: 0.5, Least: 4, Window: time.Second, Open: 300 * time.Millisecond}}
	r := flowingHand(t, flow, "", func(c *core.Trigger) { c.Retry.Attempts = 2 })
	r.send("", "", "", "", "", "")
	r.end(1, core.Succeeded)
	r.end(2, core.Failed)
	r.end(3, core.Refused)
	r.end(4, core.Failed)
	r.want("it is open", 5, 6)
	r.end(5, core.Failed)
	r.end(6, core.Succeeded)
	r.pass(200 * time.Millisecond)
	r.want("for a time")
	if h := r.hold(core.HeldByBreaker); h.Until == 0 {
		t.Errorf("held: %+v", h)
	}
	for range 3 {
		r.pass(300 * time.Millisecond)
		r.answer()
		if h := r.hold(core.HeldByBreaker); h.Until != 0 || !r.core.Full(1) {
			t.Errorf("with a probe: held: %+v", h)
		}
		if len(r.starts) != 1 || r.starts[0].Attempt != 2 {
			t.Fatalf("not one probe: %+v", r.starts)
		}
		r.finishAll(core.Failed)
	}
	r.pass(300 * time.Millisecond)
	r.finishAll(core.Succeeded)
	r.pass(100 * time.Millisecond)
	r.answer()
	if len(r.starts) != 2 {
		t.Errorf("it is closed again, and %v under way", r.underWay())
	}
	if len(r.letters) != 1 || r.letters[0].Key.Sequence != 3 {
		t.Errorf("letters: %+v", r.letters)
	}
}

// TestAKeyThatFailsLeavesBatchesToOthers: a batch goes early when what could come
// to it waits for it, not when that waits for the retry of another key.
func TestAKeyThatFailsLeavesBatchesToOthers(t *testing.T) {
	r := flowingHand(t, core.Flow{Ordered: true}, "k", func(c *core.Trigger) { c.Retry.Forever, c.Concurrency, c.Batch = true, 20, 20 })
	r.send("a", "a")
	if r.want("the first of a", 1); !r.core.Full(1) {
		t.Error("the second waits for it")
	}
	r.end(1, core.Failed)
	r.send("b")
	if r.want("while a has failed", 3); r.core.Full(1) {
		t.Error("nothing waits for b")
	}
	r.send("b")
	if r.want("in order", 3); !r.core.Full(1) {
		t.Error("another one of b does")
	}
}

// TestAKeyThatIsBusyLeavesBatchesToOthers: what waits for its own key is not what
// a batch of another one waits for.
func TestAKeyThatIsBusyLeavesBatchesToOthers(t *testing.T) {
	r := flowingHand(t, core.Flow{PerKey: 2}, "k", func(c *core.Trigger) { c.Concurrency, c.Batch = 20, 2 })
	r.send("a", "a", "a", "b")
	if r.want("two of a key", 1, 2, 4); r.core.Full(1) {
		t.Error("nothing waits for b")
	}
}

// TestReloadAsksForKeys: when how keys are found changes, nothing starts by the
// old ones.
func TestReloadAsksForKeys(t *testing.T) {
	r := flowingHand(t, core.Flow{PerKey: 1}, "k", nil)
	r.send("a", "a", "a")
	r.want("by one key", 1)
	r.step(core.Configure{Version: 2, Triggers: []core.Trigger{{
		Name: "t", Fingerprint: "f", Concurrency: 4, Buffer: 8, Retry: policy, Flow: core.Flow{PerKey: 1}, KeySpec: "l",
	}}})
	if len(r.asked) != 1 || len(r.asked[0].Deliveries) != 3 {
		t.Fatalf("asked for %+v", r.asked)
	}
	keys := map[ledger.Key]*core.Keys{}
	for _, key := range r.asked[0].Deliveries {
		keys[key] = &core.Keys{Concurrency: strconv.FormatUint(key.Sequence%2, 10)}
	}
	r.step(core.Identified{Version: 2, Keys: keys})
	r.want("by others", 1, 2)
}
