package file

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/config"
	"sluice/event"
	"sluice/sinks"
	"sluice/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build returns a sink that ends with the test, and what it says.
func build(tb testing.TB, folder string, change func(*Config)) (*sink, *bytes.Buffer) {
	tb.Helper()
	c := NewConfig()
	c.Folder = config.Path(folder)
	if change != nil {
		change(c)
	}
	said := &bytes.Buffer{}
	built, err := c.Sink(sinks.Env{Name: "keep", Logger: slog.New(slog.NewTextHandler(said, nil))})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := built.(sinks.Closer).Close(); err != nil {
			tb.Error(err)
		}
	})
	return built.(*sink), said
}

func order(n int) *event.Event {
	return &event.Event{
		ID: fmt.Sprintf("o-%d", n), Source: "/shop", Type: "order.created", Subject: strconv.Itoa(n % 2),
		Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), DataContentType: "application/json",
		Data: fmt.Appendf(nil, "{\"order\":\n%d}", n),
	}
}

// batch returns an attempt of some orders.
func batch(numbers ...int) sinks.Attempt {
	a := sinks.Attempt{Trigger: "keep", Claim: 1, Batch: true}
	for _, n := range numbers {
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: fmt.Sprintf("inc.%d.keep", n), Attempt: 1, Event: order(n)})
	}
	return a
}

func deliver(tb testing.TB, s sinks.Sink, a sinks.Attempt) error {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	_, err := s.Deliver(ctx, a)
	return err
}

// tree returns what is in the files below a folder, by path.
func tree(tb testing.TB, folder string) map[string]string {
	tb.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		relative, _ := filepath.Rel(folder, path)
		all[relative] = string(text)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// received reads the events that are below a folder.
func received(tb testing.TB, folder string) []sinktest.Received {
	tb.Helper()
	var all []sinktest.Received
	for path, text := range tree(tb, folder) {
		if strings.HasPrefix(filepath.Base(path), temporary) {
			continue
		}
		for line := range strings.Lines(text) {
			var e event.Event
			if !strings.HasSuffix(line, "\n") {
				continue // it is being written
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				tb.Errorf("%s has %q: %v", path, line, err)
				continue
			}
			try, _ := strconv.Atoi(e.Extension(sinks.AttributeAttempt))
			all = append(all, sinktest.Received{ID: e.Extension(sinks.AttributeDelivery), Attempt: try, Data: string(e.Data), Key: e.PartitionKey()})
		}
	}
	return all
}

// TestSuite runs the suite in both modes. Here is no server that could restart,
// crash or hang.
func TestSuite(t *testing.T) {
	for _, mode := range []Mode{Append, Whole} {
		t.Run(string(mode), func(t *testing.T) {
			sinktest.ExerciseStore(t, sinktest.StoreFixture{Start: func(tb testing.TB) sinktest.Store {
				tb.Helper()
				folder := tb.TempDir()
				change := func(c *Config) {
					c.Mode, c.Path = mode, "{{ .partitionkey }}/log.jsonl"
					if mode == Whole {
						c.Path = "{{ .sluicedelivery }}"
					}
				}
				return sinktest.Store{
					Sink:    func(tb testing.TB) sinks.Sink { tb.Helper(); s, _ := build(tb, folder, change); return s },
					Stored:  func(tb testing.TB) []sinktest.Received { tb.Helper(); return received(tb, folder) },
					Batches: true, Once: mode == Whole, Unordered: mode == Whole,
					Bad: func(n int) *event.Event {
						return &event.Event{ID: "x", Source: "/x", Type: "x", Data: fmt.Appendf(nil, `{"n":%d}`, n), Extensions: map[string]any{"partitionkey": ".."}}
					},
				}
			}, Without: map[string]string{"batches, one by one": skipBad(mode), "refused for ever": skipBad(mode)}})
		})
	}
}

// skipBad tells why no event is refused where the path does not follow from it.
func skipBad(mode Mode) string {
	if mode == Whole {
		return "the path follows from the delivery alone"
	}
	return ""
}
