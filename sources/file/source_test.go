package file

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"sluice/config"
	"sluice/sources"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newConfig(folder string, change func(*Config)) *Config {
	c := NewConfig()
	c.Folder, c.Settle, c.Interval = config.Path(folder), config.Duration(0), config.Duration(time.Second)
	if change != nil {
		change(c)
	}
	return c
}

func build(tb testing.TB, c *Config, env sources.Env) sources.Source {
	tb.Helper()
	if err := c.Validate(); err != nil {
		tb.Fatal(err)
	}
	s, err := c.Source(env)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// put writes a file as a whole: under another name first.
func put(tb testing.TB, path, content string) {
	tb.Helper()
	hidden := filepath.Join(filepath.Dir(path), ".writing")
	if err := os.WriteFile(hidden, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(hidden, path); err != nil {
		tb.Fatal(err)
	}
}

// TestExercise runs the suite. A folder is no server, and shows each file once.
func TestExercise(t *testing.T) {
	sourcetest.Exercise(t, sourcetest.Fixture{Start: func(tb testing.TB) sourcetest.Upstream {
		tb.Helper()
		folder := tb.TempDir()
		sent := 0
		backfill := func(c *Config) { c.Backfill = true }
		return sourcetest.Upstream{
			Source: func(tb testing.TB) sources.Source {
				tb.Helper()
				return build(tb, newConfig(folder, backfill), sourcetest.Env("in", nil))
			},
			Send: func(ctx context.Context, n int) error {
				for range n {
					put(tb, filepath.Join(folder, fmt.Sprintf("f-%06d", sent)), "x")
					sent++
				}
				return ctx.Err()
			},
			Keeps: true, Exact: true,
			Wrong: []sourcetest.Wrong{{Name: "no folder", Want: "does not exist: create it", Source: func(tb testing.TB, env sources.Env) sources.Source {
				tb.Helper()
				return build(tb, newConfig(filepath.Join(folder, "none"), nil), env)
			}}},
		}
	}})
}

// A world is a folder with a source that runs over it.
type world struct {
	t      *testing.T
	folder string
	out    *sourcetest.Out
	config *Config
	stop   func()

	mu     sync.Mutex
	health string
}

func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir(), out: sourcetest.NewOut()}
	w.config = newConfig(w.folder, change)
	return w
}

func (w *world) start() {
	w.t.Helper()
	env := sourcetest.Env("in", nil)
	env.Report = func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.health = fmt.Sprint(err)
	}
	w.stop = sourcetest.Run(w.t, build(w.t, w.config, env), w.out.Restart())
	w.out.WaitCursor(w.t, rootShard, func(data []byte) bool { return len(data) > 0 })
}

func (w *world) put(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	put(w.t, path, content)
}

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	sourcetest.Eventually(w.t, what, holds)
}

// told returns the types and subjects of what was published.
func (w *world) told() []string {
	var all []string
	for _, e := range w.out.Events() {
		all = append(all, strings.TrimPrefix(e.Type, "file.")+" "+e.Subject)
	}
	return all
}

func (w *world) wait(what string) {
	w.t.Helper()
	w.eventually(what, func() bool { return slices.Contains(w.told(), what) })
}

func (w *world) waitHealth(text string) {
	w.t.Helper()
	w.eventually("the health is "+text, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return strings.Contains(w.health, text)
	})
}

// age makes a file one that was written an hour ago.
func (w *world) age(name string) {
	w.t.Helper()
	hour := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(w.folder, name), hour, hour); err != nil {
		w.t.Fatal(err)
	}
}

// TestLife follows files through their lives, also while nobody watches.
func TestLife(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Recursive, c.Content = true, 8 })
	w.put("old", "there before")
	w.age("old")
	w.start()
	w.put("a.txt", "1")
	w.wait("created a.txt")
	w.put("sub/deep/b", "\xff")
	w.wait("created sub/deep/b")
	w.put("a.txt", "longer than eight")
	w.wait("changed a.txt")
	if err := os.Remove(w.folder + "/old"); err != nil {
		t.Fatal(err)
	}
	w.wait("removed old")
	w.stop()
	if err := os.Rename(w.folder+"/sub", w.folder+"/moved"); err != nil {
		t.Fatal(err)
	}
	w.put("c\nd é%", "")
	w.start()
	w.wait("removed sub/deep/b")
	w.wait("created moved/deep/b")
	w.wait("created c%0Ad%20%C3%A9%25")
	w.stop()
	if n := len(w.out.Events()); n != 7 {
		t.Errorf("published %q", w.told())
	}
	contents := map[string]any{}
	for _, e := range w.out.Events() {
		if err := e.Validate(); err != nil {
			t.Errorf("%s: %v", e.ID, err)
		}
		var data map[string]any
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		contents[strings.TrimPrefix(e.Type, "file.")+" "+data["path"].(string)] = []any{data["content"], data["content_base64"]}
	}
	want := map[string]any{
		"created a.txt": []any{"1", nil}, "changed a.txt": []any{nil, nil}, "created sub/deep/b": []any{nil, "/w=="}, "removed sub/deep/b": []any{nil, nil},
		"created moved/deep/b": []any{nil, "/w=="}, "removed old": []any{nil, nil}, "created c\nd é%": []any{"", nil},
	}
	if diff := cmp.Diff(want, contents); diff != "" {
		t.Error(diff)
	}
}

// TestWants leaves out what is not wanted.
func TestWants(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   []string
	}{
		{func(*Config) {}, []string{"a.csv", "a.tmp"}},
		{func(c *Config) { c.Hidden, c.Exclude = true, []string{"*.tmp"} }, []string{".b.csv", "a.csv"}},
		{func(c *Config) { c.Recursive, c.Include = true, []string{"*.csv"} }, []string{"a.csv", "sub/c.csv"}},
		{func(c *Config) { c.Recursive, c.Include = true, []string{"sub/*"} }, []string{"sub/c.csv"}},
	} {
		w := newWorld(t, c.change)
		w.config.Backfill = true
		for _, name := range []string{"a.csv", "a.tmp", ".b.csv", "sub/c.csv", ".git/d.csv"} {
			w.put(name, "x")
		}
		if err := os.Symlink("a.csv", w.folder+"/link.csv"); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.eventually("all are told", func() bool { return len(w.out.Events()) >= len(c.want) })
		w.stop()
		var got []string
		for _, e := range w.out.Events() {
			got = append(got, e.Subject)
		}
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestHalfWritten tells of a file when nobody writes to it any more.
func TestHalfWritten(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Settle, c.Content = config.Duration(300*time.Millisecond), 1000 })
	w.start()
	defer w.stop()
	f, err := os.Create(w.folder + "/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	written := 0
	for begin := time.Now(); time.Since(begin) < time.Second; time.Sleep(20 * time.Millisecond) {
		written++
		if _, err := f.WriteString("x"); err != nil {
			t.Fatal(err)
		}
	}
	w.wait("created slow")
	if all := w.out.Events(); len(all) != 1 || !bytes.Contains(all[0].Data, []byte(`"content":"`+strings.Repeat("x", written)+`"`)) {
		t.Errorf("published %s", all[0].Data)
	}
}

// TestFolderAway takes nothing for removed while the folder is not there.
func TestFolderAway(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Backfill = true })
	w.put("a", "1")
	w.start()
	w.wait("created a")
	if err := os.Rename(w.folder, w.folder+"2"); err != nil {
		t.Fatal(err)
	}
	w.waitHealth("does not exist: create it, or correct folder")
	if err := os.Rename(w.folder+"2", w.folder); err != nil {
		t.Fatal(err)
	}
	w.put("b", "1")
	w.wait("created b")
	w.waitHealth("<nil>")
	w.stop()
	if n := len(w.out.Events()); n != 2 {
		t.Errorf("published %q", w.told())
	}
}

// TestOtherScope makes no events of what is old in another scope, nor removals.
func TestOtherScope(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Include = []string{"*.a"} })
	w.start()
	w.put("1.a", "x")
	w.wait("created 1.a")
	w.put("1.b", "x")
	w.age("1.b")
	w.stop()
	w.config.Include = []string{"*.b"}
	before := w.out.StoredCursor(rootShard)
	w.start()
	w.out.WaitCursor(t, rootShard, func(data []byte) bool { return !bytes.Equal(data, before) })
	w.put("2.b", "x")
	w.wait("created 2.b")
	w.stop()
	if diff := cmp.Diff([]string{"created 1.a", "created 2.b"}, w.told()); diff != "" {
		t.Error(diff)
	}
}

// TestManyFiles takes 100,000 files in bounded memory and cursors, and tells
// nothing twice.
func TestManyFiles(t *testing.T) {
	m := &memory{out: sourcetest.NewOut()}
	const n = 100_000
	for i := range m.files {
		m.files[i] = map[string]known{}
	}
	for i := range n {
		name := fmt.Sprintf("incoming/2026/03/%02d/orders-of-customer-%08d.json", i%31, i)
		m.files[shardOf(name)][name] = known{state: state{inode: uint64(1_000_000 + i), modified: 1_772_323_200_000_000_000 + int64(i)*1_234_567, size: int64(i)}}
	}
	largest := 0
	for i := range m.files {
		data, err := encodeFiles(m.files[i])
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, len(data))
	}
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	t.Logf("the largest cursor has %d bytes; %d MiB of memory are in use", largest, stats.HeapAlloc>>20)
	if largest > maxCursor/4 || stats.HeapAlloc > 64<<20 {
		t.Error("that is too much")
	}
	runtime.KeepAlive(m)
}

func TestCursorsReadAsWritten(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		files := rapid.MapOf(rapid.String(), rapid.Custom(func(r *rapid.T) known {
			return known{state: state{rapid.Uint64().Draw(r, "inode"), rapid.Int64().Draw(r, "modified"), rapid.Int64().Draw(r, "size")}}
		})).Draw(r, "files")
		data, err := encodeFiles(files)
		if err != nil {
			r.Fatal(err)
		}
		if read, err := decodeFiles(data); err != nil || !maps.Equal(files, read) {
			r.Fatalf("%v became %v: %v", files, read, err)
		}
	})
}

func FuzzCursor(f *testing.F) {
	data, _ := encodeFiles(map[string]known{"a": {}, "ab": {}})
	f.Add(data)
	f.Fuzz(func(_ *testing.T, data []byte) {
		if len(data) > 0 {
			_, _ = decodeFiles(data) // it does not panic, nor take long
		}
	})
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Folder = "" }, "folder: it is missing"},
		{func(c *Config) { c.Include = []string{"[a"} }, "include: "},
		{func(c *Config) { c.Exclude = []string{""} }, "exclude: "},
		{func(c *Config) { c.Settle = -1 }, "settle: "},
		{func(c *Config) { c.Interval = 1 }, "interval: "},
		{func(c *Config) { c.Content = 1 << 30 }, "content: "},
	} {
		cfg := newConfig("/in", c.change)
		if err := cfg.Validate(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// BenchmarkFiles publishes 10,000 new files, and then walks over them.
func BenchmarkFiles(b *testing.B) {
	folder := b.TempDir()
	for i := range 10_000 {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("f-%06d", i)), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	s := &source{cfg: *newConfig(folder, func(c *Config) { c.Backfill = true }), env: sources.Env{Now: time.Now, Logger: slog.New(slog.DiscardHandler)}}
	m, err := recall(b.Context(), sourcetest.NewOut(), &s.cfg, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	r := &run{source: s, memory: m, folder: folder, watcher: &fsnotify.Watcher{}, blind: true}
	if _, err := r.walk(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := r.walk(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
