package dlq_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"sluice/bus"
	"sluice/dlq"
)

// replayInChild is what the child process does: it works the replays in a
// folder, says so, and exits when the last one has ended.
func replayInChild(dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b, err := bus.Open(ctx, bus.Options{Dir: dir})
	if err != nil {
		return err
	}
	s, err := dlq.Open(ctx, b.JetStream(), withHistory(b))
	if err != nil {
		return err
	}
	fmt.Println("running")
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for {
		jobs, err := s.Jobs(ctx)
		if err != nil {
			return err
		}
		if jobs[0].State != dlq.Running {
			fmt.Println("ended")
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		return err
	}
	return b.Close(context.Background())
}

// However often a replay is killed, each letter becomes one directed entry and
// goes (invariants I2 and I3).
func TestAReplayIsKilledAgainAndAgain(t *testing.T) {
	const letters, most = 2000, 20
	const maxLife = 500 * time.Millisecond
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	makeReplay(t, dir, func(_ *bus.Bus, s *dlq.Store) error {
		for i := range letters {
			put(t, s, letter(uint64(i+1), "resize"))
		}
		_, err := s.Replay(t.Context(), dlq.ReplayRequest{})
		return err
	})
	kills := 0
	for kills < most && !childRuns(t, dir, time.Duration(random.Int64N(int64(maxLife)))) {
		kills++
	}
	t.Logf("killed %d times, seed %d", kills, seed)
	if kills == most && !childRuns(t, dir, time.Minute) {
		t.Fatal("the replay does not end")
	}
	b := openBus(t, bus.Options{Dir: dir})
	s := openStore(t, b)
	eachOnce(t, directed(t, b), letters)
	if left := list(t, s, dlq.Filter{}); len(left) != 0 {
		t.Errorf("%d letters are left", len(left))
	}
	jobs, err := s.Jobs(t.Context())
	if err != nil || len(jobs) != 1 || jobs[0].Replayed != letters {
		t.Errorf("%+v, %v", jobs, err)
	}
}

// A replay of history is killed ten times in its midst, and each event that it
// selects becomes one directed entry (invariants I2 and I3).
func TestAReplayOfHistoryIsKilledTenTimes(t *testing.T) {
	const events, perSecond, kills = 6000, 300, 10
	const maxLife = 400 * time.Millisecond
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	makeReplay(t, dir, func(b *bus.Bus, s *dlq.Store) error {
		publish(t, b, 1, events)
		_, err := s.ReplayHistory(t.Context(), dlq.HistoryRequest{Filter: dlq.HistoryFilter{Trigger: "resize", Type: "odd"}, Rate: perSecond})
		return err
	})
	for n := range kills {
		if childRuns(t, dir, time.Duration(random.Int64N(int64(maxLife)))) {
			t.Fatalf("the replay has ended after %d kills, seed %d", n, seed)
		}
	}
	if !childRuns(t, dir, time.Minute) {
		t.Fatal("the replay does not end")
	}
	b := openBus(t, bus.Options{Dir: dir})
	odd(t, b, events)
	jobs, err := openHistory(t, b).Jobs(t.Context())
	if err != nil || len(jobs) != 1 || jobs[0].Replayed != events/2 || jobs[0].State != dlq.Finished {
		t.Errorf("%+v, %v, seed %d", jobs, err, seed)
	}
}

// makeReplay lets fill make a replay in a folder.
func makeReplay(t *testing.T, dir string, fill func(*bus.Bus, *dlq.Store) error) {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(b, openHistory(t, b)); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// childRuns lets a child work the replay for a while and kills it. It returns
// true when the child has ended the replay before.
func childRuns(t *testing.T, dir string, life time.Duration) bool {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), childVariable+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || line != "running\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	timer := time.AfterFunc(life, func() { _ = child.Process.Kill() })
	rest, _ := io.ReadAll(lines)
	stopped := timer.Stop()
	err = child.Wait()
	if stopped && err != nil {
		t.Fatalf("the child failed by itself: %v", err)
	}
	return string(rest) == "ended\n"
}
