package bus

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/event"
)

// A wire is a connection to the embedded server for one reader. It speaks as
// much of NATS's client protocol as it takes to be given the messages of one
// consumer. For each message nats.go makes a map of its headers, which takes more
// time and memory than all that the router does with it; here they are fields in
// the room of those before.
type wire struct {
	conn  net.Conn
	in    *bufio.Reader
	inbox string

	mu  sync.Mutex // of writing
	out []byte

	subjects map[string]string // of messages, of which the next ones have some again
	header   event.Fields
}

const (
	// wireBuffer is larger than any line of the protocol, and than most messages.
	wireBuffer = 32 << 10
	// knownSubjects are those of all parts of a few sources.
	knownSubjects = 256
	// wireMost is more than any message has.
	wireMost = 128 << 20
)

// greeting asks for headers, and to be told when nobody answers. The server is
// in this process: nobody else can be at the other end.
const greeting = `CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"protocol":1,"lang":"go","name":"sluice reader"}`

// newWire greets the server at the other end of conn, which it owns from then on.
func newWire(conn net.Conn) (*wire, error) {
	w := &wire{conn: conn, in: bufio.NewReaderSize(conn, wireBuffer), inbox: nats.NewInbox(), subjects: map[string]string{}}
	err := conn.SetDeadline(time.Now().Add(storeTimeout))
	if err == nil {
		_, err = w.line() // INFO
	}
	if err == nil {
		err = w.write(greeting, "\r\nSUB ", w.inbox, " 1\r\n")
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("connecting to the embedded server: %w", err)
	}
	return w, nil
}

func (w *wire) close() { _ = w.conn.Close() } // whoever reads or writes has an error

func (w *wire) write(parts ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = w.out[:0]
	for _, part := range parts {
		w.out = append(w.out, part...)
	}
	_, err := w.conn.Write(w.out)
	return err
}

// publish sends a request whose answers come to the inbox.
func (w *wire) publish(subject, data string) error {
	return w.write("PUB ", subject, " ", w.inbox, " ", strconv.Itoa(len(data)), "\r\n", data, "\r\n")
}

// line reads one line, without its end. It is valid until more is read.
func (w *wire) line() ([]byte, error) {
	line, err := w.in.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// An answerError is a status in place of a message.
type answerError struct {
	status int
	text   string
}

func (e *answerError) Error() string {
	return fmt.Sprintf("the server answers %d %s", e.status, e.text)
}

// next waits for the next message. But for its data it is valid until the next
// one. A status in its place is an *answerError.
func (w *wire) next(m *stored) error {
	for {
		line, err := w.line()
		if err != nil {
			return err
		}
		verb, args, _ := bytes.Cut(line, []byte{' '})
		switch string(verb) {
		case "HMSG":
			return w.message(m, args, true)
		case "MSG":
			return w.message(m, args, false)
		case "PING":
			err = w.write("PONG\r\n")
		case "-ERR":
			err = fmt.Errorf("the server refuses: %s", args)
		}
		if err != nil {
			return err
		}
	}
}

var errFrame = errors.New("the server's message does not follow the protocol")

// message reads the message that its line begins.
func (w *wire) message(m *stored, args []byte, withHeader bool) error {
	subject, reply, head, size := messageArgs(args, withHeader)
	if head < 0 || size < head || size > wireMost {
		return fmt.Errorf("%w: %.200q", errFrame, args)
	}
	*m = stored{subject: w.known(subject), wire: len(subject) + len(reply) + size}
	isMessage := m.placed(reply)
	block, err := w.block(head)
	if err != nil {
		return err
	}
	m.data = make([]byte, size-head)
	if _, err := io.ReadFull(w.in, m.data); err != nil {
		return err
	}
	if _, err := w.in.Discard(len("\r\n")); err != nil {
		return err
	}
	var status, text string
	w.header, status, text = parseHeader(w.header[:0], block)
	m.header = w.header
	if isMessage {
		return nil
	}
	code, err := strconv.Atoi(status)
	if err != nil {
		return fmt.Errorf("%w: it was sent to %.200q, with the status %.200q", errFrame, m.subject, status)
	}
	return &answerError{code, text}
}

// known returns a subject as a string, the same one for all messages that have it.
func (w *wire) known(subject []byte) string {
	if same, ok := w.subjects[string(subject)]; ok {
		return same
	}
	if len(w.subjects) == knownSubjects {
		clear(w.subjects)
	}
	same := string(subject)
	w.subjects[same] = same
	return same
}

// messageArgs takes the arguments of a message apart: the subject, the
// subscription, often where to answer to, the length of the headers if it has
// some, and that of all. A length that is none is -1.
func messageArgs(args []byte, withHeader bool) (subject, reply []byte, head, size int) {
	subject, rest, _ := bytes.Cut(args, []byte{' '})
	_, rest, _ = bytes.Cut(rest, []byte{' '})
	lengths := 1
	if withHeader {
		lengths = 2
	}
	if bytes.Count(rest, []byte{' '}) == lengths {
		reply, rest, _ = bytes.Cut(rest, []byte{' '})
	}
	if withHeader {
		var first []byte
		first, rest, _ = bytes.Cut(rest, []byte{' '})
		head = number(first)
	}
	return subject, reply, head, number(rest)
}

// block reads a block of headers.
func (w *wire) block(size int) (string, error) {
	if size > w.in.Size() {
		large := make([]byte, size)
		_, err := io.ReadFull(w.in, large)
		return string(large), err
	}
	peeked, err := w.in.Peek(size)
	if err != nil {
		return "", err
	}
	block := string(peeked)
	_, err = w.in.Discard(size)
	return block, err
}

// number reads a number of the protocol; -1 stands for what is none.
func number(digits []byte) int {
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' || n > math.MaxInt/10-1 {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	if len(digits) == 0 {
		return -1
	}
	return n
}

// The tokens of where a message would be acknowledged, which say which it is:
// $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<place>.<time>.<pending>.
// The place is that among the messages of the consumer.
const ackTokens, ackSequence, ackPlace, ackTime = 9, 5, 6, 7

// placed takes up which message it is, and tells whether it is one.
func (m *stored) placed(reply []byte) bool {
	var values [ackTokens]int
	n := 0
	for token := range bytes.SplitSeq(reply, []byte{'.'}) {
		if n == ackTokens {
			return false
		}
		values[n] = number(token)
		n++
	}
	if n != ackTokens || values[ackSequence] < 1 || values[ackPlace] < 1 || values[ackTime] < 0 {
		return false
	}
	m.sequence, m.place, m.time = uint64(values[ackSequence]), uint64(values[ackPlace]), time.Unix(0, int64(values[ackTime]))
	return true
}

// statusLength is how many digits a status has.
const statusLength = 3

// parseHeader appends the fields of a block of headers (NATS client protocol,
// HMSG) to fields, and returns the status that it may begin with. What does not
// follow the protocol has no fields.
func parseHeader(fields event.Fields, block string) (_ event.Fields, status, text string) {
	const version = "NATS/1.0"
	line, block, whole := headerLine(block)
	inline, known := strings.CutPrefix(line, version)
	if !whole || !known {
		return fields[:0], "", ""
	}
	status = strings.TrimSpace(inline)
	if len(status) > statusLength {
		status, text = status[:statusLength], strings.TrimSpace(status[statusLength:])
	}
	for {
		line, block, whole = headerLine(block)
		name, value, isField := strings.Cut(line, ":")
		switch {
		case whole && line == "":
			return fields, status, text
		case !whole || !isField:
			return fields[:0], status, text
		case name != "":
			fields = append(fields, event.Field{Name: name, Value: strings.TrimLeft(value, " \t")})
		}
	}
}

// headerLine cuts a line off, which ends with a line feed.
func headerLine(block string) (line, rest string, whole bool) {
	line, rest, whole = strings.Cut(block, "\n")
	return strings.TrimSuffix(line, "\r"), rest, whole
}
