package logs_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/functions"
	"sluice/functions/logs"
)

func contextEnded() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx, cancel
}

// A lockedBuffer takes what is logged.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func report(function string, start time.Time, billed time.Duration, memory int64, outcome functions.Outcome) functions.Report {
	return functions.Report{Function: function, Start: start, Billed: billed, Memory: memory, Outcome: outcome}
}

// TestUsageIsSummedUpByDay counts over a restart, and over midnight of UTC.
func TestUsageIsSummedUpByDay(t *testing.T) {
	dir := t.TempDir()
	store, stop := open(t, logs.Options{Dir: dir, Now: func() time.Time { return noon }})
	evening := time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC)
	store.Report(report("thumb", evening, 200*time.Millisecond, 512<<20, functions.OutcomeSuccess))
	store.Report(report("thumb", evening.Add(time.Second), 100*time.Millisecond, 512<<20, "timeout"))
	stop()
	store, _ = open(t, logs.Options{Dir: dir, Now: func() time.Time { return noon }})
	store.Report(report("thumb", evening.In(time.FixedZone("", 9*3600)), 200*time.Millisecond, 512<<20, functions.OutcomeSuccess))
	store.Report(report("other", evening, time.Millisecond, 1<<20+1, functions.OutcomeSuccess))
	days, err := store.Usage(noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1))
	if err != nil || len(days) != 2 {
		t.Fatal(days, err)
	}
	want := []logs.Day{
		{Date: "2026-03-01", Functions: map[string]logs.Usage{
			"thumb": {Requests: 2, BilledMS: 400, MiBMS: 400 * 512}, "other": {Requests: 1, BilledMS: 1, MiBMS: 2},
		}},
		{Date: "2026-03-02", Functions: map[string]logs.Usage{"thumb": {Requests: 1, Errors: 1, BilledMS: 100, MiBMS: 100 * 512}}},
	}
	for i := range want {
		for name, one := range want[i].Functions {
			if days[i].Date != want[i].Date || days[i].Functions[name] != one || len(days[i].Functions) != len(want[i].Functions) {
				t.Errorf("%s %s: found %+v, want %+v", want[i].Date, name, days[i], want[i])
			}
		}
	}
	if days, err = store.Usage(noon.AddDate(0, 0, 1), noon.AddDate(0, 0, 9)); err != nil || len(days) != 1 {
		t.Errorf("since the second: %+v, %v", days, err)
	}
}

func TestGBSeconds(t *testing.T) {
	// A million requests of 200 ms at 512 MB are 100,000 GB-seconds.
	one := logs.Usage{Requests: 1_000_000, BilledMS: 200_000_000, MiBMS: 200_000_000 * 512}
	if got := one.GBSeconds(); math.Abs(got-100_000) > 1e-6 {
		t.Errorf("found %v", got)
	}
}

func TestOldUsageGoes(t *testing.T) {
	dir := t.TempDir()
	_, stop := open(t, logs.Options{Dir: dir})
	stop()
	for _, date := range []string{"2024-01-01", time.Now().UTC().Format(time.DateOnly)} {
		text := `{"format":1,"functions":{"thumb":{"requests":1,"errors":0,"billed_ms":1,"mib_ms":1}}}`
		if err := os.WriteFile(filepath.Join(dir, "usage", date+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, stop = open(t, logs.Options{Dir: dir}) // cleans
	stop()
	store, _ := open(t, logs.Options{Dir: dir})
	if days, err := store.Usage(time.Time{}, time.Now().Add(time.Hour)); err != nil || len(days) != 1 {
		t.Errorf("found %+v, %v; want today only", days, err)
	}
}

// TestUsageOfANewerVersionIsLeftAlone also keeps what comes, until it can be
// written.
func TestUsageOfANewerVersionIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	_, stop := open(t, logs.Options{Dir: dir})
	stop()
	at := filepath.Join(dir, "usage", "2026-03-01.json")
	newer := `{"format":2,"functions":{}}`
	if err := os.WriteFile(at, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	store, stop := open(t, logs.Options{Dir: dir, Now: func() time.Time { return noon }})
	store.Report(report("thumb", noon, time.Millisecond, 1<<20, functions.OutcomeSuccess))
	_, err := store.Usage(noon, noon)
	if err == nil || !strings.Contains(err.Error(), "usage/2026-03-01.json has the format 2, and this version of sluice knows 1") {
		t.Errorf("found %v", err)
	}
	stop()
	if text, err := os.ReadFile(at); err != nil || string(text) != newer {
		t.Errorf("the file is now %s (%v)", text, err)
	}
}
