package sourcetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sluice/event"
	"sluice/sources"
	"sluice/sources/sourcetest"
)

func made(id string) event.Event { return event.Event{ID: id, Source: "/", Type: "t"} }

func TestOutKeepsEachEventOnce(t *testing.T) {
	out := sourcetest.NewOut()
	for _, id := range []string{"1", "2", "1"} {
		if err := out.Publish(t.Context(), made(id)); err != nil {
			t.Fatal(err)
		}
	}
	if len(out.Wait(t, 2)) != 2 || len(out.Repeats()) != 1 {
		t.Errorf("%d events, %d repeats", len(out.Events()), len(out.Repeats()))
	}
}

func TestOutFences(t *testing.T) {
	ctx := t.Context()
	first := sourcetest.NewOut()
	if err := first.PublishAt(ctx, "s", []byte("1"), made("1")); err != nil {
		t.Fatal(err)
	}
	second := first.Restart()
	if cursor, err := second.Cursor(ctx, "s"); err != nil || string(cursor) != "1" {
		t.Errorf("cursor %q, %v", cursor, err)
	}
	if err := second.PublishAt(ctx, "s", []byte("2")); err != nil {
		t.Fatal(err)
	}
	if err := first.PublishAt(ctx, "s", []byte("3"), made("3")); !errors.Is(err, event.ErrFenced) {
		t.Errorf("the first one is not fenced: %v", err)
	}
	if cursor := first.StoredCursor("s"); string(cursor) != "2" || len(first.Events()) != 1 {
		t.Errorf("cursor %q, %d events", cursor, len(first.Events()))
	}
	second.Fence("s")
	if err := second.PublishAt(ctx, "s", []byte("4")); !errors.Is(err, event.ErrFenced) {
		t.Errorf("the second one is not fenced: %v", err)
	}
}

func TestOutFailsAsTold(t *testing.T) {
	ctx := t.Context()
	out := sourcetest.NewOut()
	out.FailNext(1, event.ErrFull)
	if err := out.PublishAt(ctx, "s", []byte("1"), made("1")); !errors.Is(err, event.ErrFull) || out.StoredCursor("s") != nil {
		t.Errorf("%v, cursor %q", err, out.StoredCursor("s"))
	}
	out.LoseAnswers(1, event.ErrUnavailable)
	if err := out.PublishAt(ctx, "s", []byte("1"), made("1")); !errors.Is(err, event.ErrUnavailable) || string(out.StoredCursor("s")) != "1" {
		t.Errorf("%v, cursor %q", err, out.StoredCursor("s"))
	}
	if err := out.Publish(ctx, made("2")); err != nil || len(out.Events()) != 2 || len(out.Refused()) != 1 {
		t.Errorf("%v, %d events, %d refused", err, len(out.Events()), len(out.Refused()))
	}
}

func TestOutKeepsTheContract(t *testing.T) {
	out := sourcetest.NewOut()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	cases := []struct {
		err  error
		want string
	}{
		{out.PublishAt(t.Context(), "a.b", nil), `shard "a.b": write letters, digits, - and _`},
		{out.PublishAt(t.Context(), "", nil), `shard "": write letters, digits, - and _`},
		{out.PublishAt(t.Context(), "s", make([]byte, sourcetest.MaxCursor+1)), "a cursor of 524289 bytes: at most 524288"},
		{out.PublishAt(t.Context(), "s", nil, make([]event.Event, sources.MaxBatch+1)...), "1000 events in one PublishAt: at most 999"},
		{out.Publish(t.Context(), made("1"), made("")), "event 1: id: missing: every event needs a non-empty id"},
		{out.Publish(ended, made("1")), "context canceled"},
	}
	for _, c := range cases {
		if c.err == nil || c.err.Error() != c.want {
			t.Errorf("got %v, want %s", c.err, c.want)
		}
	}
	if n := len(out.Events()) + len(out.Shards()); n != 0 {
		t.Errorf("%d things were stored", n)
	}
}

func TestOutBlocks(t *testing.T) {
	out := sourcetest.NewOut()
	unblock := out.Block()
	ended := make(chan error, 1)
	go func() { ended <- out.Publish(context.Background(), made("1")) }()
	out.WaitBlocked(t, 1)
	if len(ended) != 0 || len(out.Events()) != 0 {
		t.Error("Publish was not held up")
	}
	unblock()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	out.SetCursor("s", []byte("x"))
	got := out.WaitCursor(t, "s", func(data []byte) bool { return len(data) > 0 })
	if strings.Join(out.Shards(), ",") != "s" || string(got) != "x" {
		t.Errorf("shards %v, cursor %q", out.Shards(), got)
	}
}
