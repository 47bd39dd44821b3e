package cron

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/event"
	"sluice/sources"
	"sluice/sources/sourcetest"
)

// A lossy Out stores once and then loses all answers while lose is set: the
// source does not know where its cursor is, as after a connection has broken.
type lossy struct {
	*sourcetest.Out
	lose  atomic.Bool
	stale bool
}

func (l *lossy) PublishAt(ctx context.Context, shard string, cursor []byte, events ...event.Event) error {
	if l.stale {
		return event.ErrFenced
	}
	if err := l.Out.PublishAt(ctx, shard, cursor, events...); err != nil {
		return err
	}
	if l.lose.Load() {
		l.stale = true
		return event.ErrUnavailable
	}
	return nil
}

func (l *lossy) Cursor(ctx context.Context, shard string) ([]byte, error) {
	if l.lose.Load() {
		return nil, event.ErrUnavailable
	}
	l.stale = false
	return l.Out.Cursor(ctx, shard)
}

// A handClock stands still until it is moved, and tells when it was first read.
type handClock struct {
	begun chan struct{}
	once  sync.Once

	mu   sync.Mutex
	time time.Time
}

func (c *handClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *handClock) firstRead() time.Time {
	defer c.once.Do(func() { close(c.begun) })
	return c.now()
}

func (c *handClock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

// The upstream of a schedule is the clock: to send is to let seconds pass.
func TestExercise(t *testing.T) {
	sourcetest.Exercise(t, sourcetest.Fixture{Name: "cron", Without: map[string]string{
		"I5: same id twice": "a tick passes once",
		"order per key":     "the ticks of a schedule have no keys",
		"server restart":    "the upstream is the clock",
		"wrong settings":    "they are found before it runs, by `sluice validate`",
		"kill -9":           "the clock of the suite is not the program's; TestKillOnTicks of the package kills it",
	}, Start: func(testing.TB) sourcetest.Upstream {
		clock := &handClock{begun: make(chan struct{}), time: time.Date(2026, 3, 29, 0, 59, 50, 0, time.UTC)}
		scheduler := NewScheduler(clock.now)
		return sourcetest.Upstream{
			Keeps: true,
			Source: func(tb testing.TB) sources.Source {
				tb.Helper()
				section := Adapter(scheduler).Config().(*Config)
				section.Schedule = "@every 1s"
				env := sourcetest.Env("clock", nil)
				env.Now = clock.firstRead
				built, err := section.Source(env)
				if err != nil {
					tb.Fatal(err)
				}
				return built
			},
			Send: func(ctx context.Context, n int) error {
				select {
				case <-clock.begun:
				case <-ctx.Done():
					return ctx.Err()
				}
				clock.move(time.Duration(n) * time.Second)
				select {
				case scheduler.changed <- struct{}{}:
				default:
				}
				return nil
			},
		}
	}})
}
