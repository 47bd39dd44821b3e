package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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

// After each status that a server may send in place of a message, the reader asks
// again or begins anew, and never waits for what does not come.
func TestEveryStatus(t *testing.T) {
	b := open(t, small(t))
	for status, again := range map[string]bool{
		"408 Request Timeout":                 true,
		"408 Interest Expired":                true,
		"409 Message Size Exceeds MaxBytes":   true,
		"100 Idle Heartbeat":                  false,
		"400 Bad Request - invalid character": false,
		"404 No Messages":                     false,
		"409 Consumer Deleted":                false,
		"409 Consumer is push based":          false,
		"409 Exceeded MaxRequestBatch of 1":   false,
		"409 Exceeded MaxWaiting":             false,
		"409 Leadership Change":               false,
		"409 Server Shutdown":                 false,
		"412 Required Api Level":              false,
		"423 Nats-Wrong-Pin-Id":               false,
		"503":                                 false,
		"":                                    false,
	} {
		header := "NATS/1.0 " + status + "\r\nNats-Pending-Messages: 1\r\n\r\n"
		says := fmt.Sprintf("INFO {}\r\nHMSG _INBOX.x 1 %d %d\r\n%s\r\n", len(header), len(header), header)
		conn := &scripted{Reader: strings.NewReader(says)}
		w := must(newWire(conn))(t)
		l := &listening{reader: b.newReader(b.live, b.names.Events, 1, jetstream.OrderedConsumerConfig{}, nil), wire: w, subject: "next"}
		err := l.read()
		asked := strings.Count(conn.told.String(), "PUB next ")
		if ended := errors.Is(err, io.EOF); ended != again || again && asked != 2 || !again && asked != 1 {
			t.Errorf("%s: asked %d times, and ends with: %v", status, asked, err)
		}
	}
}

// That all has come is said after the last message, when more may be asked for
// already.
func TestBatchCompletedIsNoNews(t *testing.T) {
	b := open(t, small(t))
	completed := "NATS/1.0 409 Batch Completed\r\n\r\n"
	var says strings.Builder
	says.WriteString("INFO {}\r\n")
	for i := 1; i <= liveAhead+1; i++ {
		fmt.Fprintf(&says, "MSG s 1 $JS.ACK.S.C.1.%d.%d.5.0 1\r\nx\r\n", i, i)
		if i == liveAhead {
			fmt.Fprintf(&says, "HMSG _INBOX.x 1 %d %d\r\n%s\r\n", len(completed), len(completed), completed)
		}
	}
	conn := &scripted{Reader: strings.NewReader(says.String())}
	w := must(newWire(conn))(t)
	r := b.newReader(b.live, b.names.Events, 1, jetstream.OrderedConsumerConfig{}, func(*stored) any { return nil })
	l := &listening{reader: r, wire: w, subject: "next"}
	if err := l.read(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	equal(t, "messages", len(r.ahead), liveAhead+1)
}
