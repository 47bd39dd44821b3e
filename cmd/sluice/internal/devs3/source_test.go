package devs3

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"sluice/config"
	"sluice/event"
	"sluice/sources"
	"sluice/sources/s3"
	"sluice/sources/sourcetest"
)

// run runs the s3 source on the endpoint until stop is called.
func run(t *testing.T, s *Server, out sources.Out, change func(*s3.Config)) (stop func()) {
	t.Helper()
	cfg := s3.NewConfig()
	cfg.Endpoint, cfg.Bucket, cfg.Prefix = "http://"+s.Addr(), "photos", "in/"
	if change != nil {
		change(cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	source, err := cfg.Source(sources.Env{Name: "uploads", Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx, out) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func subjects(events []event.Event) []string {
	var found []string
	for _, e := range events {
		found = append(found, e.Subject)
	}
	slices.Sort(found)
	return found
}

func TestSourceSeesUploadsAtOnceAndAfterARestart(t *testing.T) {
	s := start(t, t.TempDir(), "photos")
	c := connect(t, s)
	out := sourcetest.NewOut()
	stop := run(t, s, out, func(c *s3.Config) { c.Interval = config.Duration(time.Hour) })
	waitListening(t, s)
	put(t, c, "in/a.jpg", "1")
	put(t, c, "out/a.jpg", "1")
	put(t, c, "in/a.jpg", "2")
	out.Wait(t, 2)
	stop()
	put(t, c, "in/b.jpg", "3")
	out = out.Restart()
	run(t, s, out, nil)
	events := out.Wait(t, 3)
	if got, want := subjects(events), []string{"in/a.jpg", "in/a.jpg", "in/b.jpg"}; !slices.Equal(got, want) {
		t.Errorf("events of %q, want %q", got, want)
	}
	if len(out.Repeats()) > 0 {
		t.Errorf("published again: %q", subjects(out.Repeats()))
	}
}

func TestSourceBothWaysAgree(t *testing.T) {
	s := start(t, t.TempDir(), "photos")
	c := connect(t, s)
	listened, listed := sourcetest.NewOut(), sourcetest.NewOut()
	run(t, s, listened, func(c *s3.Config) { c.Prefix = ""; c.Interval = config.Duration(time.Hour) })
	run(t, s, listed, func(c *s3.Config) { c.Prefix = ""; c.Interval = config.Duration(time.Second); c.Listen = "off" })
	waitListening(t, s)
	for _, key := range oddKeys {
		put(t, c, key, "content of "+key)
	}
	a, b := listened.Wait(t, len(oddKeys)), listed.Wait(t, len(oddKeys))
	byID := func(a, b event.Event) int { return strings.Compare(a.ID, b.ID) }
	slices.SortFunc(a, byID)
	slices.SortFunc(b, byID)
	for i := range a {
		if got, want := fmt.Sprintf("%+v %s", a[i], a[i].Data), fmt.Sprintf("%+v %s", b[i], b[i].Data); got != want {
			t.Errorf("notified\n%s, listed\n%s", got, want)
		}
	}
}

func TestSourceSeesFilesPutIntoTheFolder(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "photos")
	out := sourcetest.NewOut()
	run(t, s, out, func(c *s3.Config) { c.Interval = config.Duration(time.Hour) })
	waitListening(t, s)
	if err := os.MkdirAll(filepath.Join(dir, "photos", "in"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "photos", "in", "dropped.jpg"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := out.Wait(t, 1)[0].Subject; got != "in/dropped.jpg" {
		t.Errorf("event of %q", got)
	}
}

func TestSourceAndEndpointRestart(t *testing.T) {
	dir := t.TempDir()
	s, stop := startStoppable(t, dir, "photos")
	out := sourcetest.NewOut()
	address := s.Addr()
	run(t, s, out, func(c *s3.Config) { c.Interval = config.Duration(time.Second) })
	waitListening(t, s)
	stop()
	again, err := New(t.Context(), Options{Dir: dir, Listen: address, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- again.Run(ctx) }()
	put(t, connect(t, again), "in/after.jpg", "x")
	out.Wait(t, 1)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func waitListening(t *testing.T, s *Server) {
	t.Helper()
	for deadline := time.Now().Add(sourcetest.Patience); len(s.hub.buckets()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the source does not listen")
		}
	}
}

// TestSourceSeesRemovalsAtOnce removes by the API, and a file from the folder.
func TestSourceSeesRemovalsAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "photos")
	c := connect(t, s)
	out := sourcetest.NewOut()
	run(t, s, out, func(c *s3.Config) { c.Interval = config.Duration(time.Hour) })
	waitListening(t, s)
	for _, key := range []string{"in/a.jpg", "in/b.jpg", "out/a.jpg"} {
		put(t, c, key, "1")
	}
	out.Wait(t, 2)
	for _, key := range []string{"in/a.jpg", "out/a.jpg"} {
		if err := c.RemoveObject(t.Context(), "photos", key, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if events := out.Wait(t, 3); events[2].Type != s3.TypeRemoved || events[2].Subject != "in/a.jpg" {
		t.Errorf("%s of %s", events[2].Type, events[2].Subject)
	}
	// A file that is seen in the folder shows that the others were.
	if err := os.WriteFile(filepath.Join(dir, "photos", "in", "c.jpg"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Wait(t, 4)
	if err := os.Remove(filepath.Join(dir, "photos", "in", "b.jpg")); err != nil {
		t.Fatal(err)
	}
	if events := out.Wait(t, 5); events[4].Type != s3.TypeRemoved || events[4].Subject != "in/b.jpg" {
		t.Errorf("%s of %s", events[4].Type, events[4].Subject)
	}
}
