package cron

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"testing"
	"time"

	"sluice/bus"
	"sluice/sources/sourcetest"
)

// childFolder names the bus of a child process in its environment.
const childFolder = "SLUICE_TEST_CRON_BUS"

// runChild ticks every second on a real bus until it is killed.
func runChild(folder string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b, err := bus.Open(ctx, bus.Options{Dir: folder, MaxBytes: 64 << 20, LedgerBytes: 16 << 20, LetterBytes: 16 << 20})
	if err != nil {
		return err
	}
	section := Adapter(NewScheduler(time.Now)).Config().(*Config)
	section.Schedule = "@every 1s"
	source, err := section.Source(sourcetest.Env("clock", nil))
	if err != nil {
		return err
	}
	fmt.Println("started")
	return source.Run(ctx, b.Source("clock"))
}

// I1, I5: the process is killed with SIGKILL around one tick after the other, and
// every tick is in the log, once.
func TestKillOnTicks(t *testing.T) {
	if folder := os.Getenv(childFolder); folder != "" {
		t.Fatal(runChild(folder))
	}
	folder := t.TempDir()
	for _, after := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond} {
		killAfterTick(t, folder, after)
	}
	at := killAfterTick(t, folder, 400*time.Millisecond)
	ticks := storedTicks(t, folder)
	if len(ticks) < 5 || ticks[len(ticks)-1].Before(at.Add(-time.Second)) {
		t.Fatalf("%d ticks, the last at %s; killed at %s", len(ticks), ticks[len(ticks)-1], at)
	}
	for i, tick := range ticks {
		if want := ticks[0].Add(time.Duration(i) * time.Second); !tick.Equal(want) {
			t.Fatalf("tick %d is %s, want %s; all: %v", i, tick, want, ticks)
		}
	}
}

// killAfterTick runs a child, and kills it so long after a full second.
func killAfterTick(t *testing.T, folder string, after time.Duration) time.Time {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestKillOnTicks$")
	child.Env = append(os.Environ(), childFolder+"="+folder)
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	if line, err := bufio.NewReader(output).ReadString('\n'); line != "started\n" {
		t.Fatalf("the child says %q: %v", line, err)
	}
	second := time.Now().Truncate(time.Second).Add(2 * time.Second)
	<-time.After(time.Until(second.Add(after)))
	return second
}

func storedTicks(t *testing.T, folder string) []time.Time {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Options{Dir: folder, MaxBytes: 64 << 20, LedgerBytes: 16 << 20, LetterBytes: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	var ticks []time.Time
	batch, err := b.Range(t.Context(), 1, 1000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range batch.Entries {
		if entry.Err != nil {
			t.Fatal(entry.Err)
		}
		ticks = append(ticks, entry.Event.Time)
	}
	return ticks
}
