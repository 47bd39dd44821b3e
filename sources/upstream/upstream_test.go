package upstream_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"sluice/event"
	"sluice/sources"
	"sluice/sources/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func health() (h *upstream.Health, reported *[]error) {
	reported = &[]error{}
	return upstream.NewHealth(&sources.Env{
		Logger: slog.New(slog.DiscardHandler),
		Report: func(err error) { *reported = append(*reported, err) },
	}), reported
}

func TestHealthTellsChangesOnly(t *testing.T) {
	h, reported := health()
	a, b := errors.New("a is bad"), errors.New("b is bad")
	h.Set("a", nil)
	h.Set("b", b)
	h.Set("b", b)
	h.Set("a", a)
	h.Set("b", nil)
	h.Set("a", nil)
	var found []string
	for _, err := range *reported {
		if err == nil {
			found = append(found, "well")
		} else {
			found = append(found, err.Error())
		}
	}
	want := []string{"b is bad", "a is bad\nb is bad", "a is bad", "well"}
	if !slices.Equal(found, want) {
		t.Errorf("reported %q, want %q", found, want)
	}
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, reported := health()
		calls := 0
		err := h.Until(t.Context(), "bus", func(context.Context) error {
			if calls++; calls < 5 {
				return event.ErrUnavailable
			}
			return nil
		})
		if err != nil || calls != 5 || len(*reported) != 2 || (*reported)[1] != nil {
			t.Errorf("%v after %d calls, reported %v", err, calls, *reported)
		}
		for _, final := range []error{event.ErrTooLarge, event.ErrFenced} {
			calls = 0
			err := h.Until(t.Context(), "bus", func(context.Context) error { calls++; return final })
			if !errors.Is(err, final) || calls != 1 {
				t.Errorf("%v after %d calls, want %v at once", err, calls, final)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := h.Until(ctx, "bus", func(context.Context) error { return event.ErrFull }); err == nil {
			t.Error("it has ended well although nothing was written")
		}
	})
}

func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		long, cancel := upstream.Grace(ctx, time.Second)
		defer cancel()
		stop()
		begin := time.Now()
		<-long.Done()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it ends %v after the end", took)
		}
		short, cancel := upstream.Grace(t.Context(), time.Second)
		cancel()
		if short.Err() == nil {
			t.Error("it has not ended although it was cancelled")
		}
	})
}

// All that is not too large by itself is written, in order and once; and what
// is too large is named.
func TestDivide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		large := rapid.SliceOfN(rapid.Bool(), 0, 40).Draw(t, "large")
		var written, want, wantLarge []int
		for i, is := range large {
			if is {
				wantLarge = append(wantLarge, i)
			} else {
				want = append(want, i)
			}
		}
		found, err := upstream.Divide(len(large), func(from, to int) error {
			if slices.Contains(large[from:to], true) {
				return event.ErrTooLarge
			}
			for i := from; i < to; i++ {
				written = append(written, i)
			}
			return nil
		})
		if err != nil || !slices.Equal(found, wantLarge) || !slices.Equal(written, want) {
			t.Fatalf("%v: wrote %v, too large %v", err, written, found)
		}
		other := errors.New("another")
		if len(large) > 0 {
			if _, err := upstream.Divide(len(large), func(int, int) error { return other }); !errors.Is(err, other) {
				t.Fatalf("found %v", err)
			}
		}
	})
}
