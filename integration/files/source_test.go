//go:build integration

package files

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/sources"
	"sluice/sources/file"
	"sluice/sources/sourcetest"
)

// paths is how many paths, and so partition keys, the things are written to in turn.
const paths = 8

func folderUpstream(tb testing.TB) sourcetest.Upstream {
	tb.Helper()
	folder := tb.TempDir()
	sent := 0
	in := func(tb testing.TB, folder string, env sources.Env) sources.Source {
		tb.Helper()
		c := file.NewConfig()
		c.Folder, c.Settle, c.Interval, c.Backfill, c.Content = config.Path(folder), 0, config.Duration(time.Second), true, 64
		s, err := c.Source(env)
		if err != nil {
			tb.Fatal(err)
		}
		return s
	}
	wrong := func(folder string) func(testing.TB, sources.Env) sources.Source {
		return func(tb testing.TB, env sources.Env) sources.Source { tb.Helper(); return in(tb, folder, env) }
	}
	return sourcetest.Upstream{
		Source:  func(tb testing.TB) sources.Source { tb.Helper(); return in(tb, folder, sourcetest.Env("in", nil)) },
		Section: fmt.Sprintf("file: {folder: %q, settle: 0s, interval: 1s, backfill: true, content: 64B}", folder),
		Send: func(ctx context.Context, n int) error {
			for range n {
				if err := write(folder, fmt.Sprintf("%06d", sent), strconv.Itoa(sent)); err != nil {
					return err
				}
				sent++
			}
			return ctx.Err()
		},
		Keeps: true, Exact: true,
		Fill: func(ctx context.Context, n, size int) error {
			for i := range n {
				if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%08d", i)), make([]byte, size), 0o600); err != nil {
					return err
				}
			}
			return ctx.Err()
		},
		Wrong: []sourcetest.Wrong{
			{Name: "no folder", Source: wrong(filepath.Join(folder, "none")), Want: "does not exist: create it"},
			{Name: "a file instead", Source: wrong("/dev/null"), Want: "not a directory"},
		},
	}
}

// write renames a file into its place when it is complete.
func write(folder, name, content string) error {
	other := filepath.Join(folder, ".writing")
	if err := os.WriteFile(other, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(other, filepath.Join(folder, name))
}

// TestFileSource runs the suite with the real program.
func TestFileSource(t *testing.T) {
	sourcetest.Exercise(t, sourcetest.Fixture{
		Name: "file", Start: folderUpstream, Kill: adapters.KillSource,
		Without: map[string]string{
			"server restart":    "there is no server",
			"I5: same id twice": "a folder does not send: it shows what is there",
			"order per key":     "each path is a key, and shows its last content alone",
		},
	})
}

// TestFileSourceNumbers reads what a real program would be given.
func TestFileSourceNumbers(t *testing.T) {
	u := folderUpstream(t)
	out := sourcetest.NewOut()
	stop := sourcetest.Run(t, u.Source(t), out)
	defer stop()
	if err := u.Send(t.Context(), paths); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range out.Wait(t, paths) {
		seen[numberOf(t, &e)] = true
	}
	if len(seen) != paths {
		t.Errorf("told of %v", seen)
	}
}

func numberOf(t *testing.T, e *event.Event) string {
	t.Helper()
	var data struct{ Content string }
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.Fatal(err)
	}
	return data.Content
}

// BenchmarkSource measures new files to durable events.
func BenchmarkSource(b *testing.B) { adapters.BenchSource(b, "file", folderUpstream) }
