package link_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"sluice/sinks"
	"sluice/sinks/internal/link"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errTest = errors.New("broken")

// A conn is a connection that breaks when it is told.
type conn struct {
	broken atomic.Bool
	closed atomic.Int64
}

func (c *conn) Err() error {
	if c.broken.Load() {
		return errTest
	}
	return nil
}

func (c *conn) Close() { c.closed.Add(1) }

// One connection serves all, until it breaks; the next takes its place when
// nothing is left of it.
func TestOneAtATime(t *testing.T) {
	var opened atomic.Int64
	var last *conn
	l := link.New(func(context.Context) (*conn, error) {
		if last != nil && last.closed.Load() != 1 {
			t.Error("the connection before is not closed")
		}
		opened.Add(1)
		last = &conn{}
		return last, nil
	})
	for round := range int64(3) {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if c, err := l.Get(t.Context()); err != nil || c.Err() != nil {
					t.Errorf("%v", err)
				}
			})
		}
		all.Wait()
		if n := opened.Load(); n != round+1 {
			t.Fatalf("%d were opened in round %d", n, round)
		}
		last.broken.Store(true)
	}
	l.Close()
	if last.closed.Load() != 1 {
		t.Error("the last one is not closed")
	}
	if _, err := l.Get(t.Context()); !errors.Is(err, sinks.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A failure is that of all who wait, and the next one tries again.
func TestFailure(t *testing.T) {
	fail := true
	l := link.New(func(context.Context) (*conn, error) {
		if fail {
			return nil, errTest
		}
		return &conn{}, nil
	})
	defer l.Close()
	if _, err := l.Get(t.Context()); !errors.Is(err, errTest) {
		t.Errorf("%v", err)
	}
	fail = false
	if _, err := l.Get(t.Context()); err != nil {
		t.Errorf("%v", err)
	}
}

// Who waits ends with its own context, and Close ends a connect that hangs.
func TestHang(t *testing.T) {
	begun := make(chan struct{})
	l := link.New(func(ctx context.Context) (*conn, error) {
		close(begun)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if _, err := l.Get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	l.Close()
}
