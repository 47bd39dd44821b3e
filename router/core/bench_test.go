package core_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"sluice/router/core"
	"sluice/router/ledger"
)

// A rig drives a core by hand: appends are durable at once, and everything else
// is left to the test.
type rig struct {
	core    *core.Core
	now     time.Time
	next    uint64 // sequence of the next event
	numbers map[string]uint32
	starts  []core.Start
	inputs  []core.Input
}

func newRig(tb testing.TB, triggers ...core.Trigger) *rig {
	tb.Helper()
	state := ledger.NewState("rig")
	state.Claim = 1
	r := &rig{core: core.Open(state, 0, core.Options{}), now: time.Unix(1_700_000_000, 0), next: 1}
	r.step(core.Configure{Version: 1, Triggers: triggers})
	if len(r.numbers) != len(triggers) {
		tb.Fatalf("%d triggers are numbered, want %d", len(r.numbers), len(triggers))
	}
	return r
}

// step takes inputs, and what the core asks for until it asks for no more
// appends. The clock goes on by more than the time between two records.
func (r *rig) step(inputs ...core.Input) {
	for len(inputs) > 0 {
		r.now = r.now.Add(10 * time.Millisecond)
		outputs, _ := r.core.Step(r.now, inputs)
		inputs = r.inputs[:0]
		for _, out := range outputs {
			switch out := out.(type) {
			case core.Start:
				r.starts = append(r.starts, out)
			case core.Append:
				inputs = append(inputs, core.Appended{Number: out.Number, Sequence: out.Number, Bytes: 1000})
			case core.Indexed:
				r.numbers = out.Numbers
			}
		}
		r.inputs = inputs
	}
}

// matched is a stretch of n events that all go to some triggers.
func (r *rig) matched(n int, triggers ...uint32) core.Matched {
	in := core.Matched{From: r.next, To: r.next + uint64(n) - 1, Version: 1, Entries: make([]core.Entry, n)}
	for i := range in.Entries {
		in.Entries[i] = core.Entry{Sequence: r.next, Size: 700, Triggers: triggers}
		r.next++
	}
	return in
}

// finish ends every attempt that has started.
func (r *rig) finish() []core.Input {
	inputs := make([]core.Input, 0, len(r.starts))
	for _, s := range r.starts {
		inputs = append(inputs, core.Finished{Key: s.Key, Result: core.Result{Class: core.Succeeded, Status: 200}})
	}
	r.starts = r.starts[:0]
	return inputs
}

// BenchmarkStep takes events through a core, from matched to recorded, 64
// attempts at a time; an operation is one delivery.
func BenchmarkStep(b *testing.B) {
	for _, triggers := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("triggers=%d", triggers), func(b *testing.B) {
			configured := make([]core.Trigger, triggers)
			for i := range configured {
				configured[i] = core.Trigger{Name: strconv.Itoa(i), Concurrency: 64, Buffer: 1024, Retry: core.RetryPolicy{Attempts: 5}}
			}
			r := newRig(b, configured...)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += 64 {
				r.step(r.matched(64, r.numbers["0"]))
				r.step(r.finish()...)
			}
		})
	}
}

// BenchmarkStepKeyed is BenchmarkStep with events of 1,000 keys.
func BenchmarkStepKeyed(b *testing.B) {
	for name, flow := range map[string]core.Flow{
		"ordered": {Ordered: true},
		"per key": {PerKey: 1},
		"rate":    {Rate: core.Rate{Limit: 1000, Per: time.Second, Burst: 1000, Keyed: true}},
	} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, core.Trigger{Name: "t", Concurrency: 64, Buffer: 1024, Retry: core.RetryPolicy{Attempts: 5}, Flow: flow, KeySpec: "k"})
			keys := make([]*core.Keys, 1000)
			for i := range keys {
				key := strconv.Itoa(i)
				keys[i] = &core.Keys{Order: key, Concurrency: key, Rate: key}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += 64 {
				in := r.matched(64, r.numbers["t"])
				for i := range in.Entries {
					in.Entries[i].Keys = keys[(n*7+i)%len(keys):][:1]
				}
				r.step(in)
				r.step(r.finish()...)
			}
		})
	}
}

// BenchmarkStepOne ends attempts one by one, as they come when there is little
// to do.
func BenchmarkStepOne(b *testing.B) {
	r := newRig(b, core.Trigger{Name: "t", Concurrency: 64, Buffer: 1024, Retry: core.RetryPolicy{Attempts: 5}})
	b.ReportAllocs()
	for b.Loop() {
		r.step(r.matched(1, r.numbers["t"]))
		r.step(r.finish()...)
	}
}

// BenchmarkStandings looks at how the triggers stand, which must not hold up the
// core: 1,000 of them with 100,000 waiting deliveries.
func BenchmarkStandings(b *testing.B) {
	state := fresh()
	const n, each = 1000, 100
	for i := range uint32(n) {
		state.Triggers[i+1] = &ledger.Trigger{Gate: ledger.Gate{Trigger: i + 1, Name: fmt.Sprintf("t%d", i), Fingerprint: "f", Start: 1, Since: 1}, Waiting: each}
		for s := range uint64(each) {
			state.Waiting[ledger.Key{Trigger: i + 1, Sequence: s + 1}] = &ledger.Waiting{Attempts: 1, Due: 1}
		}
	}
	state.Mark = each
	c := core.Open(state, each, core.Options{})
	c.Step(time.Unix(1_700_000_000, 0), []core.Input{core.Configure{Version: 1, Triggers: triggers(n, policy)}})
	for b.Loop() {
		c.Standings()
	}
}

func TestSaturated(t *testing.T) {
	r := newRig(t, core.Trigger{Name: "a", Concurrency: 1, Buffer: 4}, core.Trigger{Name: "b", Concurrency: 1, Buffer: 4}, core.Trigger{Name: "rare"})
	a, b, rare := r.numbers["a"], r.numbers["b"], r.numbers["rare"]
	want := func(when string, want bool) {
		t.Helper()
		if got := r.core.Saturated(rare); got != want {
			t.Errorf("%s: saturated is %v", when, got)
		}
	}
	want("at the start", false)
	r.step(r.matched(10, a))
	want("with one of two behind", false)
	r.step(r.matched(10, b))
	want("with both behind", true)
	r.step(core.Pause{Name: "a"})
	want("with one of them paused", true)
	r.step(core.Pause{Name: "b"})
	want("with all of them paused", false)
	r.step(core.Resume{Name: "b"})
	for range 10 {
		r.step(r.finish()...)
	}
	want("with one that has caught up", false)
}
