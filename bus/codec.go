package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/event"
)

// headerWrite names one write of a cursor, position or other fenced message:
// by it a writer knows its own again when it has heard no answer.
const headerWrite = "Sluice-Write"

// headerBefore is how many messages were stored together with a fenced one, right
// before it.
const headerBefore = "Sluice-Before"

// message builds the stored form of an event of a source. Data that is kept
// apart is durable when it returns.
func (b *Bus) message(ctx context.Context, source string, e *event.Event) (*nats.Msg, error) {
	e, err := b.storable(ctx, e)
	if err != nil {
		return nil, err
	}
	msg := &nats.Msg{
		Subject: b.names.Event(event.Part(e), source),
		Header:  event.EncodeHeader(e),
		Data:    e.Data,
	}
	msg.Header[nats.MsgIdHdr] = []string{event.DedupID(source, e.Source, e.ID)}
	return msg, nil
}

// directed builds the stored form of a directed entry. It has no message id:
// the same event may be directed to the same trigger more than once.
// An event whose data is kept apart already shares it.
func (b *Bus) directed(ctx context.Context, d *event.Directed) (*nats.Msg, error) {
	if err := checkToken("trigger", d.Trigger); err != nil {
		return nil, err
	}
	e, err := b.storable(ctx, &d.Event)
	if err != nil {
		return nil, err
	}
	stored := event.Directed{Trigger: d.Trigger, Origin: d.Origin, Event: *e}
	return &nats.Msg{
		Subject: b.names.Directed(event.Part(e), d.Trigger),
		Header:  event.EncodeDirectedHeader(&stored),
		Data:    e.Data,
	}, nil
}

// storable returns the event as it can be stored. One that is too large must
// not fail those that it would be stored with.
func (b *Bus) storable(ctx context.Context, e *event.Event) (*event.Event, error) {
	if err := event.CheckSize(e, b.options.MaxEventSize); err != nil {
		return nil, err
	}
	return b.objects.detach(ctx, e)
}

// headerBytes is what a message's headers take beside their names and values.
const headerBytes, fieldBytes = 16, 4

func messageSize(msg *nats.Msg) int {
	size := len(msg.Subject) + headerBytes + len(msg.Data)
	for name, values := range msg.Header {
		for _, value := range values {
			size += len(name) + len(value) + fieldBytes
		}
	}
	return size
}

func sizeOf(messages []*nats.Msg) (size int64) {
	for _, msg := range messages {
		size += int64(messageSize(msg))
	}
	return size
}

// A stored is a message as it was read.
type stored struct {
	subject  string
	sequence uint64
	time     time.Time
	header   event.Fields
	data     []byte
	place    uint64 // among what one consumer is given; 0 when it is not known
	wire     int    // bytes that the server counts for it; 0 when it is not known
}

func (m *stored) size() int {
	size := len(m.subject) + headerBytes + len(m.data)
	for i := range m.header {
		size += len(m.header[i].Name) + len(m.header[i].Value) + fieldBytes
	}
	return size
}

// A decoded is a message of EVENTS, in one piece of memory with its event.
type decoded struct {
	entry event.Entry
	event event.Event
	ok    bool  // it is an entry
	newer error // it is from a newer sluice
}

// decode decodes a stored message, which is no entry when it is a cursor or a
// position. What cannot be decoded is an entry too, unless it is a newer
// sluice's: that error is a *event.NewerFormatError, wrapped. The message may be
// used for another one afterwards, but for its data.
func (n Names) decode(m *stored) *decoded {
	kind, part, name, err := n.parse(m.subject)
	d := &decoded{}
	if kind == kindCursor || kind == kindJob {
		return d
	}
	d.ok = true
	e := &d.entry
	e.Sequence, e.Time, e.Part, e.Size = m.sequence, m.time, part, m.size()
	if kind == kindDirected {
		e.Trigger = name
	} else {
		e.Source = name
	}
	if err == nil {
		err = m.header.Decode(&d.event, m.data)
	}
	if err == nil {
		e.Origin, err = m.header.Origin()
	}
	if err == nil {
		e.Event = &d.event
		return d
	}
	if newer, found := errors.AsType[*event.NewerFormatError](err); found {
		return &decoded{newer: fmt.Errorf("sequence %d: %w", m.sequence, newer)}
	}
	e.Err, e.Header, e.Raw = err, m.header.Map(), m.data
	return d
}

// parse takes a subject of EVENTS apart.
func (n Names) parse(subject string) (kind string, part int, name string, err error) {
	rest, found := strings.CutPrefix(subject, n.Prefix+".")
	kind, rest, _ = strings.Cut(rest, ".")
	if kind == kindCursor || kind == kindJob {
		return kind, 0, rest, nil
	}
	number, name, _ := strings.Cut(rest, ".")
	part, bad := strconv.Atoi(number)
	if !found || (kind != kindEvent && kind != kindDirected) || bad != nil || part < 0 || part >= event.Parts || !token.MatchString(name) {
		return kind, 0, name, fmt.Errorf("subject %q is not one of sluice's: %s.%s.<part>.<source> is", subject, n.Prefix, kindEvent)
	}
	return kind, part, name, nil
}
