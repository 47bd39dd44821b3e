package core_test

import (
	"flag"
	"fmt"
	"sync/atomic"
	"testing"

	"sluice/router/ledger"
)

var (
	seeds = flag.Uint64("sim.seeds", 1000, "how many seeds the simulation runs")
	first = flag.Uint64("sim.first", 1, "the first seed of the simulation")
)

// simulate takes one world through its turns, from its seed alone.
func simulate(seed uint64, tamper func(*world, *ledger.Record)) (w *world) {
	w = newWorld(seed)
	w.tamper = tamper
	w.open()
	for range 1500 {
		if w.turn(); w.fault != nil {
			return w
		}
	}
	w.settleAll(func(string) mood { return calm })
	if w.fault == nil {
		w.check()
	}
	return w
}

// TestSimulation shows I2, I3, I6 and I7 under random orders of events,
// failures, crashes and commands. A failing seed is printed; run it alone with
// -sim.first=SEED -sim.seeds=1.
func TestSimulation(t *testing.T) {
	var crashes, ended, letters atomic.Int64
	t.Run("seeds", func(t *testing.T) {
		for lane := range uint64(lanes) {
			t.Run(fmt.Sprintf("lane %d", lane), func(t *testing.T) {
				t.Parallel()
				for seed := *first + lane; seed < *first+*seeds; seed += lanes {
					w := simulate(seed, nil)
					if w.fault != nil {
						t.Fatalf("seed %d: %v", seed, w.fault)
					}
					crashes.Add(int64(w.crashes))
					ended.Add(int64(len(w.settled)))
					letters.Add(int64(len(w.letters)))
				}
			})
		}
	})
	t.Logf("%d seeds from %d: %d crashes, %d deliveries ended, %d of them dead",
		*seeds, *first, crashes.Load(), ended.Load(), letters.Load())
}

// lanes is how many simulations run side by side.
const lanes = 4

// TestSimulationCatches shows that the simulation finds cores that are broken
// on purpose.
func TestSimulationCatches(t *testing.T) {
	broken := map[string]func(*world, *ledger.Record){
		"acks before the letter": func(w *world, _ *ledger.Record) { w.hasty = true },
		"skips a waiting delivery": func(_ *world, r *ledger.Record) {
			if len(r.Waiting) > 0 {
				r.Waiting = r.Waiting[1:]
			}
		},
		"forgets a gate": func(_ *world, r *ledger.Record) {
			kept := r.Gates[:0]
			for _, g := range r.Gates {
				if !g.Behind || g.Start == 0 {
					kept = append(kept, g)
				}
			}
			r.Gates = kept
		},
		"moves the mark too far": func(w *world, r *ledger.Record) {
			if r.Chunk == nil && len(r.Waiting) == 0 && r.Mark > 0 {
				r.Mark = min(r.Mark+3, max(r.Mark, w.tail))
			}
		},
		"forgets an outcome": func(_ *world, r *ledger.Record) {
			if n := len(r.Outcomes); n > 1 {
				r.Outcomes = r.Outcomes[:n-1]
			}
		},
		"forgets why a trigger is paused": func(_ *world, r *ledger.Record) { r.Pauses = nil },
		"does not write down suspects":    func(_ *world, r *ledger.Record) { r.Started = nil },
		"takes one key for another":       func(w *world, _ *ledger.Record) { w.blurred = true },
	}
	for name, tamper := range broken {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(300) {
				if w := caught(seed, tamper); w != "" {
					t.Logf("caught by seed %d: %s", seed, w)
					return
				}
			}
			t.Fatal("not caught in 300 seeds")
		})
	}
}

// caught returns how a broken core shows itself; a panic counts.
func caught(seed uint64, tamper func(*world, *ledger.Record)) (how string) {
	defer func() {
		if r := recover(); r != nil {
			how = "panic"
		}
	}()
	if w := simulate(seed, tamper); w.fault != nil {
		return w.fault.Error()
	}
	return ""
}
