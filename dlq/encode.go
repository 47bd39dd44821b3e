package dlq

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"sluice/event"
)

const (
	// headerLetter holds the meta of a letter as JSON.
	headerLetter = "Sluice-Letter"
	// formatVersion is the version of the stored form of a letter.
	formatVersion = 1
	// The most that the headers of one message, and the meta among them, may
	// take. A server takes 64 KiB.
	maxHeader = 60 << 10
	maxMeta   = 40 << 10
	// The most that is kept of an attribute in the meta.
	maxAttribute = 1 << 10
)

// A meta is what a letter says beside its event.
type meta struct {
	Version     int       `json:"v"`
	Source      string    `json:"source,omitempty"`
	EventID     string    `json:"event_id,omitempty"`
	EventSource string    `json:"event_source,omitempty"`
	Type        string    `json:"type,omitempty"`
	Reason      string    `json:"reason"`
	Error       string    `json:"error,omitempty"`
	Status      int       `json:"status,omitempty"`
	Made        int       `json:"made"`
	Attempts    []Attempt `json:"attempts,omitempty"`
	AcceptedAt  stamp     `json:"accepted"`
	DiedAt      stamp     `json:"died"`
	Origin      string    `json:"origin,omitempty"`
	// Packed is the length of the header block that stands before the data:
	// the form of events whose headers leave no room for the meta, and of
	// messages that could not be decoded.
	Packed int `json:"packed,omitempty"`
	// Raw marks a message that could not be decoded.
	Raw bool `json:"raw,omitempty"`
}

// limits is how much of the attempts is kept.
type limits struct{ attempts, text int }

// What is kept, from the usual to what fits whatever the texts are: a control
// character takes six bytes in JSON.
var steps = []limits{{50, 512}, {50, 256}, {50, 128}, {20, 128}, {10, 64}, {2, 32}}

// encode makes the message of a letter.
func encode(prefix string, l *Letter) (*nats.Msg, error) {
	m := newMeta(l)
	msg := nats.NewMsg(subject(prefix, l.ID))
	if l.Event != nil {
		msg.Header, msg.Data = event.EncodeHeader(l.Event), l.Event.Data
	} else {
		msg.Header, msg.Data = l.Header, l.Raw
	}
	if m.Raw || headerSize(msg.Header)+maxMeta > maxHeader {
		if err := pack(msg, m); err != nil {
			return nil, err
		}
	}
	text, err := m.fit(l.Attempts)
	if err != nil {
		return nil, err
	}
	msg.Header.Set(headerLetter, text)
	return msg, nil
}

func newMeta(l *Letter) *meta {
	m := &meta{
		Version: formatVersion, Source: cut(l.Source, maxAttribute), Reason: cut(l.Reason, maxAttribute),
		Error: cut(l.Error, steps[0].text), Status: l.Status, Made: max(l.Made, len(l.Attempts)),
		AcceptedAt: stamp(l.AcceptedAt), DiedAt: stamp(l.DiedAt), Origin: cut(l.Origin, maxAttribute), Raw: l.Event == nil,
	}
	if e := l.Event; e != nil {
		m.EventID, m.EventSource, m.Type = cut(e.ID, maxAttribute), cut(e.Source, maxAttribute), cut(e.Type, maxAttribute)
	}
	return m
}

// fit returns the meta as JSON, with as much of the attempts as there is room
// for.
func (m *meta) fit(attempts []Attempt) (string, error) {
	for _, step := range steps {
		m.Attempts = trim(attempts, step)
		text, err := json.Marshal(m)
		if err != nil {
			return "", fmt.Errorf("encoding the letter: %w", err)
		}
		if len(text) <= maxMeta {
			return string(text), nil
		}
	}
	return "", fmt.Errorf("encoding the letter: its meta is over %d bytes", maxMeta)
}

// trim keeps the first and the last attempts, and the beginnings of texts.
func trim(attempts []Attempt, keep limits) []Attempt {
	kept := make([]Attempt, 0, min(len(attempts), keep.attempts))
	for i, a := range attempts {
		if i >= keep.attempts/2 && len(attempts)-i > keep.attempts-keep.attempts/2 {
			continue
		}
		a.Error = cut(a.Error, keep.text)
		kept = append(kept, a)
	}
	return kept
}

// cut returns at most n bytes of text, and no half character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// headerSize is what a header takes in a message.
func headerSize(header nats.Header) int {
	size := len("NATS/1.0\r\n\r\n")
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	return size
}

// pack moves the headers before the data.
func pack(msg *nats.Msg, m *meta) error {
	var flat [][]byte // name, value, name, value
	for name, values := range msg.Header {
		for _, value := range values {
			flat = append(flat, []byte(name), []byte(value))
		}
	}
	block, err := json.Marshal(flat)
	if err != nil {
		return fmt.Errorf("encoding the letter: %w", err)
	}
	m.Packed = len(block)
	msg.Data = append(block, msg.Data...)
	large := msg.Header[event.HeaderLarge]
	msg.Header = nats.Header{}
	if len(large) > 0 {
		msg.Header[event.HeaderLarge] = large // Objects looks for it here
	}
	return nil
}

// decode reads the message of a letter. It returns a *event.NewerFormatError,
// wrapped, for what a newer sluice has written. The letter shares data's memory.
func decode(id event.DeliveryID, header nats.Header, data []byte) (*Letter, error) {
	m, err := decodeMeta(header, true)
	if err != nil {
		return nil, err
	}
	l := &Letter{
		ID: id, Source: m.Source, Reason: m.Reason, Error: m.Error, Status: m.Status, Attempts: m.Attempts, Made: m.Made,
		AcceptedAt: m.AcceptedAt.time(), DiedAt: m.DiedAt.time(), Origin: m.Origin,
	}
	inner := map[string][]string(header)
	if m.Packed != 0 {
		if inner, data, err = unpack(data, m.Packed); err != nil {
			return nil, err
		}
	}
	if m.Raw {
		l.Header, l.Raw = inner, data
		return l, nil
	}
	if l.Event, err = event.DecodeHeader(inner, data); err != nil {
		return nil, fmt.Errorf("the event of the letter: %w", err)
	}
	return l, nil
}

// decodeMeta reads the meta, its attempts too when they are wanted.
func decodeMeta(header nats.Header, attempts bool) (*meta, error) {
	text := header.Get(headerLetter)
	if text == "" {
		return nil, fmt.Errorf("the header %s is missing: the message is no letter", headerLetter)
	}
	m := &meta{}
	into := any(m)
	if !attempts {
		into = &struct {
			*meta
			Attempts skipped `json:"attempts"`
		}{meta: m}
	}
	unread := json.Unmarshal([]byte(text), into)
	version := m.Version
	if unread != nil {
		// A newer one may have other types. What is no JSON has no version either.
		var only struct {
			Version int `json:"v"`
		}
		if err := json.Unmarshal([]byte(text), &only); err != nil {
			return nil, fmt.Errorf("the header %s: %w", headerLetter, err)
		}
		version = only.Version
	}
	switch {
	case version > formatVersion:
		return nil, fmt.Errorf("the letter: %w", &event.NewerFormatError{Version: version})
	case version < 1:
		return nil, fmt.Errorf("the header %s: %d is not a version of letters", headerLetter, version)
	case unread != nil:
		return nil, fmt.Errorf("the header %s: %w", headerLetter, unread)
	}
	return m, nil
}

// skipped is a value of JSON that is not looked into.
type skipped struct{}

// UnmarshalJSON does nothing.
func (skipped) UnmarshalJSON([]byte) error { return nil }

func unpack(data []byte, length int) (map[string][]string, []byte, error) {
	if length < 0 || length > len(data) {
		return nil, nil, fmt.Errorf("the letter's header block of %d bytes is not whole: %d bytes are there", length, len(data))
	}
	var flat [][]byte
	if err := json.Unmarshal(data[:length], &flat); err != nil {
		return nil, nil, fmt.Errorf("the letter's header block: %w", err)
	}
	if len(flat)%2 != 0 {
		return nil, nil, fmt.Errorf("the letter's header block has a name without a value")
	}
	header := make(map[string][]string, len(flat)/2)
	for i := 0; i < len(flat); i += 2 {
		name := string(flat[i])
		header[name] = append(header[name], string(flat[i+1]))
	}
	return header, data[length:], nil
}

// summarize reads the headers of a letter.
func summarize(id event.DeliveryID, sequence uint64, header nats.Header) Summary {
	s := Summary{ID: id, Sequence: sequence}
	if value := header.Get(event.HeaderLarge); value != "" {
		s.Large, _ = event.ParseLarge(value) // what is wrong with it is found below
	}
	m, err := decodeMeta(header, false)
	if err == nil && m.Packed == 0 && !m.Raw {
		_, err = event.DecodeHeader(header, nil)
	}
	if err != nil {
		s.Problem = err.Error()
		_, s.newer = errors.AsType[*event.NewerFormatError](err)
		return s
	}
	s.Source, s.EventID, s.EventSource, s.Type = m.Source, m.EventID, m.EventSource, m.Type
	s.Reason, s.Error, s.Status, s.Made = m.Reason, m.Error, m.Status, m.Made
	s.AcceptedAt, s.DiedAt, s.Origin = m.AcceptedAt.time(), m.DiedAt.time(), m.Origin
	return s
}
