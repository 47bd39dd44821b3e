package mqtttest

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// A Packet is one that has passed a Tap.
type Packet struct {
	FromServer bool
	Kind       byte // the type of the protocol: 3 is PUBLISH
	QoS        byte // of a PUBLISH
	Duplicate  bool // of a PUBLISH
	ID         uint16
	// Payload is what a PUBLISH ends with, properties included in version 5.
	Payload string
}

// The types of packets that tests ask for (MQTT 5, section 2.1.2).
const (
	Publish = 3
	PubRec  = 5
	PubRel  = 6
	PubComp = 7
)

// String is short: logs of packets are long.
func (p Packet) String() string {
	name := fmt.Sprintf("type %d", p.Kind)
	if names := [...]string{1: "CONNECT", 2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP", 8: "SUBSCRIBE", 9: "SUBACK", 14: "DISCONNECT"}; int(p.Kind) < len(names) && names[p.Kind] != "" {
		name = names[p.Kind]
	}
	text := "client: " + name
	if p.FromServer {
		text = "server: " + name
	}
	if p.ID != 0 {
		text += fmt.Sprintf(" %d", p.ID)
	}
	if p.Duplicate {
		text += " DUP"
	}
	if p.Payload != "" {
		text += fmt.Sprintf(" %q", p.Payload)
	}
	return text
}

// A Tap stands between clients and a server, and writes down what they say.
type Tap struct {
	// URL is where clients connect to.
	URL string

	server   string
	listener net.Listener
	cut      func(Packet) bool
	all      sync.WaitGroup

	mu      sync.Mutex
	packets []Packet
	conns   map[net.Conn]bool
}

// NewTap returns a tap in front of the server of a URL without TLS, which ends with
// the test. Where cut says so, the connection breaks instead of passing a packet;
// it may be nil, and is called by one goroutine at a time.
func NewTap(tb testing.TB, url string, cut func(Packet) bool) *Tap {
	tb.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	t := &Tap{URL: "mqtt://" + listener.Addr().String(), server: strings.TrimPrefix(url, "mqtt://"), listener: listener, cut: cut, conns: map[net.Conn]bool{}}
	t.all.Go(t.accept)
	tb.Cleanup(t.close)
	return t
}

func (t *Tap) close() {
	_ = t.listener.Close()
	t.mu.Lock()
	for conn := range t.conns {
		_ = conn.Close()
	}
	t.mu.Unlock()
	t.all.Wait()
}

func (t *Tap) accept() {
	for {
		client, err := t.listener.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", t.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		t.mu.Lock()
		t.conns[client], t.conns[server] = true, true
		t.mu.Unlock()
		t.all.Go(func() { t.pass(client, server, false) })
		t.all.Go(func() { t.pass(server, client, true) })
	}
}

// pass passes packets on until one side ends, and ends the other.
func (t *Tap) pass(from, to net.Conn, fromServer bool) {
	defer func() {
		_, _ = from.Close(), to.Close()
		t.mu.Lock()
		delete(t.conns, from)
		t.mu.Unlock()
	}()
	r := bufio.NewReader(from)
	for {
		raw, err := readPacket(r)
		if err != nil {
			return
		}
		p := parse(raw)
		p.FromServer = fromServer
		if t.note(p) {
			return
		}
		if _, err := to.Write(raw); err != nil {
			return
		}
	}
}

// note writes a packet down, and tells whether the connection is to break.
func (t *Tap) note(p Packet) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.packets = append(t.packets, p)
	return t.cut != nil && t.cut(p)
}

// Packets returns what has come, in its order.
func (t *Tap) Packets() []Packet {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Packet(nil), t.packets...)
}

// readPacket reads a whole packet (MQTT 5, section 2.1).
func readPacket(r *bufio.Reader) ([]byte, error) {
	head, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	length, err := binary.ReadUvarint(r) // a variable byte integer is one of four bytes at most
	if err != nil || length > 1<<28 {
		return nil, io.ErrUnexpectedEOF
	}
	raw := binary.AppendUvarint([]byte{head}, length)
	body := make([]byte, length)
	_, err = io.ReadFull(r, body)
	return append(raw, body...), err
}

// parse reads what a Packet has.
func parse(raw []byte) Packet {
	p := Packet{Kind: raw[0] >> 4}
	_, n := binary.Uvarint(raw[1:])
	body := raw[1+n:]
	switch p.Kind {
	case Publish:
		p.QoS, p.Duplicate = raw[0]>>1&3, raw[0]&8 != 0
		body = body[2+int(binary.BigEndian.Uint16(body)):]
		if p.QoS > 0 {
			p.ID = binary.BigEndian.Uint16(body)
			body = body[2:]
		}
		p.Payload = string(body)
	case 4, PubRec, PubRel, PubComp, 8, 9, 10, 11:
		p.ID = binary.BigEndian.Uint16(body)
	}
	return p
}
