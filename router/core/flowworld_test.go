package core_test

import (
	"strconv"
	"time"

	"sluice/router/core"
	"sluice/router/ledger"
)

// A configuredFlow is the flow of a trigger, and which keys it finds.
type configuredFlow struct {
	flow core.Flow
	spec string
}

// A flowing is what the world has seen of the flow of one trigger since it was
// configured, or the process started.
type flowing struct {
	configuredFlow
	// changed: it was configured anew while the process ran. What was to be
	// written down first may have begun before.
	changed bool
	since   int // attempts that began before are not held against it
	// newest is the highest sequence that was attempted first, by order key.
	newest map[string]uint64
	starts map[string][]time.Time // by rate key
}

// drawFlow gives a trigger a flow at random; half of them have none.
func (w *world) drawFlow(name string) {
	var f core.Flow
	w.forever[name] = false
	if w.rng.IntN(2) == 0 {
		f.Ordered = w.rng.IntN(2) == 0
		w.forever[name] = f.Ordered && w.rng.IntN(3) == 0
		f.PerKey = w.rng.IntN(3)
		f.Adaptive = w.rng.IntN(4) == 0
		if w.rng.IntN(3) == 0 {
			f.Rate = core.Rate{Limit: 30, Per: time.Second, Burst: 1 + w.rng.IntN(4), Keyed: w.rng.IntN(2) == 0}
		}
		if !f.Ordered && w.rng.IntN(3) == 0 {
			f.Debounce = core.Debounce{Window: 40 * time.Millisecond, Most: 200 * time.Millisecond, All: w.rng.IntN(2) == 0}
		}
		if w.rng.IntN(4) == 0 {
			f.Breaker = core.Breaker{Failures: 0.5, Least: 4, Window: time.Second, Open: 100 * time.Millisecond}
		}
	}
	spec := ""
	if f.Ordered || f.PerKey > 0 || f.Rate.Keyed || f.Debounce.Window > 0 {
		spec = string(rune('k' + w.rng.IntN(3)))
	}
	w.flows[name] = configuredFlow{flow: f, spec: spec}
}

// reflow begins to look at a trigger's flow anew when it has changed.
func (w *world) reflow(id uint32, name string) {
	was := w.flowing[id]
	if was != nil && was.configuredFlow == w.flows[name] {
		return
	}
	w.flowing[id] = &flowing{
		configuredFlow: w.flows[name], changed: was != nil, since: w.count,
		newest: map[string]uint64{}, starts: map[string][]time.Time{},
	}
}

// keysOf is how the world finds keys; each spec finds others.
func keysOf(spec string, sequence uint64) *core.Keys {
	if spec == "" {
		return nil
	}
	return &allKeys[spec[0]-'k'][sequence%keyCycle]
}

// keyCycle is after how many sequences the keys come again.
const keyCycle = 4 * 3 * 5

var allKeys = func() (all [3][keyCycle]core.Keys) {
	one := func(of int) string { return strconv.Itoa(of) }
	for spec := range all {
		for i := range all[spec] {
			n := i + spec
			all[spec][i] = core.Keys{
				Order: one(n * 7 % 4), Concurrency: one(n * 5 % 3), Rate: one(n % 2), Debounce: one(n * 3 % 5), Batch: one(spec) + "." + one(n%3),
			}
			if n*7%4 == 0 {
				all[spec][i].Order = ""
			}
		}
	}
	return all
}()

// tellKeys is what the core is told of them.
func (w *world) tellKeys(spec string, sequence uint64) *core.Keys {
	keys := keysOf(spec, sequence)
	if w.blurred && keys != nil {
		blurred := *keys
		blurred.Order = keysOf(spec, sequence+1).Order
		return &blurred
	}
	return keys
}

// answerIdentify finds keys with the newest configuration.
func (w *world) answerIdentify() {
	if w.identify == nil {
		return
	}
	in := core.Identified{Version: w.version, Keys: map[ledger.Key]*core.Keys{}}
	for _, key := range w.identify.Deliveries {
		if key.Sequence > w.purged {
			in.Keys[key] = w.tellKeys(w.specs[w.version][key.Trigger], key.Sequence)
		} else if w.needs(key.Sequence) {
			w.failf("I3: sequence %d is needed and was trimmed", key.Sequence)
		}
	}
	w.identify = nil
	w.step(in)
}

// checkFlow: order, concurrency and rate, by key.
func (w *world) checkFlow(s core.Start) {
	f := w.flowing[s.Key.Trigger]
	if f == nil || f.changed && w.begun[s.Key] {
		return
	}
	keys := keysOf(f.spec, s.Key.Sequence)
	if keys != nil && s.Batch != keys.Batch {
		w.failf("%s goes with the batch %q, want %q", w.id(s.Key), s.Batch, keys.Batch)
	}
	if f.flow.Ordered && keys.Order != "" {
		w.checkOrder(f, keys.Order, s)
	}
	if f.flow.PerKey > 0 {
		w.checkPerKey(f, keys.Concurrency, s)
	}
	if f.flow.Rate.Limit > 0 {
		key := ""
		if f.flow.Rate.Keyed {
			key = keys.Rate
		}
		w.checkRate(f, key, s)
	}
}

// checkOrder: no attempt before the earlier deliveries of the key are settled.
func (w *world) checkOrder(f *flowing, key string, s core.Start) {
	if w.unsettled[s.Key] == 0 && s.Key.Sequence < f.newest[key] {
		w.failf("order: %s is attempted after %d of the key %s", w.id(s.Key), f.newest[key], key)
	}
	f.newest[key] = max(f.newest[key], s.Key.Sequence)
	if w.left[s.Key.Trigger] {
		return // what was removed is settled before the world knows
	}
	for other, began := range w.unsettled {
		if other.Trigger != s.Key.Trigger || other == s.Key || other.Sequence > s.Key.Sequence && began <= f.since {
			continue
		}
		if keysOf(f.spec, other.Sequence).Order == key {
			w.failf("order: %s is attempted, and %s of its key %s is unsettled", w.id(s.Key), w.id(other), key)
		}
	}
	for waiting := range w.core.State().Waiting {
		if waiting.Trigger == s.Key.Trigger && waiting.Sequence < s.Key.Sequence && keysOf(f.spec, waiting.Sequence).Order == key && !w.over[waiting] {
			w.failf("order: %s is attempted, and %s of its key %s waits", w.id(s.Key), w.id(waiting), key)
		}
	}
}

func (w *world) checkPerKey(f *flowing, key string, s core.Start) {
	n := 1
	for _, other := range w.attempts {
		if other.Key.Trigger == s.Key.Trigger && w.unsettled[other.Key] > f.since && keysOf(f.spec, other.Key.Sequence).Concurrency == key {
			n++
		}
	}
	if n > f.flow.PerKey {
		w.failf("%s is the attempt %d of the key %s, of which %d may be under way", w.id(s.Key), n, key, f.flow.PerKey)
	}
}

func (w *world) checkRate(f *flowing, key string, s core.Start) {
	if w.begun[s.Key] {
		return // it was counted when it was written down
	}
	rate, all := f.flow.Rate, append(f.starts[key], w.now)
	f.starts[key] = all
	if n := len(all) - 1; n >= rate.Burst && all[n].Sub(all[n-rate.Burst]) < rate.Per/time.Duration(rate.Limit) {
		w.failf("%s starts %v after the attempt %d before it of %q, with the rate %+v", w.id(s.Key), all[n].Sub(all[n-rate.Burst]), rate.Burst, key, rate)
	}
}

// checkDebounced: only what a later one may have replaced.
func (w *world) checkDebounced(key ledger.Key) {
	if w.next-1 <= key.Sequence {
		w.failf("%s is replaced by nothing", w.id(key))
	}
	if !w.debounced[key.Trigger] {
		w.failf("%s is debounced, and its trigger never asked for it", w.id(key))
	}
}
