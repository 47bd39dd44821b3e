package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

// TestReadersGiveTheLog publishes and reads while consumers are deleted, all
// connections are cut, the server is stopped and replaced, messages are deleted
// right before readers, and history is purged behind one and before the other:
// each has every event that is stored, once and in the order of the log
// (invariant I2).
func TestReadersGiveTheLog(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	b, interrupted := interruptions(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	c := &chaos{b: b, rng: rand.New(rand.NewPCG(seed, 1)), ids: map[uint64]string{}, gone: map[uint64]bool{}}
	c.write(ctx, 1) // so that there is something to read
	followed, ranged := make(chan map[uint64]string, 1), make(chan map[uint64]string, 1)
	tailed := make(chan uint64, 1)
	tailed <- 1
	go func() { followed <- c.follow(ctx, t, tailed) }()
	go func() { ranged <- c.catchUp(ctx, t) }()
	for len(c.ids) < 5000 && ctx.Err() == nil {
		c.write(ctx, 1+c.rng.IntN(200))
		c.trouble(ctx, tailed)
	}
	check(t, publishUntilStored(ctx, b, sample("end")))
	c.compare(t, "tail", 0, <-followed)
	c.compare(t, "range", c.purged, <-ranged)
	t.Logf("%d events, of which %d were deleted; %d interruptions", len(c.ids), len(c.gone), interrupted())
}

// A chaos does to a bus what may happen to it, in a random order.
type chaos struct {
	b      *Bus
	rng    *rand.Rand
	ids    map[uint64]string // of what is stored for sure, by sequence
	gone   map[uint64]bool   // sequences that were deleted
	last   uint64
	purged uint64 // what lies below is gone
	n      int
}

// write publishes so many events. After an error it is not known which of them are
// stored.
func (c *chaos) write(ctx context.Context, n int) {
	entries := make([]event.Directed, n)
	for i := range entries {
		c.n++
		entries[i] = event.Directed{Trigger: "t", Event: sample(strconv.Itoa(c.n))}
		if c.rng.IntN(30) == 0 {
			entries[i].Event = sized(strconv.Itoa(c.n), c.rng.IntN(maxInline))
		}
	}
	sequences, err := c.b.PublishDirected(ctx, entries...)
	if err != nil {
		return
	}
	for i, sequence := range sequences {
		c.ids[sequence] = entries[i].Event.ID
		c.last = max(c.last, sequence)
	}
}

// trouble does what may happen at any time.
func (c *chaos) trouble(ctx context.Context, tailed chan uint64) {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // an answer may be lost
	defer cancel()
	server, err := c.b.server.current()
	if err != nil {
		return // it is being replaced
	}
	switch c.rng.IntN(12) {
	case 0:
		for name := range c.b.events.ConsumerNames(ctx).Name() {
			_ = c.b.events.DeleteConsumer(ctx, name) // or not
		}
	case 1:
		all, err := server.Connz(nil)
		if err != nil {
			return
		}
		for _, conn := range all.Conns {
			_ = server.DisconnectClientByID(conn.Cid) // or not
		}
	case 2:
		for range 20 {
			sequence := c.last - c.rng.Uint64N(min(c.last, 300))
			c.gone[sequence] = true
			_ = c.b.events.DeleteMsg(ctx, sequence) // or not
		}
	case 3:
		below := <-tailed
		tailed <- below
		c.purged = max(c.purged, below)
		_ = c.b.events.Purge(ctx, jetstream.WithPurgeSequence(below)) // or not
	case 4:
		if c.rng.IntN(4) == 0 {
			server.Shutdown()
			token1(c.b.server.alarm)
		}
	}
}

// publishUntilStored publishes an event of another source.
func publishUntilStored(ctx context.Context, b *Bus, e event.Event) error {
	for {
		if err := b.Source("web").Publish(ctx, e); err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// follow reads up to the event of another source with Tail, and returns the ids of
// what was read. It says in tailed how far it is.
func (c *chaos) follow(ctx context.Context, t *testing.T, tailed chan uint64) map[uint64]string {
	t.Helper()
	ids, next := map[uint64]string{}, uint64(1)
	err := c.b.Tail(ctx, 1, func(batch event.Batch) error {
		err := take(&batch, next, ids)
		next = batch.To + 1
		<-tailed
		tailed <- next
		return err
	})
	if !errors.Is(err, errEnough) {
		t.Errorf("tail: %v", err)
	}
	return ids
}

// catchUp does so with Range.
func (c *chaos) catchUp(ctx context.Context, t *testing.T) map[uint64]string {
	t.Helper()
	ids, next := map[uint64]string{}, uint64(1)
	for {
		batch, err := c.b.Range(ctx, next, 200, 4<<20)
		if err != nil && ctx.Err() == nil {
			continue // whoever reads tries again
		}
		if err == nil {
			err = take(&batch, next, ids)
			next = batch.To + 1
		}
		if errors.Is(err, errEnough) {
			return ids
		}
		if err != nil {
			t.Errorf("range: %v", err)
			return ids
		}
	}
}

// take notes a stretch, and checks its order. It returns errEnough at the event of
// another source.
func take(batch *event.Batch, from uint64, ids map[uint64]string) error {
	if batch.From != from {
		return fmt.Errorf("a stretch begins at %d, want %d", batch.From, from)
	}
	for _, e := range batch.Entries {
		if e.Sequence < from || e.Sequence > batch.To {
			return fmt.Errorf("%d, want one from %d to %d", e.Sequence, from, batch.To)
		}
		from = e.Sequence + 1
		if e.Source != "" {
			return errEnough
		}
		ids[e.Sequence] = e.Event.ID
	}
	return nil
}

// compare looks for what was stored, but for what may have been deleted before it
// was read.
func (c *chaos) compare(t *testing.T, who string, purged uint64, read map[uint64]string) {
	t.Helper()
	for sequence, id := range c.ids {
		got, found := read[sequence]
		if found && got != id || !found && !c.gone[sequence] && sequence >= purged {
			t.Errorf("%s: the event of sequence %d is %q, want %q", who, sequence, got, id)
		}
	}
}
