package bus

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"sluice/event"
)

// Many shards move their cursors at once: each cursor agrees with the events
// that were stored with it, which stand together, in order.
func TestShardsShareBatches(t *testing.T) {
	b := open(t, small(t))
	const shards, rounds, each = 64, 5, 3
	var group sync.WaitGroup
	for shard := range shards {
		group.Go(func() {
			out := b.Source(fmt.Sprintf("s%d", shard))
			for round := range rounds {
				events := samples(fmt.Sprintf("%d-%d", shard, round), each)
				if err := out.PublishAt(limited(t), "0", []byte(strconv.Itoa(round)), events...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	all := ids(t, b)
	equal(t, "events", len(all), shards*rounds*each)
	next := map[string]int{}
	for i := 0; i < len(all); i += each {
		var shard, round, n int
		must(fmt.Sscanf(all[i], "%d-%d-%d", &shard, &round, &n))(t)
		equal(t, "round", round, next[strconv.Itoa(shard)])
		next[strconv.Itoa(shard)]++
		for j := range each {
			equal(t, "together", all[i+j], fmt.Sprintf("%d-%d-%d", shard, round, j))
		}
	}
	for shard := range shards {
		cursor := must(b.Source(fmt.Sprintf("s%d", shard)).Cursor(limited(t), "0"))(t)
		equal(t, "cursor", string(cursor), strconv.Itoa(rounds-1))
	}
}

// A group holds what waits, up to the limits of a batch, and never less than
// one write.
func TestGroupsKeepWithinABatch(t *testing.T) {
	g := &gathering{batcher: &batcher{most: maxGroup}}
	for _, w := range []struct{ messages, size int }{
		{1, 2 * maxGroupBytes}, {1, 1}, {1, maxGroupBytes}, {maxGroup, 1}, {maxGroup - 1, 1}, {1, 1}, {1, 1},
	} {
		g.waiting = append(g.waiting, &gathered{messages: make([]*nats.Msg, w.messages), size: w.size})
	}
	var sizes []int
	for group := g.take(false); len(group) > 0; group = g.take(false) {
		sizes = append(sizes, len(group))
	}
	equal(t, "groups", fmt.Sprint(sizes), "[1 1 1 1 2 1]")
}

// Two writes of the largest size are one batch of the embedded server: were it too
// large for it, each would go by itself, and nobody would be told.
func TestFullWritesShareABatch(t *testing.T) {
	b := open(t, small(t))
	var group []*gathered
	for _, name := range []string{"a", "b"} {
		group = append(group, gatheredFor(t, b.Source(name), samples(name, MaxBatch)...))
	}
	b.gathering.waiting = group
	taken := b.gathering.take(false)
	equal(t, "writes of a group", len(taken), len(group))
	last := must(b.gathering.storeBatch(limited(t), together(taken)))(t)
	equal(t, "the last sequence", last, uint64(2*(MaxBatch+1)))
	b.gathering.take(false) // nobody leads any more
}

// Of the writes of one batch only those fail that are wrong: a stale fence,
// an id that is stored already.
func TestOneWrongWriteHarmsNoOther(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), sample("known")))
	stale, taker := b.Source("stale"), b.Source("stale")
	check(t, stale.PublishAt(limited(t), "0", []byte("1")))
	must(taker.Cursor(limited(t), "0"))(t)
	check(t, taker.PublishAt(limited(t), "0", []byte("2")))

	const good = 20
	group := make([]*gathered, 0, good+2)
	for i := range good {
		group = append(group, gatheredFor(t, b.Source(fmt.Sprintf("s%d", i)), sample(fmt.Sprintf("good-%d", i))))
	}
	group = append(group, gatheredFor(t, stale, sample("lost")), gatheredFor(t, b.Source("web"), sample("known")))
	outcomes := b.gathering.commit(limited(t), group)
	for i := range good {
		check(t, outcomes[i].err)
	}
	if !isFenced(outcomes[good].err) {
		t.Errorf("the stale write: %v", outcomes[good].err)
	}
	if !isDuplicate(outcomes[good+1].err) {
		t.Errorf("the duplicate: %v", outcomes[good+1].err)
	}
	for _, id := range ids(t, b) {
		if id == "lost" {
			t.Error("what came with the stale cursor was stored")
		}
	}
	for i := range good {
		last := must(b.lastMessage(limited(t), b.names.Events, b.names.Cursor(fmt.Sprintf("s%d", i), "0")))(t)
		equal(t, "sequence", outcomes[i].sequence, last.sequence)
	}
	if err := stale.PublishAt(limited(t), "0", []byte("3")); !errors.Is(err, event.ErrFenced) {
		t.Errorf("the stale writer goes on: %v", err)
	}
}

// gatheredFor returns a write of the Out that expects what it has seen last.
func gatheredFor(t *testing.T, out *Out, events ...event.Event) *gathered {
	t.Helper()
	messages := must(out.messages(t.Context(), events))(t)
	w := &fencedWrite{bus: out.bus, fence: out.fence("0"), subject: out.bus.names.Cursor(out.source, "0"), content: []byte("x"), messages: messages, name: out.source}
	return &gathered{messages: append(messages, w.head()), done: make(chan struct{})}
}
