package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

// What the embedded server sends is read by sluice itself, and what servers
// elsewhere send by nats.go: it must be the same.
func TestListeningReadsWhatConsumingReads(t *testing.T) {
	b := open(t, small(t))
	ctx := limited(t)
	for i, msg := range []*nats.Msg{
		{Data: []byte("no headers")},
		{Header: nats.Header{"a": {"1", "", " 2"}, "A": {"x:y"}, "ce-id": {"é\t"}}},
		{Header: nats.Header{"large": {strings.Repeat("x", 50<<10)}}, Data: make([]byte, 200<<10)},
		{Header: nats.Header{"Status": {"503"}}, Data: []byte("HMSG a 1 1 1\r\n")},
	} {
		msg.Subject = b.names.Event(i, "foreign")
		must(b.js.PublishMsg(ctx, msg))(t)
	}
	check(t, b.Source("web").Publish(ctx, samples("batch", 3000)...))
	_, last, err := b.Bounds(ctx)
	check(t, err)
	read := func(server *embedded) (all []string) {
		r := b.newReader(b.live, b.names.Events, 1, jetstream.OrderedConsumerConfig{}, func(m *stored) any {
			slices.SortFunc(m.header, func(a, b event.Field) int { return strings.Compare(a.Name+a.Value, b.Name+b.Value) })
			return fmt.Sprintf("%d %v %s %q %q", m.sequence, m.time.UnixNano(), m.subject, m.header, m.data)
		})
		r.server = server
		r.start(ctx)
		defer r.close()
		for uint64(len(all)) < last {
			<-r.ready
			for _, a := range r.take(last, 1000, 1<<30) {
				all = append(all, a.value.(string))
			}
		}
		return all
	}
	listened, consumed := read(b.server), read(nil)
	for i := range consumed {
		if listened[i] != consumed[i] {
			t.Fatalf("listening  %.300s\nconsuming %.300s", listened[i], consumed[i])
		}
	}
}

// A scripted connection reads what a server says, and keeps what it is told.
type scripted struct {
	net.Conn
	io.Reader
	told bytes.Buffer
}

func (s *scripted) Read(into []byte) (int, error)   { return s.Reader.Read(into) }
func (s *scripted) Write(text []byte) (int, error)  { return s.told.Write(text) }
func (s *scripted) SetDeadline(time.Time) error     { return nil }
func (s *scripted) SetReadDeadline(time.Time) error { return nil }
func (s *scripted) Close() error                    { return nil }

// hear has a wire read what a server says after its greeting, up to the first
// error.
func hear(t *testing.T, says string) (messages []stored, told string, err error) {
	t.Helper()
	conn := &scripted{Reader: io.MultiReader(strings.NewReader("INFO {}\r\n"), strings.NewReader(says))}
	w := must(newWire(conn))(t)
	conn.told.Reset()
	for {
		var m stored
		if err := w.next(&m); err != nil {
			return messages, conn.told.String(), err
		}
		m.header = slices.Clone(m.header)
		messages = append(messages, m)
	}
}

const ack = "$JS.ACK.S.C.1.7.3.5000000000.9"

func TestWire(t *testing.T) {
	messages, told, err := hear(t, "PING\r\nPONG\r\n+OK\r\n"+
		"HMSG s.1 1 "+ack+" 22 24\r\nNATS/1.0\r\na: b\r\nc:\r\n\r\nxy\r\n"+
		"MSG s.1 1 "+ack+" 2\r\n\r\n\r\n"+
		"HMSG _INBOX.x 1 26 26\r\nNATS/1.0 408 Timed Out\r\n\r\n\r\n")
	equal(t, "told", told, "PONG\r\n")
	if answer, ok := errors.AsType[*answerError](err); !ok || *answer != (answerError{408, "Timed Out"}) {
		t.Errorf("the end: %v", err)
	}
	at := time.Unix(5, 0)
	equal(t, "messages", fmt.Sprint(messages), fmt.Sprint([]stored{
		{"s.1", 7, at, event.Fields{{Name: "a", Value: "b"}, {Name: "c"}}, []byte("xy"), 3, len("s.1") + len(ack) + 24},
		{"s.1", 7, at, nil, []byte("\r\n"), 3, len("s.1") + len(ack) + 2},
	}))
}

func TestWireRefuses(t *testing.T) {
	for says, want := range map[string]string{
		"":                                    "EOF",
		"MSG s 1":                             "EOF",
		"-ERR 'Stale Connection'\r\n":         "the server refuses: 'Stale Connection'",
		"MSG s 1 " + ack + " 2\r\nx":          "unexpected EOF",
		"HMSG s 1 " + ack + " 2 1\r\n":        errFrame.Error() + `: "s 1 ` + ack + ` 2 1"`,
		"MSG s 1 " + ack + " 99999999999\r\n": errFrame.Error() + `: "s 1 ` + ack + ` 99999999999"`,
		"MSG s 1 other 0\r\n\r\n":             errFrame.Error() + `: it was sent to "s", with the status ""`,
		strings.Repeat("x", wireBuffer+1):     "bufio: buffer full",
	} {
		if _, _, err := hear(t, says); err.Error() != want {
			t.Errorf("%.50q: %v, want %s", says, err, want)
		}
	}
}

func FuzzWire(f *testing.F) {
	f.Add("HMSG s 1 " + ack + " 18 20\r\nNATS/1.0\r\na: b\r\n\r\nxy\r\n")
	f.Add("MSG s 1 " + ack + " 1000000\r\n")
	f.Fuzz(func(t *testing.T, says string) {
		messages, _, err := hear(t, says)
		if err == nil {
			t.Fatal("there is no end")
		}
		for _, m := range messages {
			if m.sequence == 0 || m.place == 0 {
				t.Fatalf("%+v", m)
			}
		}
	})
}

// FuzzParseHeader compares with nats.go.
func FuzzParseHeader(f *testing.F) {
	f.Add("NATS/1.0\r\na: b\r\na:\tc \n\n")
	f.Add("NATS/1.0 503\r\n\r\n")
	f.Add("NATS/1.00000\n\n")
	f.Add("NATS/1.0 409 Batch Completed\r\n: x\r\n\r\n")
	f.Fuzz(func(t *testing.T, block string) {
		fields, status, text := parseHeader(nil, block)
		want, err := nats.DecodeHeadersMsg([]byte(block))
		if err != nil {
			return
		}
		if status != "" {
			fields = append(fields, event.Field{Name: "Status", Value: status})
		}
		if text != "" {
			fields = append(fields, event.Field{Name: "Description", Value: text})
		}
		if got := fields.Map(); fmt.Sprint(got) != fmt.Sprint(map[string][]string(want)) {
			t.Fatalf("%q: %q, want %q", block, got, want)
		}
	})
}

// repeated says the same again and again.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(into []byte) (int, error) {
	n := copy(into, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// BenchmarkWire reads and decodes messages of EVENTS, without the server.
func BenchmarkWire(b *testing.B) {
	bus := open(b, small(b))
	e := payload("b-123456")
	msg := must(bus.message(b.Context(), "web", &e))(b)
	var lines strings.Builder
	lines.WriteString("NATS/1.0\r\n")
	for name, values := range msg.Header {
		lines.WriteString(name + ": " + values[0] + "\r\n")
	}
	lines.WriteString("Nats-Batch-Id: hM1Yp5C7m8m0o5S4tVn5nX\r\nNats-Batch-Sequence: 123\r\n\r\n")
	block := lines.String()
	frame := fmt.Sprintf("HMSG %s 1 %s %d %d\r\n%s%s\r\n", msg.Subject, ack, len(block), len(block)+len(msg.Data), block, msg.Data)
	w := must(newWire(&scripted{Reader: io.MultiReader(strings.NewReader("INFO {}\r\n"), &repeated{text: frame})}))(b)
	var m stored
	b.ReportAllocs()
	for b.Loop() {
		check(b, w.next(&m))
		if d := bus.names.decode(&m); !d.ok || d.entry.Err != nil {
			b.Fatalf("%+v", d)
		}
	}
}
