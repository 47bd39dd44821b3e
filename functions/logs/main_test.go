package logs_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/functions"
	"sluice/functions/logs"
)

// envWriter makes the test binary a process that writes until it is killed.
const envWriter = "SLUICE_TEST_LOGS"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envWriter); dir != "" {
		writeUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// open opens a store, which runs until the test ends or stop is called.
func open(tb testing.TB, options logs.Options) (store *logs.Store, stop func()) {
	tb.Helper()
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	store, err := logs.Open(options)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	}
	tb.Cleanup(stop)
	return store, stop
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func line(function, text string, at time.Time) functions.Line {
	return functions.Line{Function: function, RequestID: "id-" + text, Worker: "w1", Time: at, Text: text}
}

// read returns the texts that a query selects.
func read(tb testing.TB, store *logs.Store, q logs.Query) []string {
	tb.Helper()
	texts, _ := readFrom(tb, store, q)
	return texts
}

func readFrom(tb testing.TB, store *logs.Store, q logs.Query) ([]string, logs.Position) {
	tb.Helper()
	texts := []string{}
	at, err := store.Read(tb.Context(), q, func(e *logs.Entry, _ logs.Position) error {
		texts = append(texts, e.Text)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return texts, at
}

// await waits until a query selects as many lines.
func await(tb testing.TB, store *logs.Store, q logs.Query, count int) []string {
	tb.Helper()
	limit := time.After(10 * time.Second)
	for {
		changed := store.Changed()
		texts := read(tb, store, q)
		if len(texts) >= count {
			return texts
		}
		select {
		case <-changed:
		case <-limit:
			tb.Fatalf("there are %d lines after ten seconds, want %d: %.300q", len(texts), count, texts)
		}
	}
}

// writeUntilKilled writes numbered lines and reports, and says so on its output:
// the number of each one before it gives it to the store.
func writeUntilKilled(dir string) {
	store, err := logs.Open(logs.Options{Dir: dir, MaxBytes: 64 << 20, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		panic(err)
	}
	go func() { _ = store.Run(context.Background()) }()
	for n := 0; ; n++ {
		fmt.Println(n)
		store.Line(functions.Line{Function: "thumb", Time: time.Now(), Text: fmt.Sprintf("line %d", n)})
		store.Report(functions.Report{Function: "thumb", Start: noon, Billed: time.Millisecond, Memory: 1 << 20, Outcome: functions.OutcomeSuccess})
		time.Sleep(200 * time.Microsecond) // it is the load, not a wait for anything
	}
}

// writer starts such a process. It ends it when the test does.
func writer(tb testing.TB, dir string) (*exec.Cmd, io.Reader) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envWriter+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, out
}
