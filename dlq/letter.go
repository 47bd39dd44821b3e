// Package dlq keeps dead letters, and replays them and history.
//
// A letter is a delivery that has ended without success: the whole event, and
// what became of each attempt. It lies in a stream of its own, on a subject
// that follows from the delivery's id, so that one delivery has one letter
// however often it is put there.
//
// A replay turns letters into directed entries of the log. The entries and the
// replay's own position are stored together or not at all, and the letters go
// only afterwards: whatever is killed, each letter becomes one entry. A replay of
// history does the same with events that are kept in the log; it takes nothing
// away, and holds what it has still to read.
package dlq

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/event"
)

// The reasons for which a delivery ends as a letter.
const (
	ReasonExhausted   = "exhausted"   // all attempts have failed
	ReasonPermanent   = "permanent"   // the sink has said that another attempt would fail alike
	ReasonExpired     = "expired"     // it has grown too old
	ReasonPoison      = "poison"      // the process went down with it, again and again
	ReasonUndecodable = "undecodable" // the stored message is no event
)

// Reasons returns all of them.
func Reasons() []string {
	return []string{ReasonExhausted, ReasonPermanent, ReasonExpired, ReasonPoison, ReasonUndecodable}
}

// The errors of this package. They are matched with errors.Is.
var (
	// ErrNotFound means that there is no such letter, or no such job.
	ErrNotFound = errors.New("not found")
	// ErrEnded means that a job cannot be cancelled, because it has ended.
	ErrEnded = errors.New("the job has ended")
)

// A Letter is a dead-lettered delivery.
type Letter struct {
	ID event.DeliveryID
	// Source is the name of the sluice source of the event.
	Source string
	// Event is nil when the stored message could not be decoded. Header and Raw
	// then hold it as it was.
	Event  *event.Event
	Header map[string][]string
	Raw    []byte

	// Reason is one of the constants above.
	Reason string
	// Error is what the last attempt came to, and Status the sink's code.
	Error  string
	Status int
	// Attempts are the attempts in order. A letter keeps the first and the last
	// of very many: their numbers tell. Made is how many there were; Put takes it
	// from Attempts when it is 0.
	Attempts []Attempt
	Made     int
	// AcceptedAt is when the log took the event, DiedAt when the delivery ended.
	AcceptedAt, DiedAt time.Time
	// Origin is that of a directed entry: the delivery whose replay has died.
	Origin string
}

// An Attempt is what one attempt came to.
type Attempt struct {
	Number   int           `json:"n"`
	Time     time.Time     `json:"at"`
	Duration time.Duration `json:"ns"`
	Status   int           `json:"status,omitempty"`
	Error    string        `json:"error,omitempty"`
}

// A Summary is a letter without its event.
type Summary struct {
	ID event.DeliveryID
	// Sequence is the letter's position among the letters.
	Sequence uint64
	// Source is the name of the sluice source. EventID, EventSource and Type are
	// the event's own attributes; the beginning of very long ones.
	Source, EventID, EventSource, Type string

	Reason, Error      string
	Status             int
	Made               int // attempts
	AcceptedAt, DiedAt time.Time
	Origin             string
	// Large says where the event's data is kept; nil when it is in the letter.
	Large *event.Large
	// Problem says why the letter cannot be read: a newer sluice has written it,
	// or it is damaged. Only ID and Sequence are known then. Such a letter is
	// left alone by everything.
	Problem string
	newer   bool // the problem is that a newer sluice has written it
}

// subject returns where the letter of a delivery lies.
func subject(prefix string, id event.DeliveryID) string {
	return prefix + ".dl." + id.Trigger + "." + id.Incarnation + "." + strconv.FormatUint(id.Sequence, 10)
}

// parseSubject is the way back.
func parseSubject(prefix, text string) (event.DeliveryID, error) {
	tokens := strings.Split(strings.TrimPrefix(text, prefix+".dl."), ".")
	if len(tokens) != 3 {
		return event.DeliveryID{}, fmt.Errorf("%q is not the subject of a letter", text)
	}
	id, err := event.ParseDeliveryID(tokens[1] + "." + tokens[2] + "." + tokens[0])
	if err != nil || subject(prefix, id) != text {
		return event.DeliveryID{}, fmt.Errorf("%q is not the subject of a letter", text)
	}
	return id, nil
}
