//go:build integration

package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/nats"
	"sluice/sources"
	sourcenats "sluice/sources/nats"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(serverVariable); address != "" {
		serve(address)
		return
	}
	goleak.VerifyTestMain(m)
}

// A way is one of the three ways of reading.
type way struct {
	name, section string
	change        func(*sourcenats.Config)
	core, exact   bool
	without       map[string]string
}

func ways() []way {
	return []way{
		{
			name: "nats streams", section: "stream: ORDERS", exact: true,
			change: func(c *sourcenats.Config) { c.Stream = "ORDERS" },
			without: map[string]string{
				"I5: same id twice": "the cursor is stored together with the events: nothing is read twice",
			},
		},
		{
			name: "nats consumers", section: "stream: ORDERS, consumer: sluice, ack_wait: 2s",
			change: func(c *sourcenats.Config) {
				c.Stream, c.Consumer, c.AckWait = "ORDERS", "sluice", config.Duration(2*time.Second)
			},
		},
		{
			name: "nats core", section: "subjects: [orders.>]", core: true,
			change: func(c *sourcenats.Config) { c.Subjects = []string{"orders.>"} },
			without: map[string]string{
				"kill -9": "what is received and not yet durable when the program is killed is lost: core NATS keeps nothing",
			},
		},
	}
}

func (w way) upstream(tb testing.TB) sourcetest.Upstream {
	tb.Helper()
	s := nats.Start(tb)
	conn, js := s.Dial(tb)
	if !w.core {
		if _, err := js.CreateStream(tb.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}); err != nil {
			tb.Fatal(err)
		}
	}
	var sent, last atomic.Int64
	send := func(ctx context.Context, n int) error {
		from := int(sent.Add(int64(n))) - n
		last.Store(int64(from))
		return w.send(ctx, s, conn, js, from, n)
	}
	u := sourcetest.Upstream{
		Section: fmt.Sprintf("nats: {url: %q, %s}", s.ClientURL(), w.section),
		Source: func(tb testing.TB) sources.Source {
			tb.Helper()
			sourcetest.Eventually(tb, "the source before has gone", func() bool { return !w.core || !s.Hears("orders.k0") })
			return w.source(tb, s, env())
		},
		Send:   send,
		Fill:   func(ctx context.Context, n, size int) error { return w.fill(ctx, s, conn, js, n, size) },
		Number: number, Restart: s.Restart, Keeps: !w.core, Exact: w.exact, Wrong: w.wrong(s),
	}
	switch {
	case w.core:
		u.Again = func(ctx context.Context) error {
			return w.send(ctx, s, conn, js, int(last.Load()), int(sent.Load()-last.Load()))
		}
	case !w.exact:
		u.Again = func(ctx context.Context) error { return js.DeleteConsumer(ctx, "ORDERS", "sluice") }
		u.Acked = func() int { return acked(js) }
	}
	return u
}

func env() sources.Env {
	return sources.Env{Name: "orders", Logger: slog.New(slog.DiscardHandler), Now: time.Now, Report: func(error) {}}
}

func (w way) source(tb testing.TB, s *nats.Server, env sources.Env, changes ...func(*sourcenats.Config)) sources.Source {
	tb.Helper()
	c := sourcenats.NewConfig()
	c.URL = s.ClientURL()
	w.change(c)
	for _, change := range changes {
		change(c)
	}
	source, err := c.Source(env)
	if err != nil {
		tb.Fatal(err)
	}
	return source
}

// send publishes numbers to a few subjects: to a stream until it is stored, to
// core subjects when somebody listens.
func (w way) send(ctx context.Context, s *nats.Server, conn *client.Conn, js jetstream.JetStream, from, n int) error {
	for i := from; i < from+n; i++ {
		subject, id := fmt.Sprintf("orders.k%d", i%4), strconv.Itoa(i)
		m := &client.Msg{Subject: subject, Data: []byte(`{"n":"` + id + `"}`), Header: client.Header{client.MsgIdHdr: {id}}}
		for {
			err := errors.New("nobody listens")
			if !w.core {
				attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
				_, err = js.PublishMsg(attempt, m)
				cancel()
			} else if conn.IsConnected() && s.Hears(subject) {
				if err = conn.PublishMsg(m); err == nil {
					err = conn.FlushTimeout(5 * time.Second)
				}
			}
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return errors.Join(err, ctx.Err())
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	return nil
}

func (w way) fill(ctx context.Context, s *nats.Server, conn *client.Conn, js jetstream.JetStream, n, size int) error {
	data := []byte(strings.Repeat("x", size))
	for i := range n {
		if w.core {
			for i == 0 && !s.Hears("orders.k0") && ctx.Err() == nil {
				<-time.After(time.Millisecond)
			}
			if i%5000 == 4999 { // a listener that is slower than this loses some
				<-time.After(60 * time.Millisecond)
			}
			if err := conn.Publish(fmt.Sprintf("orders.k%d", i%16), data); err != nil {
				return err
			}
			continue
		}
		if _, err := js.PublishAsync(fmt.Sprintf("orders.k%d", i%16), data); err != nil {
			return err
		}
		if i%1000 == 999 { // more that wait are refused
			<-js.PublishAsyncComplete()
		}
	}
	if w.core {
		return conn.Flush()
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func number(e *event.Event) int {
	var data struct {
		N int `json:"n,string"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return -1
	}
	return data.N
}

// acked is up to which message all were acknowledged.
func acked(js jetstream.JetStream) int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	consumer, err := js.Consumer(ctx, "ORDERS", "sluice")
	if err != nil {
		return -1
	}
	return int(consumer.CachedInfo().AckFloor.Stream)
}

// wrong are sources that cannot work.
func (w way) wrong(s *nats.Server) []sourcetest.Wrong {
	with := func(name, want string, prepare func(tb testing.TB), change func(*sourcenats.Config)) sourcetest.Wrong {
		return sourcetest.Wrong{Name: name, Want: want, Source: func(tb testing.TB, env sources.Env) sources.Source {
			tb.Helper()
			if prepare != nil {
				prepare(tb)
			}
			return w.source(tb, s, env, change)
		}}
	}
	secured := ""
	all := []sourcetest.Wrong{
		with("wrong password", "refuse who sluice says to be", func(tb testing.TB) {
			tb.Helper()
			secured = nats.Start(tb, nats.WithPassword).ClientURL()
		}, func(c *sourcenats.Config) { c.URL = secured }),
		with("nobody there", "no server answers", nil, func(c *sourcenats.Config) { c.URL = "nats://127.0.0.1:1" }),
	}
	if w.core {
		return all
	}
	return append(all, with("no stream", "there is no stream of this name", nil, func(c *sourcenats.Config) { c.Stream = "OTHER" }))
}

func TestExercise(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			sourcetest.Exercise(t, sourcetest.Fixture{Name: w.name, Start: w.upstream, Kill: adapters.KillSource, Without: w.without})
		})
	}
}

func BenchmarkSource(b *testing.B) {
	for _, w := range ways() {
		adapters.BenchSource(b, w.name, w.upstream)
	}
}
