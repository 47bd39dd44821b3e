//go:build integration

package files

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/sinks"
	"sluice/sinks/file"
	"sluice/sinks/s3"
	"sluice/sinks/sinktest"
)

func TestMain(m *testing.M) { adapters.Main(m) }

func env() sinks.Env {
	return sinks.Env{Name: "keep", Logger: slog.New(slog.DiscardHandler), Egress: "any"}
}

func build(tb testing.TB, c sinks.Config) sinks.Sink {
	tb.Helper()
	s, err := c.Sink(env())
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// lines reads events from lines; what has no line end is being written.
func lines(tb testing.TB, text string) []sinktest.Received {
	tb.Helper()
	var all []sinktest.Received
	for line := range strings.Lines(text) {
		var e event.Event
		if !strings.HasSuffix(line, "\n") {
			continue
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			tb.Errorf("found %q: %v", line, err)
			continue
		}
		try, _ := strconv.Atoi(e.Extension(sinks.AttributeAttempt))
		all = append(all, sinktest.Received{ID: e.Extension(sinks.AttributeDelivery), Attempt: try, Data: string(e.Data), Key: e.PartitionKey()})
	}
	return all
}

// badPath is an event that makes no path.
func badPath(n int) *event.Event {
	return &event.Event{
		ID: "x", Source: "/x", Type: "x", DataContentType: "application/json", Data: fmt.Appendf(nil, `{"n":%d}`, n),
		Extensions: map[string]any{"partitionkey": ".."},
	}
}

func folderStore(tb testing.TB) sinktest.Store {
	tb.Helper()
	folder := tb.TempDir()
	in := func(folder string) func(testing.TB) sinks.Sink {
		return func(tb testing.TB) sinks.Sink {
			tb.Helper()
			c := file.NewConfig()
			c.Folder, c.Path = config.Path(folder), `{{ .partitionkey // "none" }}/log.jsonl`
			return build(tb, c)
		}
	}
	return sinktest.Store{
		Sink:    in(folder),
		Section: fmt.Sprintf(`file: {folder: %q, path: "{{ .partitionkey // \"none\" }}/log.jsonl"}`, folder),
		Stored: func(tb testing.TB) []sinktest.Received {
			tb.Helper()
			var all []sinktest.Received
			found, err := filepath.Glob(filepath.Join(folder, "*", "log.jsonl"))
			if err != nil {
				tb.Fatal(err)
			}
			for _, path := range found {
				text, err := os.ReadFile(path)
				if err != nil {
					tb.Error(err)
				}
				all = append(all, lines(tb, string(text))...)
			}
			return all
		},
		Bad: badPath, Batches: true,
		Wrong: []sinktest.Wrong{
			{Name: "no folder", Sink: in(filepath.Join(folder, "none")), Want: "does not exist: create it"},
			{Name: "a file instead", Sink: in("/dev/null"), Want: "cannot be written into: correct folder"},
		},
	}
}

// TestFileSink runs the suite with the real program.
func TestFileSink(t *testing.T) {
	const noServer = "there is no server: the sink itself writes and syncs"
	sinktest.ExerciseStore(t, sinktest.StoreFixture{
		Name: "file", Start: folderStore, Kill: adapters.KillSink,
		Without: map[string]string{
			"the same twice":  "a repeat is another line; with mode: whole it is the same file, as the unit tests show",
			"done is durable": noServer, "server restart": noServer, "server hangs": noServer,
		},
	})
}

// BenchmarkSink measures lines that are synced, and objects in MinIO.
func BenchmarkSink(b *testing.B) {
	adapters.BenchSink(b, "file", folderStore)
	adapters.BenchSink(b, "s3", func(tb testing.TB) sinktest.Store { tb.Helper(); return keyedStore(tb, s3.NewConfig().Key) })
}
