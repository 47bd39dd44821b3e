package file

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/config"
	"sluice/sinks"
)

func TestFiles(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   map[string]string
	}{
		{"data by subject", func(c *Config) { c.Format, c.Path = Data, "{{ .time[:4] }}/{{ .subject }}.jsonl" }, map[string]string{
			"2026/0.jsonl": "{\"order\":2}\n{\"order\":2}\n", "2026/1.jsonl": "{\"order\":1}\n{\"order\":3}\n{\"order\":1}\n{\"order\":3}\n",
		}},
		{"whole batches", func(c *Config) { c.Mode, c.Format, c.Path = Whole, Data, "{{ .subject }}/{{ .sluicebatch[:4] }}" }, map[string]string{
			"0/66b2": "{\"order\":2}\n", "1/3b1f": "{\"order\":1}\n{\"order\":3}\n",
		}},
		{"raw, by default", func(c *Config) { c.Mode, c.Format = Whole, Raw }, map[string]string{
			"keep/2026-03-01/inc.1.keep": "{\"order\":\n1}", "keep/2026-03-01/inc.2.keep": "{\"order\":\n2}", "keep/2026-03-01/inc.3.keep": "{\"order\":\n3}",
		}},
		{"the last remains", func(c *Config) { c.Mode, c.Format, c.Path = Whole, Raw, "{{ .subject }}" }, map[string]string{
			"0": "{\"order\":\n2}", "1": "{\"order\":\n3}",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			s, _ := build(t, folder, c.change)
			for range 2 {
				if err := deliver(t, s, batch(1, 2, 3)); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(c.want, tree(t, folder)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDefaultIsEvents appends to one file for the trigger.
func TestDefaultIsEvents(t *testing.T) {
	folder := t.TempDir()
	s, _ := build(t, folder, nil)
	if err := deliver(t, s, batch(1)); err != nil {
		t.Fatal(err)
	}
	want := `{"specversion":"1.0","id":"o-1","source":"/shop","type":"order.created","subject":"1","time":"2026-03-01T12:00:00Z",` +
		`"datacontenttype":"application/json","sluiceattempt":1,"sluicedelivery":"inc.1.keep","data":{"order":1}}` + "\n"
	if diff := cmp.Diff(map[string]string{"keep.jsonl": want}, tree(t, folder)); diff != "" {
		t.Error(diff)
	}
}

// TestTornLines cuts a file at any byte, as a crash does: what was whole stays,
// and what follows begins on a line of its own.
func TestTornLines(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "keep.jsonl")
	rapid.Check(t, func(r *rapid.T) {
		lines := rapid.SliceOfN(rapid.StringMatching(`\{"a":"[a-z]{0,9}"\}`), 1, 5).Draw(r, "lines")
		text := strings.Join(lines, "\n") + "\n"
		cut := rapid.IntRange(0, len(text)).Draw(r, "cut")
		if err := os.WriteFile(path, []byte(text[:cut]), 0o600); err != nil {
			r.Fatal(err)
		}
		s, said := build(t, folder, func(c *Config) { c.Format = Data })
		if err := deliver(t, s, batch(1)); err != nil {
			r.Fatal(err)
		}
		whole := text[:strings.LastIndexByte(text[:cut], '\n')+1]
		torn := text[len(whole):cut]
		if strings.HasSuffix(torn, "}") {
			whole, torn = whole+torn+"\n", ""
		}
		if got := tree(t, folder)["keep.jsonl"]; got != whole+"{\"order\":1}\n" {
			r.Errorf("%q became %q", text[:cut], got)
		}
		if told := strings.Contains(said.String(), "torn"); told != (torn != "") {
			r.Errorf("cut %q off, and said %q", torn, said)
		}
	})
}

// TestTornLongLine looks for the line end farther back than it reads at once.
func TestTornLongLine(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "keep.jsonl")
	if err := os.WriteFile(path, []byte("1\n"+strings.Repeat("[", 3*tornRead)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := build(t, folder, func(c *Config) { c.Format = Data })
	if err := deliver(t, s, batch(1)); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, folder)["keep.jsonl"]; got != "1\n{\"order\":1}\n" {
		t.Errorf("found %d bytes", len(got))
	}
}

// TestRotation sets files aside by size and by time, and loses nothing.
func TestRotation(t *testing.T) {
	folder := t.TempDir()
	s, _ := build(t, folder, func(c *Config) { c.Format, c.Rotate = Data, Rotate{Size: minSize, Every: config.Duration(time.Hour)} })
	now := time.Date(2026, 3, 1, 12, 59, 0, 0, time.UTC)
	s.now = func() time.Time { return now }
	put := func(lines int) {
		t.Helper()
		a := batch()
		for range lines {
			d := batch(1).Deliveries[0]
			d.Event.Data = fmt.Appendf(nil, `%q`, strings.Repeat("x", 1022-3)) // 1 KiB with its line end and quotes, but for one
			a.Deliveries = append(a.Deliveries, d)
		}
		if err := deliver(t, s, a); err != nil {
			t.Fatal(err)
		}
	}
	put(3)
	put(1)
	put(1) // over the size
	now = now.Add(time.Minute)
	put(1) // another hour
	put(4)
	put(4)
	var got []string
	for path, text := range tree(t, folder) {
		got = append(got, fmt.Sprint(path, " ", strings.Count(text, "\n")))
	}
	slices.Sort(got)
	want := []string{
		"keep-20260301T125900Z-2.jsonl 1", "keep-20260301T125900Z.jsonl 4",
		"keep-20260301T130000Z-2.jsonl 4", "keep-20260301T130000Z.jsonl 1", "keep.jsonl 4",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestMovedAway has others move the file, and the folder, while it is open.
func TestMovedAway(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "out")
	s, _ := build(t, folder, func(c *Config) { c.Format = Data })
	if err := deliver(t, s, batch(0)); err == nil || sinks.IsPermanent(err) || !strings.Contains(err.Error(), "does not exist: create it") {
		t.Errorf("without the folder: %v", err)
	}
	steps := []func() error{
		func() error { return os.Mkdir(folder, 0o700) },
		func() error { return os.Rename(folder+"/keep.jsonl", folder+"/old") },
		func() error { return os.Rename(folder, folder+"2") },
		func() error { return os.Mkdir(folder, 0o700) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		if err := deliver(t, s, batch(i)); (err != nil) != (i == 2) {
			t.Errorf("step %d: %v", i, err)
		}
	}
	if diff := cmp.Diff(map[string]string{"old": "{\"order\":0}\n", "keep.jsonl": "{\"order\":1}\n"}, tree(t, folder+"2")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"keep.jsonl": "{\"order\":3}\n"}, tree(t, folder)); diff != "" {
		t.Error(diff)
	}
}

// TestPathsThatAreNone never leave the folder.
func TestPathsThatAreNone(t *testing.T) {
	parent := t.TempDir()
	folder := filepath.Join(parent, "out")
	for _, step := range []error{
		os.Mkdir(folder, 0o700), os.WriteFile(folder+"/file", nil, 0o600),
		os.Symlink(parent, folder+"/link"), os.Mkdir(folder+"/folder", 0o700),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	for id, permanent := range map[string]bool{
		"../a": true, "/etc/a": true, "a/../../b": true, "": true, ".sluice-1": true, "a\x00b": true,
		"file/a": true, "folder": true, strings.Repeat("a", 300): true,
		"link/a": false, // whoever has made the link can take it away
	} {
		for _, mode := range []Mode{Append, Whole} {
			s, _ := build(t, folder, func(c *Config) {
				if c.Mode, c.Path = mode, "{{ .id }}"; mode == Whole {
					c.Format = Raw
				}
			})
			a := batch(1)
			a.Deliveries[0].Event.ID = id
			if err := deliver(t, s, a); err == nil || sinks.IsPermanent(err) != permanent {
				t.Errorf("%s %q: %v", mode, id, err)
			}
		}
	}
	if all, err := fs.Glob(os.DirFS(parent), "*"); err != nil || len(all) != 1 {
		t.Errorf("beside the folder is %v (%v)", all, err)
	}
}

// TestManyPaths closes files that were not used for a while, and opens them
// again.
func TestManyPaths(t *testing.T) {
	folder := t.TempDir()
	s, _ := build(t, folder, func(c *Config) { c.Format, c.Path = Data, "{{ .data.order }}" })
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for n := range 100 {
				if err := deliver(t, s, batch((n*7+w*13)%100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if open := len(s.logs); open > maxOpen {
		t.Errorf("%d files are open", open)
	}
	for n := range 100 {
		line := fmt.Sprintf("{\"order\":%d}\n", n)
		if got := tree(t, folder)[strconv.Itoa(n)]; got != strings.Repeat(line, 4) {
			t.Fatalf("%d holds %q", n, got)
		}
	}
}

// TestBrokenSync has an error of a sync fail what was written before it, and the
// file be opened anew.
func TestBrokenSync(t *testing.T) {
	folder := t.TempDir()
	s, _ := build(t, folder, func(c *Config) { c.Format = Data })
	if err := deliver(t, s, batch(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.logs["keep.jsonl"].open.file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, s, batch(2)); err == nil || sinks.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
	if err := deliver(t, s, batch(2)); err != nil {
		t.Errorf("after it: %v", err)
	}
	if got := tree(t, folder)["keep.jsonl"]; got != "{\"order\":1}\n{\"order\":2}\n" {
		t.Errorf("found %q", got)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Folder = "" }, "folder: it is missing"},
		{func(c *Config) { c.Format = "csv" }, "format: "},
		{func(c *Config) { c.Mode = "w" }, "mode: "},
		{func(c *Config) { c.Format = Raw }, "mode: format: raw makes a file of each delivery"},
		{func(c *Config) { c.Path = "{{ ( }}" }, "path: "},
		{func(c *Config) { c.Path = "/a" }, "path: "},
		{func(c *Config) { c.Path = "{{ .sluicebatch }}" }, "path: "},
		{func(c *Config) { c.Mode, c.Path = Whole, "a" }, "path: found neither"},
		{func(c *Config) { c.Mode, c.Format, c.Path = Whole, Raw, "a" }, "path: found no {{"},
		{func(c *Config) { c.Mode, c.Rotate.Size = Whole, 1<<20 }, "rotate: "},
		{func(c *Config) { c.Rotate.Size = 1 }, "rotate.size: "},
		{func(c *Config) { c.Rotate.Every = 1 }, "rotate.every: "},
	} {
		cfg := NewConfig()
		cfg.Folder = "/var/log/orders"
		c.change(cfg)
		if err := cfg.Validate(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// BenchmarkDeliver appends events to one file, 64 attempts at once, which share
// syncs; and batches of 100.
func BenchmarkDeliver(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			s, _ := build(b, b.TempDir(), nil)
			a := batch(make([]int, size)...)
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := deliver(b, s, a); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
