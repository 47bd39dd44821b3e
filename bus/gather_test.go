package bus

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// TestGather shows that a group waits for those who were told, and for no more
// than a moment.
func TestGather(t *testing.T) {
	items := func(n int) []item {
		all := make([]item, n)
		for i := range all {
			all[i].msg = &nats.Msg{}
		}
		return all
	}
	cases := map[string]struct {
		told, standing, come int
		closed               bool
		want                 time.Duration
	}{
		"nobody was told":         {},
		"few were told":           {told: minGather - 1},
		"none of them comes":      {told: minGather, want: gatherFor},
		"not all come":            {told: minGather, come: minGather - 1, want: gatherFor},
		"all come":                {told: minGather, come: minGather, want: gatherFor / 2},
		"others wait beside them": {told: 64, standing: 10, come: 60, want: gatherFor},
		"a group is full":         {told: maxGroup, standing: maxGroup},
		"it is closed":            {told: minGather, closed: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPublisher(&batcher{})
				p.enqueue(items(c.standing))
				p.closed = c.closed
				if c.come > 0 {
					time.AfterFunc(gatherFor/2, func() { p.enqueue(items(c.come)) })
				}
				began := time.Now()
				p.gather(c.told)
				if waited := time.Since(began); waited != c.want {
					t.Errorf("waited %v, want %v", waited, c.want)
				}
				synctest.Wait()
			})
		})
	}
}
