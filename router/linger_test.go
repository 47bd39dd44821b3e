package router_test

import (
	"context"
	"testing"

	"sluice/router"
	"sluice/sinks"
)

// TestReaderIsNotHeldForOthers shows that the shared reader, which waits while
// every trigger is behind, goes on for one that is new (I4): the only other one
// hangs with far more before it than anybody keeps in memory.
func TestReaderIsNotHeldForOthers(t *testing.T) {
	f := newFixture(t)
	release := make(chan struct{})
	hangs := trigger("hangs", func(ctx context.Context, _ sinks.Delivery) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	hangs.Concurrency, hangs.Buffer = 1, 4
	r := f.start(hangs)
	for n := 0; n < 10_000; n += 1000 {
		f.publish("s", n, n+1000)
	}
	eventually(t, "the first is behind", func() bool {
		all, err := r.Triggers(t.Context())
		return err == nil && len(all) > 0 && all[0].Behind
	})
	var got counter
	if err := r.Configure(t.Context(), []router.Trigger{hangs, trigger("healthy", got.deliver)}); err != nil {
		t.Fatal(err)
	}
	f.publish("s", 10_000, 11_000)
	eventually(t, "the second has what came after it", func() bool { return got.len() >= 1000 && got.has("e10999") })
	close(release)
	r.conserved(t)
}

func (c *counter) has(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[id] > 0
}
