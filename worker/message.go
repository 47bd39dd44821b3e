package worker

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/event"
)

// A refusal ends a delivery.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// Refuse wraps an error so that the delivery is not attempted again: it ends as a
// letter, with the error.
func Refuse(err error) error { return &refusal{err: err} }

// A postponement asks for the next attempt later.
type postponement struct {
	err   error
	after time.Duration
}

func (p *postponement) Error() string { return p.err.Error() }
func (p *postponement) Unwrap() error { return p.err }

// RetryAfter wraps an error so that the next attempt comes not before a time has
// passed.
func RetryAfter(err error, after time.Duration) error { return &postponement{err: err, after: after} }

// maxReason is how much of an error an answer has.
const maxReason = 1 << 10

// answerOf returns the answer that stands for what a handler returned.
func answerOf(err error) *nats.Msg {
	if err == nil {
		return &nats.Msg{Data: []byte(AnswerAck)}
	}
	reason := err.Error()
	answer := &nats.Msg{Data: []byte(AnswerNak), Header: nats.Header{HeaderError: {strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")}}}
	var refused *refusal
	var later *postponement
	switch {
	case errors.As(err, &refused):
		answer.Data = []byte(AnswerTerm)
	case errors.As(err, &later):
		answer.Data = fmt.Appendf(nil, `%s {"delay": %d}`, AnswerNak, later.after)
	}
	return answer
}

// decode reads a delivery in binary or structured mode.
func decode(m *nats.Msg) (*Delivery, error) {
	header := http.Header{}
	for name, values := range m.Header {
		if strings.EqualFold(name, headerDataContentType) || strings.EqualFold(name, headerContentType) {
			name = "Content-Type"
		}
		header[http.CanonicalHeaderKey(name)] = values
	}
	events, mode, err := event.DecodeHTTP(header, m.Data)
	switch {
	case err != nil:
		return nil, err
	case mode == event.ModeNone || len(events) != 1:
		return nil, fmt.Errorf("the message on %q is no CloudEvent: the sink's mode is to be binary or structured", m.Subject)
	}
	if err := events[0].Validate(); err != nil { // somebody else has sent it
		return nil, err
	}
	d := &Delivery{ID: m.Header.Get(HeaderDelivery), Trigger: m.Header.Get(HeaderTrigger), Event: events[0]}
	d.Attempt, _ = strconv.Atoi(m.Header.Get(HeaderAttempt))          // 0 of somebody who is not sluice
	d.Claim, _ = strconv.ParseUint(m.Header.Get(HeaderClaim), 10, 64) // as above
	return d, nil
}

// Where the content type is in a message: that of the data in binary mode (NATS
// binding, section 3.1.3), that of the whole in structured mode (section 3.2).
const (
	headerDataContentType = "ce-datacontenttype"
	headerContentType     = "content-type"
)
