package dlq_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/bus"
	"sluice/dlq"
	"sluice/event"
)

const childVariable = "DLQ_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		if err := replayInChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func openBus(t *testing.T, options bus.Options) *bus.Bus {
	t.Helper()
	if options.Dir == "" {
		options.Dir = t.TempDir()
	}
	b, err := bus.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

var always = each(func(string) bool { return true })

// each answers of each delivery by itself.
func each(settled func(id string) bool) func(ids ...string) []bool {
	return func(ids ...string) []bool {
		answers := make([]bool, len(ids))
		for i, id := range ids {
			answers[i] = settled(id)
		}
		return answers
	}
}

func openStore(t *testing.T, b *bus.Bus, change ...func(*dlq.Options)) *dlq.Store {
	t.Helper()
	options := dlq.Options{Prefix: b.Prefix(), Stream: b.Names().Letters, Log: b, Settled: always}
	for _, f := range change {
		f(&options)
	}
	s, err := dlq.Open(t.Context(), b.JetStream(), options)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs the store until the test ends, or stop is called.
func run(t *testing.T, s *dlq.Store) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var result error
	stopped := false
	stop = func() error {
		if !stopped {
			cancel()
			result, stopped = <-done, true
		}
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

var died = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func letter(sequence uint64, trigger string) *dlq.Letter {
	return &dlq.Letter{
		ID:     event.DeliveryID{Incarnation: "inc", Sequence: sequence, Trigger: trigger},
		Source: "uploads",
		Event: &event.Event{
			ID: fmt.Sprintf("e%d", sequence), Source: "/bucket", Type: "s3.object.created.put",
			DataContentType: "application/json", Data: fmt.Appendf(nil, `{"n":%d}`, sequence),
			Extensions: map[string]any{"partitionkey": "k", "flag": true, "count": int32(7)},
		},
		Reason: dlq.ReasonExhausted, Error: fmt.Sprintf("answered 500: request %d failed", sequence), Status: 500,
		Attempts: []dlq.Attempt{
			{Number: 1, Time: died.Add(-time.Minute), Duration: time.Second, Status: 500, Error: "answered 500"},
			{Number: 2, Time: died.Add(-time.Second), Duration: time.Second, Error: "cannot connect"},
		},
		Made: 2, AcceptedAt: died.Add(-time.Hour), DiedAt: died,
	}
}

func put(t *testing.T, s *dlq.Store, letters ...*dlq.Letter) {
	t.Helper()
	for _, l := range letters {
		if err := s.Put(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
}

func list(t *testing.T, s *dlq.Store, f dlq.Filter) []dlq.Summary {
	t.Helper()
	page, _, err := s.List(t.Context(), f, 0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// directed returns how often each letter has an entry.
func directed(t *testing.T, b *bus.Bus) map[string]int {
	t.Helper()
	origins := map[string]int{}
	for _, entry := range entries(t, b) {
		if entry.Origin != "" {
			origins[entry.Origin]++
		}
	}
	return origins
}

// entries returns what is in the log.
func entries(t *testing.T, b *bus.Bus) (all []*event.Entry) {
	t.Helper()
	_, last, err := b.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for from := uint64(1); from <= last; {
		stretch, err := b.Range(t.Context(), from, 1000, 1<<24)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, stretch.Entries...)
		if stretch.To < from {
			break
		}
		from = stretch.To + 1
	}
	return all
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func jobEnds(t *testing.T, s *dlq.Store, id string) dlq.Job {
	t.Helper()
	var job dlq.Job
	eventually(t, "the job ends", func() bool {
		var err error
		if job, err = s.Job(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return job.State != dlq.Running
	})
	return job
}
