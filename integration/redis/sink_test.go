//go:build integration

package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/redis"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
	sinkredis "sluice/sinks/redis"
	"sluice/sinks/sinktest"
	"sluice/worker"
)

// key leads to the stream, but for events that are to be refused.
const key = `{{ if .subject == "bad" then "text" else "orders" end }}`

func sinkOf(tb testing.TB, url string, changes ...func(*sinkredis.Config)) sinks.Sink {
	tb.Helper()
	c := sinkredis.NewConfig()
	c.URL, c.Key = url, key
	for _, change := range changes {
		change(c)
	}
	s, err := c.Sink(sinks.Env{Name: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func store(tb testing.TB) sinktest.Store {
	tb.Helper()
	s := redis.Start(tb)
	if err := s.Client.Set(tb.Context(), "text", "no stream", 0).Err(); err != nil {
		tb.Fatal(err)
	}
	wrong := func(name, want string, permanent bool, change func(*sinkredis.Config)) sinktest.Wrong {
		return sinktest.Wrong{Name: name, Want: want, Permanent: permanent, Sink: func(tb testing.TB) sinks.Sink {
			tb.Helper()
			return sinkOf(tb, s.URL(), change)
		}}
	}
	return sinktest.Store{
		Sink:    func(tb testing.TB) sinks.Sink { tb.Helper(); return sinkOf(tb, s.URL()) },
		Section: fmt.Sprintf("redis: {url: %q, key: '%s'}", s.URL(), key),
		Stored:  func(tb testing.TB) []sinktest.Received { tb.Helper(); return stored(tb, s, "orders") },
		Restart: s.Restart, Crash: s.Crash,
		Hold: func(tb testing.TB) func() { tb.Helper(); s.Pause(tb); return func() { s.Resume(tb) } },
		Wrong: []sinktest.Wrong{
			wrong("wrong password", "the server refuses user and password", false, func(c *sinkredis.Config) {
				c.User, c.Password = "nobody", config.NewSecret("wrong")
			}),
			wrong("no such database", "does not have the database", false, func(c *sinkredis.Config) { c.URL += "/99" }),
			wrong("nobody there", "cannot be reached", false, func(c *sinkredis.Config) { c.URL = "redis://127.0.0.1:1" }),
			wrong("another type", "the key holds another type", true, func(c *sinkredis.Config) { c.Key = "text" }),
			wrong("a private address", "a loopback address", true, func(c *sinkredis.Config) { c.Egress = sinkhttp.EgressPublic }),
			wrong("no replicas", "only 0 replicas have it", false, func(c *sinkredis.Config) { c.Key, c.Replicas = "else", 1 }),
		},
		Bad: func(n int) *event.Event {
			return &event.Event{ID: "bad", Source: "/test", Type: "test.made", Subject: "bad", Data: fmt.Appendf(nil, `{"n":%d}`, n)}
		},
		Batches: true,
	}
}

// stored returns the entries of a stream; none while the server is away.
func stored(tb testing.TB, s *redis.Server, stream string) []sinktest.Received {
	tb.Helper()
	entries, err := s.Client.XRange(tb.Context(), stream, "-", "+").Result()
	if err != nil {
		return nil
	}
	all := make([]sinktest.Received, len(entries))
	for i, e := range entries {
		field := func(name string) string { value, _ := e.Values[name].(string); return value }
		attempt, _ := strconv.Atoi(field(worker.HeaderAttempt))
		all[i] = sinktest.Received{ID: field(worker.HeaderDelivery), Attempt: attempt, Data: field("data"), Key: field("ce_partitionkey")}
	}
	return all
}

func TestSuite(t *testing.T) {
	sinktest.ExerciseStore(t, sinktest.StoreFixture{
		Name: "redis", Start: store, Kill: adapters.KillSink,
		Without: map[string]string{
			"the same twice": "XADD knows no repeat: it is another entry, with the same `Sluice-Delivery`",
		},
	})
}

// deliver attempts one delivery of data, or several.
func deliver(t *testing.T, s sinks.Sink, data ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	a := sinks.Attempt{Trigger: "test", Claim: 1, Batch: len(data) > 1}
	for i, d := range data {
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: fmt.Sprintf("inc.%d.test", i+1), Attempt: 1, Event: &event.Event{
			ID: "e", Source: "/s", Type: "t", DataContentType: "application/json", Data: []byte(d),
		}})
	}
	_, err := s.Deliver(ctx, a)
	return err
}

func closeSink(t *testing.T, s sinks.Sink) {
	t.Helper()
	if err := s.(sinks.Closer).Close(); err != nil {
		t.Error(err)
	}
}

// A server without memory refuses before it has done anything: that is no attempt.
func TestNoMemory(t *testing.T) {
	s := redis.Start(t, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
	sink := sinkOf(t, s.URL())
	defer closeSink(t, sink)
	large := `"` + strings.Repeat("x", 1<<20) + `"`
	var err error
	for range 20 {
		if err = deliver(t, sink, large); err != nil {
			break
		}
	}
	if throttled, is := errors.AsType[*sinks.ThrottledError](err); !is || throttled.After == 0 || !strings.Contains(err.Error(), "maxmemory") {
		t.Fatalf("got %v", err)
	}
	if err := s.Client.Del(t.Context(), "orders").Err(); err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, sink, `"small"`); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestTrims(t *testing.T) {
	s := redis.Start(t)
	for name, change := range map[string]func(*sinkredis.Config){
		"by number": func(c *sinkredis.Config) { c.MaxLen = 1000 },
		"by age":    func(c *sinkredis.Config) { c.MaxAge = config.Duration(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Client.Del(t.Context(), "orders").Err(); err != nil {
				t.Fatal(err)
			}
			id := 0
			err := inBatches(t.Context(), s, 3000, func(p client.Pipeliner) { // long ago
				id++
				p.XAdd(t.Context(), &client.XAddArgs{Stream: "orders", ID: fmt.Sprintf("%d-0", id), Values: []string{"n", "1"}})
			})
			if err != nil {
				t.Fatal(err)
			}
			sink := sinkOf(t, s.URL(), change)
			defer closeSink(t, sink)
			if err := deliver(t, sink, `{"n":1}`); err != nil {
				t.Fatal(err)
			}
			if n := s.Client.XLen(t.Context(), "orders").Val(); n > 1200 {
				t.Errorf("%d entries are kept", n)
			}
		})
	}
}

// A delivery is done when as many replicas have it as are asked for.
func TestReplicas(t *testing.T) {
	s := redis.Start(t)
	host, port, _ := strings.Cut(s.Address, ":")
	replica := redis.Start(t, "--replicaof", host+" "+port)
	sink := sinkOf(t, s.URL(), func(c *sinkredis.Config) { c.Replicas = 1 })
	defer closeSink(t, sink)
	for deadline := time.Now().Add(20 * time.Second); ; {
		if err := deliver(t, sink, `{"n":1}`, `{"n":2}`); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if n := len(stored(t, replica, "orders")); n < 2 {
		t.Errorf("the replica has %d entries", n)
	}
	// A replica takes no writes by itself.
	wrong := sinkOf(t, replica.URL())
	defer closeSink(t, wrong)
	if err := deliver(t, wrong, `{"n":3}`); err == nil || !strings.Contains(err.Error(), "the server is a replica") || sinks.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
}

// What the sink writes, the source reads as what it was.
func TestSinkToSource(t *testing.T) {
	for _, mode := range []sinkredis.Mode{sinkredis.Binary, sinkredis.Structured} {
		t.Run(string(mode), func(t *testing.T) { sinkToSource(t, mode) })
	}
}
