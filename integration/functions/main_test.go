//go:build integration

// Package functions_test breaks workers of functions under load, and counts what
// becomes of invocations and deliveries.
package functions_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"sluice/integration/harness"
)

var (
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of everything that is drawn at random")
	binary = flag.String("sluice", "", "the sluice to test; empty to build it")
	kills  = flag.Int("kills", 500, "how many workers TestKills kills; it stops a fifth as many")
)

var (
	program *harness.Program
	handler = sync.OnceValues(buildWorker)
)

func TestMain(m *testing.M) {
	flag.Parse()
	program = harness.NewProgram(false)
	if *binary != "" {
		program = harness.Built(*binary)
	}
	code := m.Run()
	folder, _ := handler() // an error has failed the tests
	if err := errors.Join(program.Remove(), os.RemoveAll(folder)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// buildWorker builds the worker in a new folder, as a custom runtime's bootstrap.
func buildWorker() (folder string, err error) {
	folder, err = os.MkdirTemp("", "sluice-worker-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-tags", "integration", "-o", filepath.Join(folder, "bootstrap"), "./worker") //nolint:noctx // for all tests
	if said, err := build.CombinedOutput(); err != nil {
		return folder, fmt.Errorf("go build: %w\n%s", err, said)
	}
	return folder, nil
}

// bootstrap returns the path of the worker.
func bootstrap(t *testing.T) string {
	t.Helper()
	folder, err := handler()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, "bootstrap")
}

// random returns a source of random numbers, and prints how to have it again.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	t.Logf("-seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, 1))
}

// An installation is a sluice whose function "work" runs the worker.
type installation struct {
	*harness.Sluice
	workers processes
	seen    *seen
}

// install writes a configuration with the source "in" and the trigger "work";
// keys are those of the function and of the trigger beside the needed ones.
func install(t *testing.T, function, trigger string) *installation {
	t.Helper()
	home := t.TempDir()
	i := &installation{workers: processes(uuid.NewString()), seen: newSeen(t)}
	configuration := fmt.Sprintf(`
sources: {in: {http: {path: /in}}}
functions:
  work:
    handler: %q
    shape: cloudevent
    memory: 256MiB
    init_timeout: 1m
    environment: {%s: %q, %s: %q}
%s
triggers:
  work: {on: in, to: work, %s}
`, bootstrap(t), tokenVariable, i.workers, urlVariable, i.seen.server.URL, function, trigger)
	i.Sluice = harness.NewOn(t, program, fmt.Sprintf("{dir: %q, max_event: 16MiB}", filepath.Join(home, "data")), configuration)
	t.Cleanup(i.workers.kill) // what a failed test leaves
	return i
}
