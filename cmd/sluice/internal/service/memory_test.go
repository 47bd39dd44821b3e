package service

import (
	"bytes"
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"testing"
	"time"
)

func TestPercentFor(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		live, scanned uint64
		want          int
	}{
		{0, 0, 200},
		{32 * mib, 32 * mib, 200},           // a small heap
		{64 * mib, 64 * mib, 100},           // 64 MiB
		{128 * mib, 128 * mib, 100},         // as usual
		{128 * mib, 64 * mib, 100},          // as often as one of 64 MiB that is small
		{256 * mib, 64 * mib, 50},           // the rest costs nothing
		{256 * mib, 1 * mib, 25},            // 64 MiB
		{1 << 40, 1 * mib, 1},               // never without a pause
		{1 << 40, 1 << 40, usualPercent},    // as usual
		{64*mib - 1, 0, usualPercent},       // 64 MiB
		{33 * mib, 33 * mib, 64 * 100 / 33}, // 64 MiB
	} {
		if got := percentFor(c.live, c.scanned); got != c.want {
			t.Errorf("%d bytes in use, and %d looked through: %d, want %d", c.live, c.scanned, got, c.want)
		}
	}
}

// TestCollectionsAreTold shows that each collection is told of, so that a heap
// which grows fast is followed, and none once the service has stopped.
func TestCollectionsAreTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	collected := make(chan struct{}, 1)
	tellCollections(ctx, collected)
	for range 3 {
		runtime.GC()
		<-collected
	}
	cancel()
}

// TestRest shows when memory is given back: at the first quiet look, at that after
// a load, and once more when what the store remembers has gone.
func TestRest(t *testing.T) {
	var r rest
	allocated, given := uint64(0), []int(nil)
	for n := range 400 {
		allocated += 100 << 10
		if n == 10 || n == 11 || n == 300 {
			allocated += 20 << 20
		}
		if n == 350 {
			allocated += 1 << 20 // too little to be worth anything
		}
		if r.look(allocated) {
			given = append(given, n)
			r.tidied = allocated
		}
	}
	if want := []int{0, 12, 101, 301}; !slices.Equal(given, want) {
		t.Errorf("given back at %v, want %v", given, want)
	}
}

// TestMemoryIsGivenBack shows that a heap which has grown is small again soon
// after nothing goes on, and that a percentage of the user's stays.
func TestMemoryIsGivenBack(t *testing.T) {
	const percent = 150
	before := debug.SetGCPercent(percent)
	defer debug.SetGCPercent(before)
	for range 64 {
		garbage = append(garbage, bytes.Repeat([]byte{1}, 4<<20))
	}
	garbage = nil
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- keepMemory(ctx) }()
	kept := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	holds := func() uint64 {
		metrics.Read(kept)
		return kept[0].Value.Uint64() + kept[1].Value.Uint64()
	}
	deadline := time.After(time.Minute)
	for tick := time.NewTicker(100 * time.Millisecond); holds() > 32<<20; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d bytes are kept", holds())
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := debug.SetGCPercent(percent); got != percent {
		t.Errorf("the percentage is %d afterwards", got)
	}
}

// garbage lies on the heap.
var garbage [][]byte

// percentage is what the collector goes by.
func percentage() int {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return int(sample[0].Value.Uint64())
}

// keeping runs keepMemory until the end of the test, with a percentage of before.
func keeping(t *testing.T, percent int) {
	t.Helper()
	before := debug.SetGCPercent(percent)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- keepMemory(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := debug.SetGCPercent(before); got != percent {
			t.Errorf("the percentage is %d afterwards, want %d", got, percent)
		}
	})
}

// waitForPercent collects until the percentage is as it should be.
func waitForPercent(t *testing.T, low, high int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; runtime.GC() {
		switch got := percentage(); {
		case got >= low && got <= high:
			return
		case time.Now().After(deadline):
			t.Fatalf("the percentage is %d, want %d to %d", got, low, high)
		}
	}
}

// TestThePercentageFollows shows that a heap which has grown and shrunk leaves
// nothing of it behind.
func TestThePercentageFollows(t *testing.T) {
	t.Setenv("GOGC", "")
	keeping(t, usualPercent)
	for range 2 {
		waitForPercent(t, 150, mostPercent)
		for range 256 {
			garbage = append(garbage, make([]byte, 1<<20))
		}
		waitForPercent(t, 1, 30)
		garbage = nil
	}
	waitForPercent(t, 150, mostPercent)
}

// TestWhatTheUserSays shows that GOGC holds, also if it says what is usual.
func TestWhatTheUserSays(t *testing.T) {
	for said, want := range map[string]bool{"": true, "100": false, "off": false} {
		t.Setenv("GOGC", said)
		if unsaid(usualPercent) != want || unsaid(50) || unsaid(-1) {
			t.Errorf("GOGC=%s: it is not kept", said)
		}
	}
}
