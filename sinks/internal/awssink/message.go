package awssink

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice/config"
	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
	"sluice/worker"
)

// A Mode says how an event becomes a message.
type Mode string

// The modes. There is no binary mode: a message of SQS has room for ten
// attributes.
const (
	// Raw sends the data alone.
	Raw Mode = "raw"
	// Structured sends the whole event as JSON.
	Structured Mode = "structured"
)

const (
	// maxAttributes is how many a message of SQS has at most.
	maxAttributes = 10
	// ownAttributes are those that each message has.
	ownAttributes = 4
	// contentType is the attribute that says what the body is.
	contentType = "content-type"
)

// Messages are the keys of a section whose sink sends messages.
type Messages struct {
	Mode Mode `yaml:"mode"`
	// Attributes are added to each message; their values may be templates. At most
	// six: a message has ten.
	Attributes map[string]string `yaml:"attributes"`
	// Group is the message group of FIFO queues and topics; it may be a template.
	// Empty for the partitionkey, or for the event's id where there is none.
	Group string `yaml:"group"`
}

// The names of attributes, by the service's guide.
var attributeName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// Validate returns everything that is wrong, each problem with its key.
func (m *Messages) Validate(fifo bool) error {
	problems := []error{config.OneOf("mode", m.Mode, Raw, Structured)}
	for _, name := range slices.Sorted(maps.Keys(m.Attributes)) {
		lower := strings.ToLower(name)
		switch {
		case !attributeName.MatchString(name) || len(name) > 256 || strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon."):
			problems = append(problems, config.Invalid("attributes."+name, "it is no name of an attribute: letters, digits, _, - and single dots, and not AWS. or Amazon. in front"))
		case strings.HasPrefix(lower, "sluice-") || lower == contentType:
			problems = append(problems, config.Invalid("attributes."+name, "this name is taken: every message has it"))
		}
		_, err := NewText("attributes."+name, m.Attributes[name])
		problems = append(problems, err)
	}
	if len(m.Attributes) > maxAttributes-ownAttributes {
		problems = append(problems, config.Invalid("attributes", "found %d; a message has room for %d beside those of its own", len(m.Attributes), maxAttributes-ownAttributes))
	}
	if m.Group != "" && !fifo {
		problems = append(problems, config.Invalid("group", "it is for FIFO: the name ends with .fifo there; leave it out"))
	}
	_, err := NewText("group", m.Group)
	return errors.Join(append(problems, err)...)
}

// A Message is what a delivery becomes.
type Message struct {
	Body       string
	Attributes map[string]string
	// Group and Deduplication are for FIFO.
	Group, Deduplication string
	// Extra are the texts that the sink has asked for besides.
	Extra []string
}

// Size returns what the message counts, in bytes.
func (m *Message) Size() int {
	size := len(m.Body)
	for name, value := range m.Attributes {
		size += len(name) + len("String") + len(value)
	}
	return size
}

// A Maker makes messages.
type Maker struct {
	mode       Mode
	fifo       bool
	turns      *transform.Turns
	group      *Text // nil for the partitionkey
	attributes []namedText
	extra      []Text
	variable   bool // there is a template
}

type namedText struct {
	name string
	Text
}

// NewMaker returns a maker. The extra texts are filled with the others.
func NewMaker(m *Messages, fifo bool, turns *transform.Turns, extra ...Text) (*Maker, error) {
	maker := &Maker{mode: m.Mode, fifo: fifo, turns: turns, extra: extra}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(m.Attributes)) {
		text, err := NewText("attributes."+name, m.Attributes[name])
		problems = append(problems, err)
		maker.attributes = append(maker.attributes, namedText{name, text})
		maker.variable = maker.variable || text.IsTemplate()
	}
	if m.Group != "" {
		text, err := NewText("group", m.Group)
		problems = append(problems, err)
		maker.group = &text
		maker.variable = maker.variable || text.IsTemplate()
	}
	for _, text := range extra {
		maker.variable = maker.variable || text.IsTemplate()
	}
	return maker, errors.Join(problems...)
}

// Make returns the message of a delivery. Its errors are those of sinks.
func (m *Maker) Make(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) (Message, error) {
	made := Message{Attributes: map[string]string{
		worker.HeaderDelivery: d.ID, worker.HeaderAttempt: strconv.Itoa(d.Attempt), worker.HeaderTrigger: a.Trigger,
	}}
	if m.mode == Structured {
		made.Body, made.Attributes[contentType] = string(sinks.Named(d).AppendJSON(nil)), event.MediaTypeJSON
	} else {
		made.Body, made.Attributes[contentType] = rawBody(d.Event)
	}
	if made.Attributes[contentType] == "" {
		delete(made.Attributes, contentType)
	}
	if m.fifo {
		made.Group, made.Deduplication = token(or(d.Event.PartitionKey(), d.Event.ID)), token(d.ID)
	}
	if !m.variable {
		return made, m.fill(ctx, nil, &made)
	}
	return made, sinks.Fill(ctx, m.turns, d.Event, func(ctx context.Context, in *transform.Input) error { return m.fill(ctx, in, &made) })
}

// fill sets what the section says.
func (m *Maker) fill(ctx context.Context, in *transform.Input, made *Message) error {
	for i := range m.attributes {
		value, err := m.attributes[i].Fill(ctx, in)
		if err != nil {
			return err
		}
		if value != "" { // an attribute has a value
			if !sendable(value) {
				return fmt.Errorf("attributes.%s: it yields %q, which has a control character that no message may have", m.attributes[i].name, value)
			}
			made.Attributes[m.attributes[i].name] = value
		}
	}
	if m.group != nil {
		group, err := m.group.Fill(ctx, in)
		if err != nil {
			return err
		}
		made.Group = token(group)
	}
	made.Extra = make([]string, len(m.extra))
	for i := range m.extra {
		var err error
		if made.Extra[i], err = m.extra[i].Fill(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

// rawBody returns the data as a text that a message may have: what is none is
// base64, and none at all null.
func rawBody(e *event.Event) (body, mediaType string) {
	switch {
	case len(e.Data) == 0:
		return "null", "application/json"
	case !utf8.Valid(e.Data) || !sendable(string(e.Data)):
		return base64.StdEncoding.EncodeToString(e.Data), e.DataContentType
	}
	return string(e.Data), e.DataContentType
}

// sendable tells whether a message may have the text: #x9, #xA, #xD, #x20 to
// #xD7FF, #xE000 to #xFFFD, #x10000 to #x10FFFF.
func sendable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 0x20 && r != '\t' && r != '\n' && r != '\r') || r == 0xfffe || r == 0xffff
	})
}

// tokens are what groups and ids for de-duplication may be.
var tokens = regexp.MustCompile(`^[\x21-\x7e]{1,128}$`)

// token returns a text as such a one: a text that is none is hashed, and an empty
// one is a group of its own.
func token(text string) string {
	if tokens.MatchString(text) {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
