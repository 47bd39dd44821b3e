package router

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestBounds shows that contexts end at their times, each with what stands on
// it, and that one timer is enough for them.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBounds()
		began := time.Now()
		_, long := b.within(t.Context(), time.Minute)
		_, short := b.within(t.Context(), time.Second)
		child, cancel := context.WithCancel(short)
		defer cancel()
		called := make(chan time.Duration, 1)
		short.AfterFunc(func() { called <- time.Since(began) })
		<-child.Done()
		if took := time.Since(began); took != time.Second {
			t.Errorf("it ended after %v", took)
		}
		if took := <-called; took != time.Second {
			t.Errorf("the function was called after %v", took)
		}
		if !errors.Is(short.Err(), context.DeadlineExceeded) || !errors.Is(child.Err(), context.DeadlineExceeded) {
			t.Errorf("ended with %v, %v", short.Err(), child.Err())
		}
		if long.Err() != nil {
			t.Errorf("the other one ended with %v", long.Err())
		}
		if at, bounded := long.Deadline(); !bounded || !at.Equal(began.Add(time.Minute)) {
			t.Errorf("the deadline is %v, %v", at, bounded)
		}
		<-long.Done()
		if took := time.Since(began); took != time.Minute {
			t.Errorf("the other one ended after %v", took)
		}
		short.release()
		long.release()
		if b.close(); !b.rings.IsZero() {
			t.Error("the timer runs while nothing is under way")
		}
	})
}

// TestBoundsRelease shows what ends with an attempt, and what does not begin.
func TestBoundsRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBounds()
		_, c := b.within(t.Context(), time.Second)
		stopped := c.AfterFunc(func() { t.Error("a stopped function is called") })
		kept := make(chan struct{})
		stop := c.AfterFunc(func() { close(kept) })
		if !stopped() || stopped() {
			t.Error("a function is stopped once")
		}
		c.release()
		<-kept
		<-c.Done()
		if !errors.Is(c.Err(), context.Canceled) || stop() {
			t.Errorf("after the end: %v", c.Err())
		}
		late := make(chan struct{})
		c.AfterFunc(func() { close(late) })
		<-late
		time.Sleep(time.Hour)
		if !errors.Is(c.Err(), context.Canceled) {
			t.Errorf("it ended twice: %v", c.Err())
		}
		b.close()
	})
}

// TestBoundsClose shows that nothing outlives the run.
func TestBoundsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBounds()
		ctx, cancel := context.WithCancel(t.Context())
		_, before := b.within(ctx, time.Hour)
		done := before.Done()
		cancel()
		b.close()
		<-done
		_, after := b.within(ctx, time.Hour)
		<-after.Done()
		if !errors.Is(before.Err(), context.Canceled) || !errors.Is(after.Err(), context.Canceled) {
			t.Errorf("ended with %v, %v", before.Err(), after.Err())
		}
		before.release()
		after.release()
	})
}
