//go:build integration && linux

package integration_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/integration/harness"
)

const (
	diskSize = 64 << 20
	// recoverWithin is how long it may take until events are accepted again when
	// there is space again.
	recoverWithin = 30 * time.Second
	// refusedPerRound is how many of the large events of a round become letters.
	refusedPerRound = 3
)

// TestFullDisk fills a small disk and frees it again, 20 times under load: by
// turns with files of somebody else, to the last byte, and with events that a
// paused trigger needs. Once the process is killed meanwhile. No accepted event
// is lost (I1, I2), and events are accepted again within 30 s. What sluice fills
// itself leaves room for outcomes and letters.
func TestFullDisk(t *testing.T) {
	if !asRoot(t) {
		return
	}
	const rounds = 20
	disk := mountDisk(t)
	worker := harness.NewWorker(t, refuseSome)
	s := harness.NewOn(t, program, fmt.Sprintf("{dir: %q, min_free: 8MiB}", filepath.Join(disk, "data")), twoSources(worker))
	s.Up()
	load := harness.NewLoad(t, s.Ingest+"/in", "k", *rate)
	f := &fullDisk{Sluice: s, t: t, filler: filepath.Join(disk, "foreign")}
	var slowest time.Duration
	for round := range rounds {
		fill := f.byEvents
		if round%2 == 0 {
			fill = f.byOthers
		}
		free := fill(round)
		at, began := load.Len(), time.Now()
		free()
		harness.Eventually(t, recoverWithin, "events are accepted again", func() bool { return load.Len() > at+20 })
		took := time.Since(began)
		slowest = max(slowest, took)
		f.Ready()
		t.Logf("round %d: accepted again after %v; %d and %d events accepted so far", round, took.Round(time.Millisecond), load.Len(), len(f.large))
	}
	load.Stop()
	s.Idle(recoverWithin)
	delivered(t, worker, "/work", load.Accepted(), 10*time.Second)
	delivered(t, worker, "/large", f.large, 10*time.Second)
	letters := s.Letters()
	if len(letters) != len(f.refused) {
		t.Errorf("%d letters for %d events that were refused", len(letters), len(f.refused))
	}
	if f.broken == 0 {
		t.Error("the store was never broken")
	}
	t.Logf("%d and %d events accepted and delivered, %d letters; the store was broken %d times; the slowest recovery took %v",
		len(load.Accepted()), len(f.large), len(letters), f.broken, slowest.Round(time.Millisecond))
	s.Conserved()
}

// asRoot tells whether this process may mount. One that may not runs the test in
// another one, which is root in a namespace of its own.
func asRoot(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		return true
	}
	command := exec.CommandContext(t.Context(), os.Args[0], append(os.Args[1:], "-test.run", "^"+t.Name()+"$", "-sluice", program.Path(t))...)
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}
	said, err := command.CombinedOutput()
	t.Logf("%s", said)
	if err != nil {
		t.Errorf("in a namespace of its own: %v", err)
	}
	return false
}

// mountDisk mounts a small file system for the time of the test.
func mountDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)); err != nil {
		t.Fatalf("mounting a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
	return dir
}

func twoSources(worker *harness.Worker) string {
	return fmt.Sprintf(`sources: {in: {http: {path: /in}}, large: {http: {path: /large}}}
triggers:
  work: {on: in, to: {http: {url: %q}}}
  large: {on: large, to: {http: {url: %q}}}
`, worker.URL("/work"), worker.URL("/large"))
}

// refuseSome refuses the events for good whose ids say so.
func refuseSome(_ *http.Request, receipt harness.Receipt) int {
	if strings.HasPrefix(receipt.Event, "refused") {
		return http.StatusBadRequest
	}
	return http.StatusNoContent
}

// A fullDisk fills a disk, and keeps what was accepted meanwhile.
type fullDisk struct {
	*harness.Sluice
	t              *testing.T
	filler         string
	large, refused []string
	broken         int // times that the store was broken
}

// fillFor is how long a full disk is kept full, whatever sluice frees meanwhile.
const fillFor = time.Second

// byOthers fills the disk to the last byte with a file. In one round the process
// is killed then.
func (f *fullDisk) byOthers(round int) (free func()) {
	f.t.Helper()
	before, kill := f.breaks(), round == 10
	file, err := os.Create(f.filler)
	if err != nil {
		f.t.Fatal(err)
	}
	full := false // on a busy machine it takes longer than it is kept so
	for deadline := time.Now().Add(fillFor); !full || time.Now().Before(deadline); {
		_, err := file.Write(make([]byte, 4096))
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			f.t.Fatal(err)
		}
		full = full || err != nil
	}
	if err := file.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.refuses()
	f.broken += f.breaks() - before
	if kill {
		f.killed()
	}
	return func() {
		if err := os.Remove(f.filler); err != nil {
			f.t.Fatal(err)
		}
		if kill {
			f.Up()
		}
	}
}

// breaks returns how often the process has found the store broken.
func (f *fullDisk) breaks() int { return f.Logged("the store is broken") }

// killed kills the process while the disk is full: another one says why it does
// not start.
func (f *fullDisk) killed() {
	f.t.Helper()
	f.Kill()
	f.Start()
	if state := f.Wait(recoverWithin); state.Success() || f.Logged("make room") == 0 {
		f.t.Errorf("started on a full disk: %v\n%s", state, f.Log())
	}
}

// refuses waits until sluice is not ready and answers 503.
func (f *fullDisk) refuses() {
	f.t.Helper()
	harness.Eventually(f.t, recoverWithin, "events are refused", func() bool {
		return f.get("/readyz") == http.StatusServiceUnavailable && f.post("probe", 1) == http.StatusServiceUnavailable
	})
}

// byEvents pauses a trigger and fills the disk with what it needs, until the
// janitor has found nothing any more that may go. To free it is to go on. Outcomes
// and letters have their room meanwhile: the store does not break.
func (f *fullDisk) byEvents(round int) (free func()) {
	f.t.Helper()
	before := f.breaks()
	f.Post("triggers/large/pause", "", nil)
	var refused time.Time // since when without a break
	for n := 0; refused.IsZero() || time.Since(refused) < fillFor; n++ {
		id, list := fmt.Sprintf("large-%d-%d", round, n), &f.large
		if n < refusedPerRound {
			id, list = fmt.Sprintf("refused-%d-%d", round, n), &f.refused
		}
		switch status := f.post(id, 100<<10); {
		case status == http.StatusAccepted:
			*list, refused = append(*list, id), time.Time{}
		case refused.IsZero():
			refused = time.Now()
		}
	}
	f.refuses()
	return func() {
		f.Post("triggers/large/resume", "", nil)
		harness.Eventually(f.t, recoverWithin, "what was waiting is delivered", func() bool {
			large := f.Triggers()["large"]
			return large.Lag == 0 && large.Waiting == 0 && large.State == "running"
		})
		if after := f.breaks(); after != before {
			f.t.Errorf("round %d: the store was broken %d times by events", round, after-before)
		}
	}
}

// post publishes a large event, and returns the status.
func (f *fullDisk) post(id string, size int) int {
	f.t.Helper()
	request, err := harness.NewEvent(f.t.Context(), f.Ingest+"/large", id, `"`+strings.Repeat("x", size)+`"`)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.status(request)
}

func (f *fullDisk) get(path string) int {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.Admin+path, http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.status(request)
}

func (f *fullDisk) status(request *http.Request) int {
	f.t.Helper()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body) // the status has said it
	if err := answer.Body.Close(); err != nil {
		f.t.Fatal(err)
	}
	return answer.StatusCode
}
