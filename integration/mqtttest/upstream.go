package mqtttest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"sluice/connect/mqttconn"
	"sluice/event"
	"sluice/sources/sourcetest"
)

// senders is how many messages Fill has on their way at once.
const senders = 64

// Upstream returns what is the same for all servers in an upstream of the suite of
// sources: messages with numbers, on topics below sensors/.
func Upstream(tb testing.TB, as As, qos byte) sourcetest.Upstream {
	tb.Helper()
	p := NewPublisher(tb, as)
	count := 0
	publish := func(ctx context.Context, n int, payload []byte) error {
		return p.Publish(ctx, &mqttconn.Message{Topic: fmt.Sprintf("sensors/k%d/celsius", n%4), Payload: payload, QoS: max(qos, 1)})
	}
	return sourcetest.Upstream{
		Send: func(ctx context.Context, n int) error {
			for range n {
				if err := publish(ctx, count, fmt.Appendf(nil, `{"n":%d}`, count)); err != nil {
					return err
				}
				count++
			}
			return nil
		},
		Keeps: true,
		Number: func(e *event.Event) int {
			var data struct{ N int }
			_ = json.Unmarshal(e.Data, &data) // it is then out of order
			return data.N
		},
		Fill: func(ctx context.Context, n, size int) error {
			return fill(n, func(i int) error { return publish(ctx, i, []byte(strings.Repeat("x", size))) })
		},
	}
}

// fill calls publish n times, several at once.
func fill(n int, publish func(int) error) error {
	var all sync.WaitGroup
	failed := make(chan error, senders)
	for w := range senders {
		all.Go(func() {
			for i := w; i < n; i += senders {
				if err := publish(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed
}
