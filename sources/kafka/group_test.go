package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"sluice/event"
	"sluice/sources/sourcetest"
)

// wantEach fails when the events are not the records from 0 to n-1, each once
// and in the order of its key.
func wantEach(t *testing.T, out *sourcetest.Out, n int) {
	t.Helper()
	last := map[string]int{}
	events := out.Wait(t, n)
	for i := range events {
		var number int
		if _, err := fmt.Sscanf(string(events[i].Data), `{"n":%d}`, &number); err != nil {
			t.Fatal(err)
		}
		key := events[i].PartitionKey()
		before, seen := last[key]
		if !seen {
			before = number%4 - 4
		}
		if number != before+4 {
			t.Fatalf("after %d of %s comes %d, want %d", before, key, number, before+4)
		}
		last[key] = number
	}
	if len(events) != n {
		t.Errorf("%d events, want %d", len(events), n)
	}
}

func stable(t *testing.T, c *kfake.Cluster, members int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sourcetest.Patience)
	defer cancel()
	if _, err := c.WaitGroupStable(ctx, "sluice", members); err != nil {
		t.Fatal(err)
	}
}

// Two sources share the partitions; one comes while records do, and one goes:
// nothing is lost, nothing is published twice, and every key keeps its order.
func TestRebalance(t *testing.T) {
	for _, offsets := range []Offsets{ByCursor, ByGroup} {
		t.Run(string(offsets), func(t *testing.T) {
			c := newCluster(t)
			cfg := newConfig(c)
			cfg.Group, cfg.Offsets = "sluice", offsets
			out := sourcetest.NewOut()
			first := run(t, cfg, out)
			sending := make(chan struct{})
			var sent int
			var flow sync.WaitGroup
			flow.Go(func() {
				for more := true; more; sent += 40 {
					if err := send(t.Context(), c.ListenAddrs(), records(sent, 40)...); err != nil {
						t.Error(err)
					}
					select {
					case <-sending:
						more = false
					case <-time.After(2 * time.Millisecond): // the pace of the producer
					}
				}
			})
			stable(t, c, 1)
			out.Wait(t, 100)
			second := run(t, cfg, out.Restart())
			stable(t, c, 2)
			shared(t, c)
			out.Wait(t, len(out.Events())+200)
			if err := first.stop(); err != nil {
				t.Fatal(err)
			}
			stable(t, c, 1)
			out.Wait(t, len(out.Events())+200)
			close(sending)
			flow.Wait()
			wantEach(t, out, sent)
			if err := second.stop(); err != nil {
				t.Fatal(err)
			}
			wantEach(t, out, sent)
			if repeats := out.Repeats(); len(repeats) > 0 {
				t.Errorf("%d events were published again", len(repeats))
			}
		})
	}
}

// shared waits until each of two members has two partitions.
func shared(t *testing.T, c *kfake.Cluster) {
	t.Helper()
	sourcetest.Eventually(t, "partitions shared", func() bool {
		info := c.GroupInfo("sluice")
		for _, m := range info.Members {
			if len(m.Assignment[topic]) != 2 {
				return false
			}
		}
		return len(info.Members) == 2
	})
}

// A member that publishes so long that its partition is given away is fenced by
// the cursor: what it publishes late is refused, or the new owner leaves it out.
func TestLateMemberIsFenced(t *testing.T) {
	c := newCluster(t)
	cfg := newConfig(c)
	cfg.Group = "sluice"
	late := sourcetest.NewOut()
	run(t, cfg, late)
	stable(t, c, 1)
	unblock := late.Block()
	produce(t, c, records(0, 40)...)
	late.WaitBlocked(t, 4)
	now := late.Restart() // it is the same store, and blocked too
	second := run(t, cfg, now)
	stable(t, c, 2)
	unblock()
	wantEach(t, now, 40)
	produce(t, c, records(40, 40)...)
	wantEach(t, now, 80)
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	if repeats := now.Repeats(); len(repeats) > 0 {
		t.Errorf("%d events were published again", len(repeats))
	}
}

// Without a group nobody else may read: the one that comes later fences.
func TestFencedWithoutGroup(t *testing.T) {
	c := newCluster(t)
	cfg := newConfig(c)
	out := sourcetest.NewOut()
	first, err := cfg.Source(sourcetest.Env("kafka", nil))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Run(t.Context(), out) }()
	produce(t, c, records(0, 4)...)
	out.Wait(t, 4)
	other := out.Restart()
	for number := range int32(4) {
		if err := other.PublishAt(t.Context(), shardOf(topic, number), cursor{Offset: 7}.encode()); err != nil {
			t.Fatal(err)
		}
	}
	produce(t, c, records(4, 4)...)
	if err := <-ended; !errors.Is(err, event.ErrFenced) {
		t.Errorf("Run has returned %v", err)
	}
}
