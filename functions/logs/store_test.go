package logs_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/functions"
	"sluice/functions/logs"
)

func TestLinesAreReadByTimeFilterAndNumber(t *testing.T) {
	store, _ := open(t, logs.Options{Dir: t.TempDir(), Now: func() time.Time { return noon }})
	for i := range 10 {
		store.Line(line("thumb", fmt.Sprintf("line %d", i), noon.Add(time.Duration(i)*time.Minute)))
	}
	store.Line(line("other", "not this", noon))
	await(t, store, logs.Query{Function: "thumb"}, 10)
	filter := func(text string) func(*logs.Entry) bool {
		match, err := logs.ParseFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		return match
	}
	for _, c := range []struct {
		name string
		q    logs.Query
		want string
	}{
		{"all", logs.Query{}, "0 1 2 3 4 5 6 7 8 9"},
		{"since", logs.Query{Since: noon.Add(7 * time.Minute)}, "7 8 9"},
		{"until", logs.Query{Until: noon.Add(2 * time.Minute)}, "0 1"},
		{"between", logs.Query{Since: noon.Add(2 * time.Minute), Until: noon.Add(4 * time.Minute)}, "2 3"},
		{"text", logs.Query{Match: filter("line 4")}, "4"},
		{"expression", logs.Query{Match: filter("/[3-5]$/")}, "3 4 5"},
		{"request id", logs.Query{Match: filter("id-line 8")}, "8"},
		{"one slash is text", logs.Query{Match: filter("/")}, ""},
		{"the last", logs.Query{Last: 3}, "7 8 9"},
		{"the last of a filter", logs.Query{Last: 2, Match: filter("/[3-5]$/")}, "4 5"},
		{"more than there are", logs.Query{Last: 30}, "0 1 2 3 4 5 6 7 8 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.q.Function = "thumb"
			if got := strings.ReplaceAll(strings.Join(read(t, store, c.q), " "), "line ", ""); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
	if found := read(t, store, logs.Query{Function: "nobody"}); len(found) != 0 {
		t.Errorf("a function that has never written has %q", found)
	}
}

func TestEntriesAreWhatWasGiven(t *testing.T) {
	store, _ := open(t, logs.Options{Dir: t.TempDir()})
	given := functions.Line{
		Function: "thumb", RequestID: "id", Worker: "w7", Time: noon.Add(123456789), Platform: true,
		Text: "<a> & \"b\"\n\x00\x1b[31m é \u2028 end",
	}
	store.Line(given)
	await(t, store, logs.Query{Function: "thumb"}, 1)
	_, err := store.Read(t.Context(), logs.Query{Function: "thumb"}, func(e *logs.Entry, _ logs.Position) error {
		if want := (logs.Entry{Time: given.Time, RequestID: "id", Worker: "w7", Platform: true, Text: given.Text}); *e != want {
			t.Errorf("found %+v, want %+v", *e, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInvalidFilters(t *testing.T) {
	for text, want := range map[string]string{
		"/(/":                     "the filter \"/(/\" is no regular expression: error parsing regexp: missing closing ): `(`",
		strings.Repeat("a", 1025): "the filter has 1025 bytes: at most 1024",
	} {
		if _, err := logs.ParseFilter(text); err == nil || err.Error() != want {
			t.Errorf("%.20q: found %v, want %s", text, err, want)
		}
	}
}

// TestFollowGoesOnOverARestart reads to the end, closes the store, and goes on
// from the position in the next one.
func TestFollowGoesOnOverARestart(t *testing.T) {
	dir := t.TempDir()
	store, stop := open(t, logs.Options{Dir: dir})
	store.Line(line("thumb", "1", noon))
	await(t, store, logs.Query{Function: "thumb"}, 1)
	_, at := readFrom(t, store, logs.Query{Function: "thumb"})
	store.Line(line("thumb", "2", noon))
	stop() // writes what waits

	store, _ = open(t, logs.Options{Dir: dir})
	store.Line(line("thumb", "3", noon))
	at, err := logs.ParsePosition(at.String())
	if err != nil {
		t.Fatal(err)
	}
	if got := await(t, store, logs.Query{Function: "thumb", After: at}, 2); !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("found %q, want 2 and 3", got)
	}
}

func TestInvalidPositions(t *testing.T) {
	for _, text := range []string{"", "+", "20260301T120000.000000000Z", "20260301T120000.000000000Z+-1", "../secret+0", "20260301T120000.000000000Z+1x"} {
		if at, err := logs.ParsePosition(text); err == nil {
			t.Errorf("%q is taken as %q", text, at)
		}
	}
	if text := (logs.Position{}).String(); text != "" {
		t.Errorf("the zero position is %q", text)
	}
}

// TestTheOldestGoWhenThereAreTooMany writes four times what is kept.
func TestTheOldestGoWhenThereAreTooMany(t *testing.T) {
	dir := t.TempDir()
	store, stop := open(t, logs.Options{Dir: dir, MaxBytes: logs.MinMaxBytes})
	padding := strings.Repeat("x", 4000)
	const lines = 500
	for i := range lines {
		store.Line(line("thumb", fmt.Sprintf("%d %s", i, padding), noon))
		if i%125 == 124 {
			await(t, store, logs.Query{Function: "thumb", Match: func(e *logs.Entry) bool { return strings.HasPrefix(e.Text, strconv.Itoa(i)+" ") }}, 1)
		}
	}
	stop()
	files, err := filepath.Glob(filepath.Join(dir, "lines", "thumb", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > logs.MinMaxBytes || size < logs.MinMaxBytes/2 {
		t.Errorf("%d bytes are kept in %d files, want about %d", size, len(files), logs.MinMaxBytes)
	}
	store, _ = open(t, logs.Options{Dir: dir, MaxBytes: logs.MinMaxBytes})
	kept := read(t, store, logs.Query{Function: "thumb"})
	for i, text := range kept {
		if want := fmt.Sprintf("%d ", lines-len(kept)+i); !strings.HasPrefix(text, want) {
			t.Fatalf("line %d of those that are kept is %.20q, want %q", i, text, want)
		}
	}
}

func TestOldLinesGo(t *testing.T) {
	dir := t.TempDir()
	store, stop := open(t, logs.Options{Dir: dir})
	store.Line(line("thumb", "old", noon))
	store.Line(line("gone", "old", noon))
	await(t, store, logs.Query{Function: "thumb"}, 1)
	stop()
	later := func() time.Time { return time.Now().Add(8 * 24 * time.Hour) }
	store, _ = open(t, logs.Options{Dir: dir, Now: later})
	store.Line(line("thumb", "new", noon))
	await(t, store, logs.Query{Function: "thumb", Match: func(e *logs.Entry) bool { return e.Text == "new" }}, 1)
	if got := read(t, store, logs.Query{Function: "thumb"}); !slices.Equal(got, []string{"new"}) {
		t.Errorf("found %q, want what is new only", got)
	}
	if names, err := store.Functions(); err != nil || !slices.Equal(names, []string{"thumb"}) {
		t.Errorf("functions with lines: %q, %v; want thumb", names, err)
	}
}

// TestOverloadDropsAndSaysSo fills the queue while nothing is written.
func TestOverloadDropsAndSaysSo(t *testing.T) {
	store, err := logs.Open(logs.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	const given = 20
	for i := range given {
		store.Line(line("loud", fmt.Sprintf("%d %s", i, strings.Repeat("x", 300<<10)), noon))
	}
	store.Line(line("quiet", "heard", noon))
	ctx, cancel := contextEnded()
	defer cancel()
	if err := store.Run(ctx); err != nil {
		t.Fatal(err)
	}
	got := read(t, store, logs.Query{Function: "loud"})
	kept := len(got) - 1
	want := fmt.Sprintf("%d lines are missing here: there was no room, or they came faster than they could be written", given-kept)
	if kept < 1 || kept > 8 || got[0] != want {
		t.Errorf("%d lines, the first %.200q; want a few after %q", len(got), got[0], want)
	}
	if len(got[1]) > 257<<10 || !strings.HasSuffix(got[1], "x…") {
		t.Errorf("a line of 300 KiB has %d bytes and ends in %q, want it cut", len(got[1]), got[1][len(got[1])-6:])
	}
	if got := read(t, store, logs.Query{Function: "quiet"}); !slices.Equal(got, []string{"heard"}) {
		t.Errorf("the other function has %q", got)
	}
}

// TestNoRoom has no room for a while.
func TestNoRoom(t *testing.T) {
	var full atomic.Bool
	var logged lockedBuffer
	var passed atomic.Int64
	full.Store(true)
	asked := make(chan struct{}, 100)
	store, stop := open(t, logs.Options{
		Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&logged, nil)),
		Now:  func() time.Time { return noon.Add(time.Duration(passed.Load())) },
		Full: func() bool { defer func() { asked <- struct{}{} }(); return full.Load() },
	})
	store.Line(line("thumb", "lost", noon))
	<-asked
	store.Line(line("thumb", "lost too", noon))
	<-asked
	full.Store(false)
	passed.Store(int64(time.Second))
	store.Line(line("thumb", "kept", noon))
	want := []string{"2 lines are missing here: there was no room, or they came faster than they could be written", "kept"}
	if got := await(t, store, logs.Query{Function: "thumb"}, 2); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	stop()
	if text := logged.String(); strings.Count(text, "level=ERROR") != 1 || strings.Count(text, "level=INFO") != 1 {
		t.Errorf("logged, want one error and its end:\n%s", text)
	}
}

// TestWritesThatFail has a file where the folder of a function is to be.
func TestWritesThatFail(t *testing.T) {
	dir := t.TempDir()
	store, _ := open(t, logs.Options{Dir: dir})
	at := filepath.Join(dir, "lines", "thumb")
	if err := os.WriteFile(at, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	changed := store.Changed()
	store.Line(line("thumb", "lost", noon))
	<-changed
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	store.Line(line("thumb", "kept", noon))
	want := []string{"1 line is missing here: there was no room, or they came faster than they could be written", "kept"}
	if got := await(t, store, logs.Query{Function: "thumb"}, 2); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// TestATornLineIsSkipped tears the end of a segment, as a kill does.
func TestATornLineIsSkipped(t *testing.T) {
	dir := t.TempDir()
	store, stop := open(t, logs.Options{Dir: dir})
	store.Line(line("thumb", "whole", noon))
	store.Line(line("thumb", "torn", noon))
	stop()
	files, err := filepath.Glob(filepath.Join(dir, "lines", "thumb", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(files[0], int64(bytes.LastIndexByte(text[:len(text)-1], '\n')+10)); err != nil {
		t.Fatal(err)
	}
	store, _ = open(t, logs.Options{Dir: dir})
	if got := read(t, store, logs.Query{Function: "thumb"}); !slices.Equal(got, []string{"whole"}) {
		t.Errorf("with a torn end: found %q, want what is whole", got)
	}
	store.Line(line("thumb", "after", noon))
	if got := await(t, store, logs.Query{Function: "thumb"}, 2); !slices.Equal(got, []string{"whole", "after"}) {
		t.Errorf("after another line: found %q", got)
	}
}

// TestTheClockIsPutBack begins a segment in a past that has segments.
func TestTheClockIsPutBack(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	store, stop := open(t, logs.Options{Dir: dir, MaxBytes: logs.MinMaxBytes, Now: func() time.Time { return now.Add(time.Hour) }})
	store.Line(line("thumb", strings.Repeat("a", 130<<10), now))
	stop()
	store, _ = open(t, logs.Options{Dir: dir, MaxBytes: logs.MinMaxBytes, Now: func() time.Time { return now }})
	store.Line(line("thumb", "b", now))
	if got := await(t, store, logs.Query{Function: "thumb"}, 2); got[1] != "b" {
		t.Errorf("the lines are in another order: the last is %.20q", got[1])
	}
}

// TestKill kills a writing process, and reads what it has left: whole lines, all
// but the newest, and the usage as it was written last.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	cmd, out := writer(t, dir)
	given := 0
	said := bufio.NewScanner(out)
	counted := filepath.Join(dir, "usage", noon.Format(time.DateOnly)+".json")
	for _, err := os.Stat(counted); (err != nil || given < 500) && said.Scan(); _, err = os.Stat(counted) {
		given, _ = strconv.Atoi(said.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for said.Scan() {
		given, _ = strconv.Atoi(said.Text())
	}
	_ = cmd.Wait() // it was killed
	store, _ := open(t, logs.Options{Dir: dir})
	lines := read(t, store, logs.Query{Function: "thumb"})
	for i, text := range lines {
		if text != fmt.Sprintf("line %d", i) {
			t.Fatalf("line %d is %q", i, text)
		}
	}
	days, err := store.Usage(noon, noon)
	if err != nil || len(days) != 1 {
		t.Fatal(days, err)
	}
	requests := int(days[0].Functions["thumb"].Requests)
	t.Logf("given %d, lines %d, counted %d", given+1, len(lines), requests)
	if len(lines) == 0 || len(lines) > given+1 || requests == 0 || requests > given+1 {
		t.Errorf("of %d there are %d lines, and %d are counted", given+1, len(lines), requests)
	}
}

// TestManyWriteAtOnce is for the race detector, and for lines that are mixed up.
func TestManyWriteAtOnce(t *testing.T) {
	store, stop := open(t, logs.Options{Dir: t.TempDir()})
	const writers, each = 8, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			name := fmt.Sprintf("f%d", w%3)
			for i := range each {
				store.Line(line(name, fmt.Sprintf("%d/%d", w, i), noon))
				store.Report(functions.Report{Function: name, Start: noon, Billed: 2 * time.Millisecond, Memory: 128 << 20, Outcome: "error"})
			}
		})
	}
	wg.Wait()
	total := 0
	for _, name := range []string{"f0", "f1", "f2"} {
		next := map[string]int{}
		for _, text := range await(t, store, logs.Query{Function: name}, each*2) {
			who, number, _ := strings.Cut(text, "/")
			if number != strconv.Itoa(next[who]) {
				t.Errorf("%s: %s after %d", name, text, next[who]-1)
			}
			next[who]++
			total++
		}
	}
	days, err := store.Usage(noon, noon)
	stop()
	if err != nil || len(days) != 1 || total < writers*each*3/4 {
		t.Fatal(days, err, total)
	}
	var sum logs.Usage
	for _, one := range days[0].Functions {
		sum.Add(one)
	}
	if want := (logs.Usage{Requests: writers * each, Errors: writers * each, BilledMS: 2 * writers * each, MiBMS: 2 * 128 * writers * each}); sum != want {
		t.Errorf("usage %+v, want %+v", sum, want)
	}
}
