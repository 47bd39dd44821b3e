package bus

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A lockedBuffer takes what several write.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lockedBuffer) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(text)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

// interruptions opens a bus whose log can be asked how often reading was
// interrupted.
func interruptions(t *testing.T) (b *Bus, count func() int) {
	t.Helper()
	o, log := small(t), &lockedBuffer{}
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	b = open(t, o)
	return b, func() int { return strings.Count(log.String(), "reading the bus was interrupted") }
}

// Messages that take exactly as many bytes as were asked for end what was asked
// for, of which the server says nothing.
func TestAnExactFit(t *testing.T) {
	b, interrupted := interruptions(t)
	const messages, consumerName = 100, 8
	subject, left := b.names.Event(0, "foreign"), readAheadBytes
	for i := 1; i <= messages; i++ {
		reply := len(fmt.Sprintf("$JS.ACK.%s..1.%d.%d.%d.%d", b.names.Events, i, i, time.Now().UnixNano(), messages-i)) + consumerName
		size := 200 << 10
		overhead := len(subject) + reply + len("NATS/1.0\r\na: b\r\n\r\n")
		if left > overhead && left <= size+overhead {
			size = left - overhead
		}
		left -= overhead + size
		store(t, b, subject, nats.Header{"a": {"b"}}, strings.Repeat("x", size))
	}
	r := b.read(limited(t), b.live, b.names.Events, 1, jetstream.OrderedConsumerConfig{}, func(m *stored) any { return len(m.data) })
	defer r.close()
	for seen := 0; seen < messages; {
		select {
		case <-r.ready:
		case <-time.After(5 * time.Second):
			t.Fatalf("nothing comes after %d messages", seen)
		}
		seen += len(r.take(messages, messages, 1<<30))
	}
	equal(t, "interruptions", interrupted(), 0)
}
