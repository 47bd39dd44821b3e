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

func headerSize(header nats.Header) int {
	size := 16
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(value) + 4
		}
	}
	return size
}

func messageSize(msg *nats.Msg) int { return len(msg.Subject) + headerSize(msg.Header) + len(msg.Data) }

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
	header   nats.Header
	data     []byte
}

// entry decodes a stored message; ok is false for cursors and positions. The
// error is a *event.NewerFormatError only: what cannot be decoded otherwise is
// an entry too.
func (n Names) entry(m *stored) (e event.Entry, ok bool, err error) {
	kind, part, name, bad := n.parse(m.subject)
	if kind == kindCursor || kind == kindJob {
		return e, false, nil
	}
	e = event.Entry{Sequence: m.sequence, Time: m.time, Part: part, Size: len(m.subject) + headerSize(m.header) + len(m.data)}
	if kind == kindDirected {
		e.Trigger = name
	} else {
		e.Source = name
	}
	err = bad
	if err == nil {
		err = decode(m, &e)
	}
	if newer, found := errors.AsType[*event.NewerFormatError](err); found {
		return e, false, fmt.Errorf("sequence %d: %w", m.sequence, newer)
	}
	if err != nil {
		e.Event, e.Err, e.Header, e.Raw = nil, err, m.header, m.data
	}
	return e, true, nil
}

func decode(m *stored, e *event.Entry) (err error) {
	if e.Event, err = event.DecodeHeader(m.header, m.data); err != nil {
		return err
	}
	e.Origin, err = event.Origin(m.header)
	return err
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
