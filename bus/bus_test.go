package bus

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"sluice/event"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

// small returns options of a bus that fits a test.
func small(tb testing.TB) Options {
	tb.Helper()
	return Options{Dir: tb.TempDir(), MaxBytes: 256 << 20, LedgerBytes: 64 << 20, LetterBytes: 16 << 20}
}

// open opens a bus that is closed at the end of the test.
func open(tb testing.TB, o Options) *Bus {
	tb.Helper()
	if testing.Verbose() && o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(tb.Output(), nil))
	}
	b, err := Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { shut(tb, b) })
	return b
}

func shut(tb testing.TB, b *Bus) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		tb.Errorf("close: %v", err)
	}
}

// limited returns a context that ends a test that hangs.
func limited(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 60*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

// running returns the embedded server, which is there.
func running(b *Bus) *server.Server {
	s, err := b.server.current()
	if err != nil {
		panic(err)
	}
	return s
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return value
	}
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func equal[T comparable](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func sample(id string) event.Event {
	return event.Event{
		ID: id, Source: "/test", Type: "test.happened", DataContentType: "application/json",
		Data: []byte(`{"value":1}`),
	}
}

// sized returns an event with n bytes of data.
func sized(id string, n int) event.Event {
	e := sample(id)
	e.Data, e.DataContentType = make([]byte, n), "application/octet-stream"
	return e
}

func samples(prefix string, n int) []event.Event {
	events := make([]event.Event, n)
	for i := range events {
		events[i] = sample(fmt.Sprintf("%s-%d", prefix, i))
	}
	return events
}

// ids reads the whole log and returns the ids of its events in order.
func ids(tb testing.TB, b *Bus) []string {
	tb.Helper()
	var found []string
	for _, entry := range entries(tb, b) {
		if entry.Err != nil {
			tb.Fatalf("sequence %d: %v", entry.Sequence, entry.Err)
		}
		found = append(found, entry.Event.ID)
	}
	return found
}

func entries(tb testing.TB, b *Bus) []*event.Entry {
	tb.Helper()
	var all []*event.Entry
	for from := uint64(1); ; {
		batch := must(b.Range(limited(tb), from, 1000, 8<<20))(tb)
		if batch.To < from {
			return all
		}
		all, from = append(all, batch.Entries...), batch.To+1
	}
}
