//go:build integration

package redis_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	client "github.com/redis/go-redis/v9"

	"sluice/event"
	"sluice/integration/redis"
	"sluice/sources"
	sourceredis "sluice/sources/redis"
	"sluice/sources/sourcetest"
)

// A limited out refuses what is too large, as the bus does.
type limited struct {
	*sourcetest.Out
	most int
}

func (l *limited) Publish(ctx context.Context, events ...event.Event) error {
	if err := l.check(events); err != nil {
		return err
	}
	return l.Out.Publish(ctx, events...)
}

func (l *limited) PublishAt(ctx context.Context, shard string, cursor []byte, events ...event.Event) error {
	if err := l.check(events); err != nil {
		return err
	}
	return l.Out.PublishAt(ctx, shard, cursor, events...)
}

func (l *limited) check(events []event.Event) error {
	for i := range events {
		if err := event.CheckSize(&events[i], l.most); err != nil {
			return err
		}
	}
	return nil
}

// eachWay runs a test for each way of reading.
func eachWay(t *testing.T, test func(t *testing.T, w way, s *redis.Server)) {
	t.Helper()
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) { test(t, w, redis.Start(t)) })
	}
}

func send(t *testing.T, w way, s *redis.Server, from, n int) {
	t.Helper()
	if err := w.send(t.Context(), s, from, n); err != nil {
		t.Fatal(err)
	}
}

// wantNumbers waits for events with the numbers below n, each once.
func wantNumbers(t *testing.T, out *sourcetest.Out, n int) {
	t.Helper()
	seen := map[int]int{}
	for _, e := range out.Wait(t, n) {
		seen[number(&e)]++
	}
	for i := range n {
		if seen[i] != 1 {
			t.Errorf("thing %d was published %d times", i, seen[i])
		}
	}
	if len(seen) != n {
		t.Errorf("%d things, want %d", len(seen), n)
	}
}

// What is too large for the bus is passed by, told, and kept; with a larger limit
// it comes.
func TestTooLarge(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, s *redis.Server) {
		t.Helper()
		out := sourcetest.NewOut()
		send(t, w, s, 0, 3)
		large := strings.Repeat("x", 5000)
		if w.name == "redis lists" {
			if err := s.Client.LPush(t.Context(), "orders", `{"n":"3","x":"`+large+`"}`).Err(); err != nil {
				t.Fatal(err)
			}
		} else if err := s.Client.XAdd(t.Context(), &client.XAddArgs{Stream: "orders", ID: "1700000000003-1", Values: []any{"n", 3, "x", large}}).Err(); err != nil {
			t.Fatal(err)
		}
		send(t, w, s, 4, 3)
		source, health := build(t, s, w.change)
		stop := sourcetest.Run(t, source, &limited{Out: out, most: 2000})
		out.Wait(t, 6)
		sourcetest.Eventually(t, "the report", func() bool {
			return strings.Contains(health.text(), "larger than bus.max_event")
		})
		stop()
		if w.name == "redis lists" {
			if err := s.Client.LMove(t.Context(), "{orders}:sluice:shop:too-large", "orders", "RIGHT", "RIGHT").Err(); err != nil {
				t.Fatal(err)
			}
		}
		source, health = build(t, s, w.change)
		stop = sourcetest.Run(t, source, out.Restart())
		wantNumbers(t, out, 7)
		sourcetest.Eventually(t, "the source is well", func() bool { return health.text() == "" })
		stop()
	})
}

// A Redis that is killed has what it has synced, and the source goes on.
func TestServerIsKilled(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, s *redis.Server) {
		t.Helper()
		out := sourcetest.NewOut()
		source, _ := build(t, s, w.change)
		stop := sourcetest.Run(t, source, out)
		for round := range 3 {
			send(t, w, s, round*20, 20)
			out.Wait(t, round*20+10)
			s.Crash(t)
		}
		wantNumbers(t, out, 60)
		stop()
	})
}

// What the server has forgotten is gone; what comes then is published.
func TestFlush(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, s *redis.Server) {
		t.Helper()
		out := sourcetest.NewOut()
		source, health := build(t, s, w.change)
		stop := sourcetest.Run(t, source, out)
		send(t, w, s, 0, 5)
		out.Wait(t, 5)
		if err := s.Client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		send(t, w, s, 5, 5)
		wantNumbers(t, out, 10)
		sourcetest.Eventually(t, "the source is well", func() bool { return health.text() == "" })
		stop()
	})
}

// Whatever the size of what waits, it comes: in answers that are within bounds.
func TestLargeBacklog(t *testing.T) {
	for _, w := range ways()[1:] {
		const n = 45
		s := redis.Start(t, "--appendonly", "no") // it is about sizes
		if err := w.fill(t.Context(), s, n, 2<<20); err != nil {
			t.Fatal(err)
		}
		out := sourcetest.NewOut()
		source, _ := build(t, s, w.change)
		stop := sourcetest.Run(t, source, out)
		if found := len(out.Wait(t, n)); found != n {
			t.Errorf("%s: %d events, want %d", w.name, found, n)
		}
		stop()
	}
}

// A server that does not speak TLS does not answer when it is spoken to by TLS.
func TestNoTLS(t *testing.T) {
	s := redis.Start(t)
	source, health := build(t, s, func(c *sourceredis.Config) { c.URL = "rediss://" + s.Address })
	stop := sourcetest.Run(t, source, sourcetest.NewOut())
	sourcetest.Eventually(t, "the report", func() bool { return strings.Contains(health.text(), "does it speak TLS?") })
	stop()
}

func TestStart(t *testing.T) {
	for _, c := range []struct {
		start string
		want  string
	}{
		{"all", "0 1 2 3 4 5"},
		{"new", "3 4 5"},
		{"1700000000001-1", "2 3 4 5"},
	} {
		for _, w := range ways()[:2] {
			t.Run(w.name+" "+c.start, func(t *testing.T) {
				s := redis.Start(t)
				send(t, w, s, 0, 3)
				out := sourcetest.NewOut()
				source, _ := build(t, s, w.change, func(cfg *sourceredis.Config) { cfg.Start = c.start })
				stop := sourcetest.Run(t, source, out)
				sourcetest.Eventually(t, "a cursor", func() bool { return len(out.Shards()) == 1 })
				send(t, w, s, 3, 3)
				last := ""
				sourcetest.Eventually(t, c.want, func() bool { last = numbers(out.Events()); return strings.HasSuffix(last, "5") })
				if last != c.want {
					t.Errorf("found %q, want %q", last, c.want)
				}
				stop()
			})
		}
	}
}

func numbers(events []event.Event) string {
	var all []string
	for i := range events {
		all = append(all, strconv.Itoa(number(&events[i])))
	}
	return strings.Join(all, " ")
}

// A group's source takes what a dead consumer has left, and what it was given
// itself before; what was deleted meanwhile is passed by.
func TestTakesWhatIsPending(t *testing.T) {
	s := redis.Start(t)
	w := ways()[1]
	send(t, w, s, 0, 9)
	ctx := t.Context()
	if err := s.Client.XGroupCreate(ctx, "orders", "workers", "0").Err(); err != nil {
		t.Fatal(err)
	}
	for _, consumer := range []string{"dead", "sluice"} {
		err := s.Client.XReadGroup(ctx, &client.XReadGroupArgs{Group: "workers", Consumer: consumer, Streams: []string{"orders", ">"}, Count: 3}).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Client.XDel(ctx, "orders", "1700000000001-1", "1700000000004-1").Err(); err != nil {
		t.Fatal(err)
	}
	out := sourcetest.NewOut()
	source, _ := build(t, s, w.change)
	stop := sourcetest.Run(t, source, out)
	out.Wait(t, 7)
	sourcetest.Eventually(t, "nothing is pending", func() bool { return ackedByGroup(s) == 9 })
	if found := numbers(out.Events()); found != "3 5 6 7 8 0 2" && found != "3 5 0 2 6 7 8" {
		t.Errorf("found %q", found)
	}
	stop()
}

// Entries that wait behind a stream that was made anew with ids of its own are
// read too.
func TestStreamMadeAnew(t *testing.T) {
	s := redis.Start(t)
	out := sourcetest.NewOut()
	w := ways()[0]
	put := func(id string, n int) {
		t.Helper()
		if err := s.Client.XAdd(t.Context(), &client.XAddArgs{Stream: "orders", ID: id, Values: []any{"n", n}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	put("7-1", 0)
	source, _ := build(t, s, w.change)
	stop := sourcetest.Run(t, source, out)
	out.Wait(t, 1)
	stop()
	if err := s.Client.Del(t.Context(), "orders").Err(); err != nil {
		t.Fatal(err)
	}
	put("3-1", 1)
	source, _ = build(t, s, w.change)
	stop = sourcetest.Run(t, source, out.Restart())
	wantNumbers(t, out, 2)
	stop()
}

func TestListIsInOrder(t *testing.T) {
	for _, from := range []string{"right", "left"} {
		s := redis.Start(t)
		var want []string
		err := inBatches(t.Context(), s, 2500, func(p client.Pipeliner) {
			item := fmt.Sprintf(`{"n":"%d"}`, len(want))
			want = append(want, strconv.Itoa(len(want)))
			if from == "right" {
				p.LPush(t.Context(), "orders", item)
			} else {
				p.RPush(t.Context(), "orders", item)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		out := sourcetest.NewOut()
		source, _ := build(t, s, asList, func(c *sourceredis.Config) { c.From = from })
		stop := sourcetest.Run(t, source, out)
		out.FailNext(2, event.ErrUnavailable)
		out.Wait(t, 2500)
		if numbers(out.Events()) != strings.Join(want, " ") {
			t.Errorf("from the %s they are out of order", from)
		}
		stop()
	}
}

// Items that were published and not taken away, as a kill leaves them, have the
// same ids when they are found again. Equal items have ids of their own.
func TestItemsKeepTheirIDs(t *testing.T) {
	s := redis.Start(t)
	ctx := t.Context()
	out := sourcetest.NewOut()
	for range 2 {
		if err := push(ctx, s, 0, 3); err != nil {
			t.Fatal(err)
		}
	}
	source, _ := build(t, s, asList)
	stop := sourcetest.Run(t, source, out)
	out.Wait(t, 6)
	sourcetest.Eventually(t, "all are taken away", func() bool { return ackedByList(s) == 6 })
	stop()
	if err := s.Client.HIncrBy(ctx, "{orders}:sluice:shop:state", "taken", -2).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Client.LPush(ctx, "{orders}:sluice:shop", `{"n":"1"}`, `{"n":"2"}`).Err(); err != nil {
		t.Fatal(err)
	}
	source, _ = build(t, s, asList)
	stop = sourcetest.Run(t, source, out.Restart())
	sourcetest.Eventually(t, "all are taken away", func() bool { return ackedByList(s) == 6 })
	stop()
	if events, repeats := len(out.Events()), len(out.Repeats()); events != 6 || repeats != 2 {
		t.Errorf("%d events and %d repeats, want 6 and 2", events, repeats)
	}
}

// Two sources of one name, which must not be, lose nothing: they find out.
func TestTwoOfOneName(t *testing.T) {
	s := redis.Start(t)
	out := sourcetest.NewOut()
	for range 2 {
		stop := sourcetest.Supervise(t, func(tb testing.TB) sources.Source {
			tb.Helper()
			source, _ := build(tb, s, asList)
			return source
		}, out)
		defer stop()
	}
	if err := push(t.Context(), s, 0, 500); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	sourcetest.Eventually(t, "all things", func() bool {
		for _, e := range out.Events() {
			seen[number(&e)] = true
		}
		return len(seen) == 500
	})
}

func TestLag(t *testing.T) {
	eachWay(t, func(t *testing.T, w way, s *redis.Server) {
		t.Helper()
		source, _ := build(t, s, w.change)
		out := sourcetest.NewOut()
		stop := sourcetest.Run(t, source, out)
		send(t, w, s, 0, 3)
		out.Wait(t, 3)
		lagging := source.(sources.Lagging)
		sourcetest.Eventually(t, "it is known that nothing waits", func() bool {
			_, items := lagging.Lag()
			return items == 0 || w.name == "redis streams" && items == -1
		})
		stop()
		if age, items := lagging.Lag(); age != -1 || items != -1 {
			t.Errorf("after the end the lag is %v, %d", age, items)
		}
	})
}
