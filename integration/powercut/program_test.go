//go:build linux && integration

package powercut

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sluice/bus"
	"sluice/integration/harness"
)

// TestPowerCutsOfTheProgram cuts the power under the real program while it is under
// load: every event that was answered with 202 is in the log once and is delivered,
// the ledger recovers, and the audit finds nothing missing (invariants I1 and I2).
func TestPowerCutsOfTheProgram(t *testing.T) {
	rng := random(t)
	dir := t.TempDir()
	disk := NewDisk()
	disk.Bare = true
	unmount := mount(t, disk, dir)
	t.Cleanup(func() { unmount() })
	worker := harness.NewWorker(t, harness.OK)
	s := harness.NewOn(t, program(t), fmt.Sprintf("{dir: %q}", dir), fmt.Sprintf(
		"sources: {in: {http: {path: /in}}}\ntriggers: {work: {on: in, to: {http: {url: %q}}}}\n", worker.URL("/work")))
	s.Up()
	load := harness.NewLoad(t, s.Ingest+"/in", "p", 2000)
	for range *cuts {
		at := load.Len() + 100 + rng.IntN(1000)
		harness.Eventually(t, 30*time.Second, "events are accepted", func() bool { return load.Len() >= at })
		next := disk.Cut(rng)
		s.Kill()
		unmount()
		forget(t, disk)
		disk, unmount = next, mount(t, next, dir)
		s.Up()
	}
	at := load.Len() + 500
	harness.Eventually(t, 30*time.Second, "events are accepted", func() bool { return load.Len() >= at })
	load.Stop()
	s.Idle(30 * time.Second)
	accepted := load.Accepted()
	if missing := worker.Missing("/work", accepted); len(missing) > 0 {
		t.Errorf("%d of %d accepted events were not delivered after %d power cuts: %.10q", len(missing), len(accepted), *cuts, missing)
	}
	s.Conserved()
	once(t, disk, accepted)
	t.Logf("%d accepted, %d of unknown fate, %d attempts, %d power cuts", len(accepted), len(load.Unknown()), worker.Len(), *cuts)
}

// program builds sluice where its module is.
func program(t *testing.T) *harness.Program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/sluice")
	build.Dir = "../.."
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build sluice: %v\n%s", err, output)
	}
	return harness.Built(path)
}

// mount is Mount for tests; what it returns may be called again.
func mount(t *testing.T, disk *Disk, dir string) (unmount func()) {
	t.Helper()
	end, err := disk.Mount(dir)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if end == nil {
			return
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		end = nil
	}
}

// once fails the test with the accepted events that are not in the log exactly
// once, as far as the program has it now.
func once(t *testing.T, disk *Disk, accepted []string) {
	t.Helper()
	dir := t.TempDir()
	if err := disk.Export(dir); err != nil {
		t.Fatal(err)
	}
	b, err := bus.Open(t.Context(), bus.Options{Dir: dir, MaxBytes: 10 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, b)
	counts := map[string]int{}
	for _, e := range entries(t, b) {
		counts[e.Event.ID]++
	}
	for _, id := range accepted {
		if counts[id] != 1 {
			t.Errorf("%s is in the log %d times", id, counts[id])
		}
	}
}
