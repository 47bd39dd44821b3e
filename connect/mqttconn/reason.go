package mqttconn

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// A ReasonError is a reason code by which a server refuses something or ends the
// connection (MQTT 5, section 2.4). The codes of 3.1.1 are given as those of 5
// that mean the same.
type ReasonError struct {
	// Code is 0x80 or more.
	Code byte
	// Text is what the server says beside it; empty for nothing.
	Text string
}

// The codes that are asked for.
const (
	Unspecified           = 0x80
	UnsupportedVersion    = 0x84
	BadUserOrPassword     = 0x86
	NotAuthorized         = 0x87
	ServerBusy            = 0x89
	SessionTakenOver      = 0x8e
	TopicFilterInvalid    = 0x8f
	TopicNameInvalid      = 0x90
	PacketTooLarge        = 0x95
	MessageRateTooHigh    = 0x96
	QuotaExceeded         = 0x97
	PayloadFormatInvalid  = 0x99
	RetainNotSupported    = 0x9a
	QoSNotSupported       = 0x9b
	SharedNotSupported    = 0x9e
	WildcardsNotSupported = 0xa2
)

// Error says the name that the specification has for the code.
func (e *ReasonError) Error() string {
	name := reasonName(e.Code)
	if e.Text == "" {
		return fmt.Sprintf("%s (0x%02x)", name, e.Code)
	}
	return fmt.Sprintf("%s (0x%02x): %s", name, e.Code, quote(e.Text))
}

// HasReason tells whether err is or wraps a reason with one of the codes.
func HasReason(err error, codes ...byte) bool {
	var reason *ReasonError
	return errors.As(err, &reason) && slices.Contains(codes, reason.Code)
}

// Ended tells whether err is the reason of a connection that the server has ended,
// and not its answer to one packet.
func Ended(err error) bool { return errors.Is(err, errEnded) }

var errEnded = errors.New("the server has ended the connection")

func reasonName(code byte) string {
	switch code {
	case Unspecified:
		return "unspecified error"
	case 0x81:
		return "malformed packet"
	case 0x82:
		return "protocol error"
	case 0x83:
		return "implementation specific error"
	case UnsupportedVersion:
		return "unsupported protocol version"
	case 0x85:
		return "client identifier not valid"
	case BadUserOrPassword:
		return "bad user name or password"
	case NotAuthorized:
		return "not authorized"
	case 0x88:
		return "server unavailable"
	case ServerBusy:
		return "server busy"
	case 0x8a:
		return "banned"
	case 0x8b:
		return "server shutting down"
	case 0x8c:
		return "bad authentication method"
	case 0x8d:
		return "keep alive timeout"
	case SessionTakenOver:
		return "session taken over"
	case TopicFilterInvalid:
		return "topic filter invalid"
	case TopicNameInvalid:
		return "topic name invalid"
	}
	return laterReasonName(code)
}

func laterReasonName(code byte) string {
	names := [...]string{
		"packet identifier in use", "packet identifier not found", "receive maximum exceeded", "topic alias invalid",
		"packet too large", "message rate too high", "quota exceeded", "administrative action",
		"payload format invalid", "retain not supported", "QoS not supported", "use another server",
		"server moved", "shared subscriptions not supported", "connection rate exceeded", "maximum connect time",
		"subscription identifiers not supported", "wildcard subscriptions not supported",
	}
	const first = 0x91
	if code < first || int(code) >= first+len(names) {
		return "a reason that MQTT 5 does not have"
	}
	return names[code-first]
}

// reasonOf returns the error of a code, or nil for one below 0x80.
func reasonOf(code byte, text string) error {
	if code < Unspecified {
		return nil
	}
	return &ReasonError{Code: code, Text: text}
}

// quote returns foreign text for a message: escaped, and cut when it is long.
func quote(text string) string {
	const most = 200
	if len(text) <= most {
		return strconv.Quote(text)
	}
	return strconv.Quote(text[:most]) + "…"
}
