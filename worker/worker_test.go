package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"sluice/config"
	"sluice/event"
	"sluice/sinks"
	sinknats "sluice/sinks/nats"
	"sluice/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// A pair is a worker that runs, and the real sink that delivers to it.
type pair struct {
	conn *nats.Conn
	sink sinks.Sink
	stop func() error
}

func start(t *testing.T, o worker.Options, handle worker.Handler, changes ...func(*sinknats.Config)) *pair {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	p := &pair{}
	if p.conn, err = nats.Connect(s.ClientURL()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.conn.Close)
	c := sinknats.NewConfig()
	c.URL, c.Subject = s.ClientURL(), "work"
	for _, change := range changes {
		change(c)
	}
	if p.sink, err = c.Sink(sinks.Env{Name: "test", Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.sink.(sinks.Closer).Close() })
	o.Subject, o.Queue = "work", "workers"
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- worker.Serve(ctx, p.conn, o, handle) }()
	p.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = p.stop() })
	p.awaitThere(t)
	return p
}

// awaitThere waits until the worker has subscribed.
func (p *pair) awaitThere(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); p.conn.NumSubscriptions() == 0; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the worker does not subscribe")
		}
	}
	if err := p.conn.Flush(); err != nil {
		t.Fatal(err)
	}
}

func (p *pair) deliver(t *testing.T, id string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e := &event.Event{
		ID: "e", Source: "/s", Type: "made", Subject: "é", DataContentType: "text/plain", Data: []byte("x"),
		Extensions: map[string]any{"partitionkey": "k"},
	}
	_, err := p.sink.Deliver(ctx, sinks.Attempt{Trigger: "t", Claim: 7, Deliveries: []sinks.Delivery{{ID: id, Attempt: 2, Event: e}}})
	return err
}

// TestServe checks what each end of a handler does with its delivery.
func TestServe(t *testing.T) {
	p := start(t, worker.Options{}, func(ctx context.Context, d *worker.Delivery) error {
		if _, bounded := ctx.Deadline(); !bounded {
			return errors.New("no deadline")
		}
		switch d.ID {
		case "refused":
			return worker.Refuse(errors.New("never\nso"))
		case "later":
			return worker.RetryAfter(errors.New("not now"), time.Minute)
		case "failed":
			return errors.New(strings.Repeat("long ", 1000))
		case "panics":
			panic("boom")
		}
		return nil
	})
	if err := p.deliver(t, "done"); err != nil {
		t.Error(err)
	}
	if err := p.deliver(t, "refused"); !sinks.IsPermanent(err) || err.Error() != `the worker has refused it: "never so"` {
		t.Errorf("refused: %v", err)
	}
	var later *sinks.RetryAfterError
	if err := p.deliver(t, "later"); !errors.As(err, &later) || later.After != time.Minute || !strings.Contains(err.Error(), "not now") {
		t.Errorf("later: %v", err)
	}
	for id, want := range map[string]string{"failed": `the worker has failed at it: "long long`, "panics": `the worker has failed at it: "the handler panicked: boom"`} {
		if err := p.deliver(t, id); err == nil || sinks.IsPermanent(err) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestDeliveries checks that a handler sees the whole of a delivery, in each mode
// that has it.
func TestDeliveries(t *testing.T) {
	for _, mode := range []sinknats.Mode{sinknats.Binary, sinknats.Structured} {
		var got worker.Delivery
		p := start(t, worker.Options{}, func(_ context.Context, d *worker.Delivery) error {
			got = *d
			return nil
		}, func(c *sinknats.Config) { c.Mode = mode })
		if err := p.deliver(t, "inc.1.t"); err != nil {
			t.Fatal(err)
		}
		e := got.Event
		if got.ID != "inc.1.t" || got.Attempt != 2 || got.Trigger != "t" || got.Claim != 7 || e.ID != "e" || e.Subject != "é" ||
			e.DataContentType != "text/plain" || string(e.Data) != "x" || e.Extension("partitionkey") != "k" {
			t.Errorf("%s: the handler has seen %+v", mode, got)
		}
	}
	p := start(t, worker.Options{}, func(context.Context, *worker.Delivery) error { return nil }, func(c *sinknats.Config) { c.Mode = sinknats.Raw })
	const want = `the worker has refused it: "the message on \"work\" is no CloudEvent: the sink's mode is to be binary or structured"`
	if err := p.deliver(t, "d"); !sinks.IsPermanent(err) || err.Error() != want {
		t.Errorf("raw: %v", err)
	}
}

// TestWorkTakesItsTime checks that a handler may take longer than a worker may be
// silent, and that those that wait for their turn are asked for time too.
func TestWorkTakesItsTime(t *testing.T) {
	const silence = 300 * time.Millisecond
	var most, now atomic.Int64
	p := start(t, worker.Options{Concurrency: 1}, func(ctx context.Context, _ *worker.Delivery) error {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		select {
		case <-time.After(2 * silence): // the work
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, func(c *sinknats.Config) { c.AckWait = config.Duration(silence) })
	var all sync.WaitGroup
	for _, id := range []string{"a", "b", "c"} {
		all.Go(func() {
			if err := p.deliver(t, id); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		})
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d at once", most.Load())
	}
}

// TestAHandlerLearnsThatSluiceHasGivenUp checks that its context ends with the
// attempt.
func TestAHandlerLearnsThatSluiceHasGivenUp(t *testing.T) {
	ended := make(chan error, 1)
	p := start(t, worker.Options{}, func(ctx context.Context, _ *worker.Delivery) error {
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	e := &event.Event{ID: "e", Source: "/s", Type: "made"}
	if _, err := p.sink.Deliver(ctx, sinks.Attempt{Deliveries: []sinks.Delivery{{ID: "d", Event: e}}}); err == nil || sinks.IsPermanent(err) {
		t.Errorf("the sink: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the handler: %v", err)
	}
}

// TestTheEnd checks that what is worked on is finished and answered, that what
// waits is given back at once, and that nobody is there afterwards.
func TestTheEnd(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	p := start(t, worker.Options{Concurrency: 1}, func(context.Context, *worker.Delivery) error {
		close(begun)
		<-finish
		return nil
	})
	first, second, stopped := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { first <- p.deliver(t, "first") }()
	<-begun
	go func() { second <- p.deliver(t, "second") }()
	for before := p.conn.Stats().InMsgs; p.conn.Stats().InMsgs < max(before, 2); <-time.After(time.Millisecond) { // it is there
	}
	go func() { stopped <- p.stop() }()
	if err := <-second; err == nil || sinks.IsPermanent(err) || err.Error() != `the worker has failed at it: "the worker stops, and has not begun to work on it"` {
		t.Errorf("what waits: %v", err)
	}
	close(finish)
	if err := errors.Join(<-first, <-stopped); err != nil {
		t.Error(err)
	}
	if err := p.deliver(t, "third"); err == nil || !strings.HasPrefix(err.Error(), "nobody has subscribed") {
		t.Errorf("afterwards: %v", err)
	}
}

// TestTheConnectionIsClosed checks that Serve does not go on with nothing.
func TestTheConnectionIsClosed(t *testing.T) {
	p := start(t, worker.Options{}, func(context.Context, *worker.Delivery) error { return nil })
	p.conn.Close()
	if err := p.stop(); err == nil {
		t.Error("it says nothing")
	}
	err := worker.Serve(t.Context(), p.conn, worker.Options{Subject: "work"}, nil)
	if !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("on a closed connection: %v", err)
	}
}
