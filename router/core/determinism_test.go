package core_test

import (
	"bytes"
	"testing"
)

// TestSimulationIsRepeatable: the same seed gives the same ledger, byte by
// byte, and at rest nothing is kept in memory.
func TestSimulationIsRepeatable(t *testing.T) {
	for seed := *first; seed < *first+30; seed++ {
		a, b := simulate(seed, nil), simulate(seed, nil)
		if a.fault != nil {
			t.Fatalf("seed %d: %v", seed, a.fault)
		}
		if len(a.messages) != len(b.messages) {
			t.Fatalf("seed %d: %d and %d messages", seed, len(a.messages), len(b.messages))
		}
		for i := range a.messages {
			if !bytes.Equal(a.messages[i].data, b.messages[i].data) {
				t.Fatalf("seed %d: message %d differs", seed, i)
			}
		}
		a.now = a.now.Add(5e9)
		for range 50 {
			a.tick()
			a.answerAppend()
		}
		if live, timers, wanted, flow, held := a.core.Held(); live+timers+wanted+flow+held != 0 {
			t.Errorf("seed %d: at rest %d deliveries, %d timers, %d wanted, %d in flows, %d bytes are held", seed, live, timers, wanted, flow, held)
		}
	}
}
