//go:build integration

package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/redis"
	"sluice/sources"
	sourceredis "sluice/sources/redis"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A watched health is what a source has reported last.
type watched struct {
	mu   sync.Mutex
	last error
}

func (w *watched) report(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = err
}

func (w *watched) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		return ""
	}
	return w.last.Error()
}

// build makes a source of the stream "orders".
func build(tb testing.TB, s *redis.Server, changes ...func(*sourceredis.Config)) (sources.Source, *watched) {
	tb.Helper()
	c := sourceredis.NewConfig()
	c.URL, c.Streams = s.URL(), []string{"orders"}
	for _, change := range changes {
		change(c)
	}
	health := &watched{}
	source, err := c.Source(sources.Env{
		Name: "shop", Logger: slog.New(slog.DiscardHandler), Now: time.Now, Report: health.report,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return source, health
}

func asGroup(c *sourceredis.Config) { c.Group, c.ClaimAfter = "workers", config.Duration(time.Second) }

func asList(c *sourceredis.Config) { c.Streams, c.List = nil, "orders" }

// add adds entries with numbers to the stream, again and again while the server
// is away.
func add(ctx context.Context, s *redis.Server, from, n int) error {
	for i := from; i < from+n; i++ {
		// The id makes an entry that was stored without an answer known.
		id := fmt.Sprintf("%d-1", 1700000000000+i)
		err := again(ctx, func() error {
			err := s.Client.XAdd(ctx, &client.XAddArgs{Stream: "orders", ID: id, Values: []any{"n", i, "key", fmt.Sprintf("k%d", i%4)}}).Err()
			if err != nil && err.Error() == "ERR The ID specified in XADD is equal or smaller than the target stream top item" {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// push pushes items with numbers to the list.
func push(ctx context.Context, s *redis.Server, from, n int) error {
	for i := from; i < from+n; i++ {
		if err := again(ctx, func() error { return s.Client.LPush(ctx, "orders", fmt.Sprintf(`{"n":"%d"}`, i)).Err() }); err != nil {
			return err
		}
	}
	return nil
}

func again(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// A way is one of the three ways of reading.
type way struct {
	name    string
	send    func(ctx context.Context, s *redis.Server, from, n int) error
	fill    func(ctx context.Context, s *redis.Server, n, size int) error
	change  func(*sourceredis.Config)
	section string
	acked   func(*redis.Server) int
	again   func(ctx context.Context, s *redis.Server) error
	exact   bool
	without map[string]string
}

const (
	exact  = "the cursor is stored together with the events: nothing is read twice"
	pushed = "what is pushed twice are two items; TestItemsKeepTheirIDs puts them back as a kill leaves them"
	oneKey = "all items have one partitionkey, the list's; TestListIsInOrder"
)

func ways() []way {
	return []way{
		{
			name: "redis streams", send: add, fill: fillStream, section: "streams: [orders], key: key",
			change: func(c *sourceredis.Config) { c.Key = "key" }, exact: true,
			without: map[string]string{"I5: same id twice": exact},
		},
		{
			name: "redis groups", send: add, fill: fillStream, section: "streams: [orders], key: key, group: workers, claim_after: 1s",
			change: func(c *sourceredis.Config) { asGroup(c); c.Key = "key" }, acked: ackedByGroup, again: rewind,
		},
		{
			name: "redis lists", send: push, fill: fillList, section: "list: orders", change: asList, acked: ackedByList,
			without: map[string]string{"I5: same id twice": pushed, "order per key": oneKey},
		},
	}
}

// upstream starts a Redis and returns it as what is read in one way.
func (w way) upstream(tb testing.TB) sourcetest.Upstream {
	tb.Helper()
	s := redis.Start(tb)
	var sent atomic.Int64
	u := sourcetest.Upstream{
		Section: fmt.Sprintf("redis: {url: %q, %s}", s.URL(), w.section),
		Source: func(tb testing.TB) sources.Source {
			tb.Helper()
			source, _ := build(tb, s, w.change)
			return source
		},
		Send: func(ctx context.Context, n int) error {
			return w.send(ctx, s, int(sent.Add(int64(n)))-n, n)
		},
		Fill:    func(ctx context.Context, n, size int) error { return w.fill(ctx, s, n, size) },
		Number:  number,
		Restart: s.Restart,
		Keeps:   true, Exact: w.exact,
		Wrong: w.wrong(s),
	}
	if w.acked != nil {
		u.Acked = func() int { return w.acked(s) }
	}
	if w.again != nil {
		u.Again = func(ctx context.Context) error { return w.again(ctx, s) }
	}
	return u
}

// number is that of the thing that an event was made from.
func number(e *event.Event) int {
	var data struct {
		N int `json:"n,string"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return -1
	}
	return data.N
}

// wrong are sources that cannot work.
func (w way) wrong(s *redis.Server) []sourcetest.Wrong {
	with := func(name, want string, prepare []any, change func(*sourceredis.Config)) sourcetest.Wrong {
		return sourcetest.Wrong{Name: name, Want: want, Source: func(tb testing.TB, env sources.Env) sources.Source {
			tb.Helper()
			if prepare != nil {
				if err := s.Client.Do(tb.Context(), prepare...).Err(); err != nil {
					tb.Fatal(err)
				}
			}
			c := sourceredis.NewConfig()
			c.URL, c.Streams = s.URL(), []string{"orders"}
			w.change(c)
			change(c)
			source, err := c.Source(env)
			if err != nil {
				tb.Fatal(err)
			}
			return source
		}}
	}
	all := []sourcetest.Wrong{
		with("wrong password", "the server refuses user and password", nil, func(c *sourceredis.Config) {
			c.User, c.Password = "nobody", config.NewSecret("wrong")
		}),
		with("not allowed", "the server does not allow it", []any{"acl", "setuser", "reader", "on", ">secret", "~*", "+ping"}, func(c *sourceredis.Config) {
			c.User, c.Password = "reader", config.NewSecret("secret")
		}),
		with("another type", "the key holds another type", []any{"set", "orders", "text"}, func(*sourceredis.Config) {}),
		with("no such database", "does not have the database", nil, func(c *sourceredis.Config) { c.URL += "/99" }),
		with("nobody there", "cannot be reached", nil, func(c *sourceredis.Config) { c.URL = "redis://127.0.0.1:1" }),
	}
	if w.name == "redis groups" {
		all = append(all, with("no group", "XGROUP CREATE orders2 workers", nil, func(c *sourceredis.Config) {
			c.Streams, c.Create = []string{"orders2"}, false
		}))
	}
	return all
}

// rewind has the group begin anew: all is given to it once more, with the next
// entry.
func rewind(ctx context.Context, s *redis.Server) error {
	return s.Client.XGroupSetID(ctx, "orders", "workers", "0").Err()
}

func fillStream(ctx context.Context, s *redis.Server, n, size int) error {
	value := strings.Repeat("x", size)
	return inBatches(ctx, s, n, func(p client.Pipeliner) { p.XAdd(ctx, &client.XAddArgs{Stream: "orders", Values: []any{"d", value}}) })
}

func fillList(ctx context.Context, s *redis.Server, n, size int) error {
	value := strings.Repeat("x", size)
	return inBatches(ctx, s, n, func(p client.Pipeliner) { p.LPush(ctx, "orders", value) })
}

func inBatches(ctx context.Context, s *redis.Server, n int, add func(client.Pipeliner)) error {
	for n > 0 {
		batch := min(n, 1000)
		n -= batch
		_, err := s.Client.Pipelined(ctx, func(p client.Pipeliner) error {
			for range batch {
				add(p)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func ackedByGroup(s *redis.Server) int {
	groups, err := s.Client.XInfoGroups(context.Background(), "orders").Result()
	if err != nil || len(groups) != 1 {
		return -1
	}
	return int(groups[0].EntriesRead - groups[0].Pending)
}

func ackedByList(s *redis.Server) int {
	n, err := s.Client.HGet(context.Background(), "{orders}:sluice:shop:state", "taken").Int()
	if errors.Is(err, client.Nil) {
		return 0
	}
	if err != nil {
		return -1
	}
	return n
}

func TestExercise(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			sourcetest.Exercise(t, sourcetest.Fixture{Name: w.name, Start: w.upstream, Kill: adapters.KillSource, Without: w.without})
		})
	}
}
