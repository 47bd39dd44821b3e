package cron

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/event"
	"sluice/sources/sourcetest"
)

const manySchedules = 10_000

// A late Out measures how late each tick is published.
type late struct {
	mu    sync.Mutex
	lates []time.Duration
}

func (l *late) Publish(context.Context, ...event.Event) error { return nil }

func (l *late) PublishAt(_ context.Context, _ string, _ []byte, events ...event.Event) error {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		l.lates = append(l.lates, now.Sub(e.Time))
	}
	return nil
}

func (l *late) Cursor(context.Context, string) ([]byte, error) { return nil, nil }

func (l *late) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lates)
}

func startMany(ctx context.Context, tb testing.TB, scheduler *Scheduler, out *late, expression func(i int) string) (stopped *sync.WaitGroup) {
	tb.Helper()
	stopped = &sync.WaitGroup{}
	for i := range manySchedules {
		section := Adapter(scheduler).Config().(*Config)
		section.Schedule = expression(i)
		source, err := section.Source(sourcetest.Env(fmt.Sprintf("s%d", i), nil))
		if err != nil {
			tb.Fatal(err)
		}
		stopped.Go(func() {
			if err := source.Run(ctx, out); err != nil {
				tb.Error(err)
			}
		})
	}
	return stopped
}

// Ten thousand schedules spread over a minute each tick once, and on time.
func TestManySchedules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		out := &late{}
		stopped := startMany(ctx, t, NewScheduler(time.Now), out, func(i int) string { return fmt.Sprintf("%d * * * * *", i%60) })
		wait(time.Minute)
		if n := out.count(); n != manySchedules {
			t.Errorf("%d ticks, want %d", n, manySchedules)
		}
		if worst := slices.Max(out.lates); worst != 0 {
			t.Errorf("the latest tick is late by %s", worst)
		}
		cancel()
		stopped.Wait()
	})
}

// BenchmarkSchedules ticks all of 10,000 schedules in the same second, over and
// over, and reports how late they are and what one of them takes in memory.
func BenchmarkSchedules(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	ctx, cancel := context.WithCancel(b.Context())
	out := &late{}
	stopped := startMany(ctx, b, NewScheduler(time.Now), out, func(int) string { return "@every 1s" })
	await := func(n int) {
		for out.count() < n {
			runtime.Gosched()
			time.Sleep(time.Millisecond)
		}
	}
	await(2 * manySchedules)
	runtime.GC()
	runtime.ReadMemStats(&after)
	from := out.count()
	n := 0
	for b.Loop() {
		n++
		await(from + n*manySchedules)
	}
	cancel()
	stopped.Wait()
	lates := out.lates[from:]
	slices.Sort(lates)
	b.ReportMetric(float64(lates[len(lates)/2].Microseconds())/1000, "ms-late-p50")
	b.ReportMetric(float64(lates[len(lates)*99/100].Microseconds())/1000, "ms-late-p99")
	b.ReportMetric(float64(after.Sys-before.Sys)/manySchedules, "B/schedule")
}

func BenchmarkScheduler(b *testing.B) {
	scheduler := NewScheduler(time.Now)
	var set []*alarm
	at := time.Now().Add(time.Hour)
	for i := range manySchedules {
		a := scheduler.join()
		scheduler.set(a, at.Add(time.Duration(i*7919%manySchedules)*time.Second))
		set = append(set, a)
	}
	b.Run("join, set and leave beside 10,000", func(b *testing.B) {
		for b.Loop() {
			a := scheduler.join()
			scheduler.set(a, at)
			scheduler.leave(a)
		}
	})
	for _, a := range set {
		scheduler.leave(a)
	}
}
