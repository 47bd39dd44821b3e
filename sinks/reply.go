package sinks

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"sluice/event"
)

const (
	// AttributeHops is the extension attribute that counts how many replies an
	// event is away from one that a source has published.
	AttributeHops = "sluicehops"
	// DefaultMaxHops is how many there may be unless the sink says otherwise.
	DefaultMaxHops = 8
	// ReplyType is the type of events that are made of plain answers.
	ReplyType = "sluice.reply"
)

// CompleteReplies makes what a worker has answered a delivery with ready to be
// published under a name: an event without an id gets one from the delivery
// and its place, one without a source gets the name, and each counts one hop
// more than the event that was delivered, whatever the worker has said.
//
// Its errors are permanent: over maxHops, and an event that breaks the
// specification.
func CompleteReplies(d *Delivery, name string, maxHops int, replies []event.Event) error {
	hops := Hops(d.Event) + 1
	if len(replies) > 0 && hops > maxHops {
		return Permanent(fmt.Errorf("the reply would be hop %d and max_hops is %d: a reply has led to a reply again and again, so that there may be a cycle of triggers", hops, maxHops))
	}
	for i := range replies {
		e := &replies[i]
		if e.ID == "" {
			e.ID = d.ID + "." + strconv.Itoa(i)
		}
		if e.Source == "" {
			e.Source = "/" + name
		}
		if err := e.SetExtension(AttributeHops, hops); err != nil {
			return Permanent(fmt.Errorf("event %d of the reply: %w", i, err))
		}
		if err := e.Validate(); err != nil {
			return Permanent(fmt.Errorf("event %d of the reply: %s", i, strings.ReplaceAll(err.Error(), "\n", "; ")))
		}
	}
	return nil
}

// Hops returns how many replies an event is away from one that a source has
// published. What came from outside with a count goes on from it; anything else
// than a count is none.
func Hops(e *event.Event) int {
	hops, err := strconv.ParseUint(e.Extension(AttributeHops), 10, 31)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return int(hops)
}
