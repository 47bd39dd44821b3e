//go:build linux && integration

package powercut

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

var (
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of everything that is drawn at random")
	rounds = flag.Int("rounds", 5, "how often the power of a bus is cut, on each kind of disk")
	cuts   = flag.Int("cuts", 3, "how often that of the program is")
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVariable); dir != "" {
		child(dir)
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

// TestPowerCuts has a bus work, with purges and blocks that come and go, and cuts
// the power again and again: nothing that was accepted is missing or there twice,
// a cursor agrees with its events, and a snapshot is there as a whole or not at all
// (invariant I1).
func TestPowerCuts(t *testing.T) {
	for _, bare := range []bool{false, true} {
		t.Run(fmt.Sprintf("bare=%v", bare), func(t *testing.T) {
			disk := NewDisk()
			disk.Bare = bare
			h := newHistory()
			rng := random(t)
			for range *rounds {
				disk = h.round(t, disk, rng, "0s")
				if len(h.problems) > 0 {
					t.Fatalf("after %d power cuts: %s", h.cuts, h.problems)
				}
			}
			t.Logf("%d events accepted, %d records, %d purged", len(h.accepted), h.record, h.purged)
		})
	}
}

// TestPowerCutsFindWhatIsNotSynced shows that the test sees what a server loses
// that does not sync before it acknowledges.
func TestPowerCutsFindWhatIsNotSynced(t *testing.T) {
	h := newHistory()
	rng := random(t)
	disk := NewDisk()
	for range *rounds {
		disk = h.round(t, disk, rng, "1h")
		if len(h.problems) > 0 {
			t.Logf("found: %s", h.problems[0])
			return
		}
	}
	t.Errorf("nothing was lost in %d power cuts without a sync", *rounds)
}

func random(t *testing.T) *rand.Rand {
	t.Helper()
	t.Logf("-seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, 1))
}
