package mqttconn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A kind is the type of a packet (MQTT 5, section 2.1.2).
type kind byte

const (
	connack  kind = 2
	publish  kind = 3
	puback   kind = 4
	pubrec   kind = 5
	pubrel   kind = 6
	pubcomp  kind = 7
	suback   kind = 9
	unsuback kind = 11
	pingresp kind = 13
	goodbye  kind = 14 // DISCONNECT
)

// A packet is one that a server has sent, with what is of interest in it.
type packet struct {
	kind    kind
	id      uint16
	reason  byte
	reasons []byte // of a SUBACK or UNSUBACK
	text    string // the reason string
	message Message
	welcome welcome // of a CONNACK
}

// A welcome is what a server says about a connection.
type welcome struct {
	session        bool // it has kept the client's session
	receiveMaximum uint16
	maxPacket      uint32 // 0 for no limit
	maxQoS         byte
	noRetain       bool
	keepAlive      *uint16 // seconds; nil for what was asked
}

// A codec writes and reads the packets of one version. What it writes are whole
// packets; what it reads has passed readFrame.
type codec interface {
	connect(w *bytes.Buffer, o *Options) error
	publish(w *bytes.Buffer, m *Message, id uint16) error
	// acknowledge writes one of the four acknowledgements.
	acknowledge(w *bytes.Buffer, k kind, id uint16) error
	subscribe(w *bytes.Buffer, filters []Filter, id uint16) error
	unsubscribe(w *bytes.Buffer, topics []string, id uint16) error
	ping(w *bytes.Buffer) error
	disconnect(w *bytes.Buffer) error
	decode(f frame) (packet, error)
}

func codecOf(v Version) codec {
	if v == V311 {
		return codec3{}
	}
	return codec5{}
}

// A frame is a packet as it came.
type frame struct {
	head byte
	body []byte
}

func (f frame) kind() kind { return kind(f.head >> 4) }

var errMalformed = errors.New("the server has sent a malformed packet")

// readFrame reads one packet of at most so many bytes. The length is read before
// anything is kept for it.
func readFrame(r *bufio.Reader, most int) (frame, error) {
	head, err := r.ReadByte()
	if err != nil {
		return frame{}, err
	}
	length, err := readLength(r)
	if err != nil {
		return frame{}, err
	}
	if length > most {
		return frame{}, fmt.Errorf("the server has sent a packet of %d bytes; at most %d are taken", length, most)
	}
	f := frame{head: head, body: make([]byte, length)}
	if _, err := io.ReadFull(r, f.body); err != nil {
		return frame{}, err
	}
	return f, nil
}

// readLength reads a variable byte integer (section 1.5.5).
func readLength(r *bufio.Reader) (int, error) {
	length := 0
	for shift := 0; shift < 28; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			return length, nil
		}
	}
	return 0, fmt.Errorf("%w: a length of more than four bytes", errMalformed)
}

// decode reads a packet by c. What the specification forbids is an error.
func decode(c codec, f frame) (packet, error) {
	p, err := c.decode(f)
	if err != nil {
		return packet{}, fmt.Errorf("%w (type %d): %w", errMalformed, f.head>>4, err)
	}
	if problem := p.problem(); problem != "" {
		return packet{}, fmt.Errorf("%w (type %d): %s", errMalformed, f.head>>4, problem)
	}
	return p, nil
}

func (p *packet) problem() string {
	switch p.kind {
	case publish:
		return p.message.problem()
	case puback, pubrec, pubrel, pubcomp, suback, unsuback:
		if p.id == 0 {
			return "an identifier of 0"
		}
	default:
	}
	return ""
}

func (m *Message) problem() string {
	switch {
	case m.QoS > 2:
		return "a QoS of 3"
	case m.QoS > 0 && m.ID == 0:
		return "an identifier of 0"
	case m.Topic == "":
		return "no topic" // aliases are not asked for
	}
	return ""
}
