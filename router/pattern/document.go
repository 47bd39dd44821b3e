package pattern

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"sluice/event"
)

// A Doc is an event as patterns see it: CloudEvents JSON, with attributes and
// extensions at the top and the payload under data (JSON format 1.0.2). It may
// be used by many goroutines at the same time.
type Doc struct {
	event *event.Event // or
	tree  *tree
	load  Loader
	data  atomic.Pointer[payload]
	body  atomic.Pointer[body]
}

// A body is data that was kept apart from its event, or why it is not there.
type body struct {
	data []byte
	err  error
}

// A Loader returns the data of an event that is kept apart from it.
type Loader func(*event.Large) ([]byte, error)

// MaxData is the most data that patterns look into, in bytes: taking it apart
// needs many times as much memory. More than that matches no pattern that asks
// for data.
const MaxData = 8 << 20

// A payload is the data of an event, taken apart when a pattern first asks.
type payload struct {
	tree   *tree  // of data; nil if there is none
	binary string // data_base64
	err    error  // why data that should be JSON cannot be looked into
	lost   bool   // it will never be there: err says why
}

// FromJSON reads an event as it stands: any JSON object.
func FromJSON(raw []byte) (*Doc, error) {
	t, err := parseTree(raw)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", positioned(raw, err))
	}
	if t.nodes[0].kind != kindObject {
		v := value{kind: t.nodes[0].kind, text: t.nodes[0].leaf.text}
		return nil, fmt.Errorf("an event must be a JSON object, not %s", v.describe())
	}
	return &Doc{tree: t}, nil
}

// FromEvent is an event as it would stand in JSON. Nothing is parsed until a
// pattern looks into the data. Data that is not JSON is the string or the base64
// that the JSON format makes of it; data that is declared to be JSON, but is
// not, matches no pattern that looks into it.
func FromEvent(e *event.Event) *Doc { return &Doc{event: e} }

// FromStored is an event whose data may be kept apart. It is loaded when a
// pattern looks into it; LoadError must be asked afterwards. Data that is lost,
// of which the loader returns event.ErrLost, matches whatever is asked of it:
// nobody can tell that it did not.
func FromStored(e *event.Event, load Loader) *Doc { return &Doc{event: e, load: load} }

// LoadError says why data that a pattern has asked for could not be loaded now:
// then no verdict on the event means anything.
func (d *Doc) LoadError() error {
	if b := d.body.Load(); b != nil && !errors.Is(b.err, event.ErrLost) {
		return b.err
	}
	return nil
}

// Lost says why data that a pattern has asked for will never be there; nil unless
// it is lost.
func (d *Doc) Lost() error {
	if b := d.body.Load(); b != nil && errors.Is(b.err, event.ErrLost) {
		return b.err
	}
	return nil
}

// DataError says why data that is declared to be JSON cannot be looked into; it
// is nil if it can.
func (d *Doc) DataError() error {
	if d.event == nil {
		return nil
	}
	return d.payload().err
}

// attribute returns a value from the top of an event, other than data.
func (d *Doc) attribute(name string) (leaf, bool) {
	e := d.event
	text := ""
	switch name {
	case "specversion":
		text = event.SpecVersion
	case "id":
		text = e.ID
	case "source":
		text = e.Source
	case "type":
		text = e.Type
	case "subject":
		text = e.Subject
	case "time":
		if !e.Time.IsZero() {
			text = e.Time.Format(time.RFC3339Nano)
		}
	case "datacontenttype":
		text = e.DataContentType
	case "dataschema":
		text = e.DataSchema
	case "data_base64":
		text = d.payload().binary
	default:
		value, found := e.Extensions[name]
		return extension(value), found
	}
	return newLeaf(kindString, text), text != ""
}

func extension(value any) leaf {
	switch v := value.(type) {
	case string:
		return newLeaf(kindString, v)
	case bool:
		return newLeaf(kindBool, strconv.FormatBool(v))
	case int32:
		return newLeaf(kindNumber, strconv.Itoa(int(v)))
	default:
		return newLeaf(kindString, fmt.Sprint(v))
	}
}

func (d *Doc) payload() *payload {
	if p := d.data.Load(); p != nil {
		return p
	}
	data, err := d.read()
	p := &payload{err: err, lost: errors.Is(err, event.ErrLost)}
	if err == nil {
		p = readPayload(&event.Event{DataContentType: d.event.DataContentType, Data: data})
	}
	d.data.Store(p)
	return p
}

// read returns the data of the event, wherever it is, unless there is too much
// of it.
func (d *Doc) read() ([]byte, error) {
	e := d.event
	switch {
	case e.Len() > MaxData:
		return nil, fmt.Errorf("the data has %d bytes: patterns look into at most %d", e.Len(), MaxData)
	case e.Large == nil:
		return e.Data, nil
	}
	b := d.body.Load()
	if b == nil {
		b = &body{err: errors.New("the data is kept apart from the event")}
		if d.load != nil {
			b.data, b.err = d.load(e.Large)
		}
		d.body.Store(b)
	}
	return b.data, b.err
}

func readPayload(e *event.Event) *payload {
	switch {
	case len(e.Data) == 0:
		return &payload{}
	case !event.IsJSON(e.DataContentType):
		return readOpaque(e)
	case !utf8.Valid(e.Data):
		p := readOpaque(e)
		p.err = errors.New("the data is not valid UTF-8")
		return p
	}
	t, err := parseTree(e.Data)
	if err != nil {
		p := readOpaque(e)
		p.err = fmt.Errorf("the data is not JSON: %w", positioned(e.Data, err))
		return p
	}
	return &payload{tree: t}
}

// readOpaque reads data as the JSON format encodes what is not JSON.
func readOpaque(e *event.Event) *payload {
	bare := event.Event{DataContentType: e.DataContentType, Data: e.Data}
	t, err := parseTree(bare.AppendJSON(nil))
	if err != nil {
		return &payload{err: err} // not reached: it was encoded just now
	}
	p := &payload{}
	if i := t.member(0, "data"); i != 0 {
		p.tree = &tree{nodes: []item{t.nodes[i]}}
	}
	if i := t.member(0, "data_base64"); i != 0 {
		p.binary = t.nodes[i].leaf.text
	}
	return p
}

// positioned adds line and column to a syntax error in raw.
func positioned(raw []byte, err error) error {
	offset, ok := syntaxOffset(err)
	if !ok {
		return err
	}
	before := raw[:min(max(offset-1, 0), len(raw))]
	line := bytes.Count(before, []byte{'\n'}) + 1
	return fmt.Errorf("line %d, column %d: %w", line, len(before)-bytes.LastIndexByte(before, '\n'), err)
}
