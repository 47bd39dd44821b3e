package ledger

import "testing"

// TestNeededIsBounded: one delivery that waits for long does not keep
// what others needed.
func TestNeededIsBounded(t *testing.T) {
	var n needed
	n.add(1)
	for s := uint64(2); s < 1_000_000; s++ {
		n.add(s)
		n.remove(s)
	}
	if first, _ := n.min(); first != 1 {
		t.Fatal(first)
	}
	if len(n.order) > 10_000 {
		t.Errorf("%d sequences are kept for one that is needed", len(n.order))
	}
}
