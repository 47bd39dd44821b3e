package main

import (
	"bytes"
	"errors"
	"fmt"
)

var errNoEvents = errors.New("the body is neither a CloudEvent in JSON nor an array of them, each with an id without escapes")

// scanIDs returns the ids of the events in a body, which is one in JSON or an
// array of them. It looks at no more than it takes to tell the events apart and
// find their ids: the worker shares the processors with what is measured, and is
// the same for all.
func scanIDs(text []byte) ([]string, error) {
	text = bytes.TrimSpace(text)
	members := 1 // the depth at which the attributes stand
	if bytes.HasPrefix(text, []byte{'['}) {
		members = 2
	}
	var ids []string
	depth, events := 0, 0
	named, isID := false, false // what a member begins with has come, and it is its id
	for at := 0; at < len(text); at++ {
		switch text[at] {
		case '{', '[':
			if depth++; depth == members {
				events, named = events+1, false
			}
		case '}', ']':
			depth--
		case ',':
			named = named && depth != members
		case '"':
			end, plain := stringEnd(text, at+1)
			if end < 0 {
				return nil, errNoEvents
			}
			value := text[at+1 : end]
			at = end
			switch {
			case depth != members:
			case !named:
				named, isID = true, string(value) == "id"
			case isID && plain:
				ids = append(ids, string(value))
			}
		}
	}
	if depth != 0 || len(ids) != events {
		return nil, fmt.Errorf("%w: %d ids of %d events", errNoEvents, len(ids), events)
	}
	return ids, nil
}

// stringEnd returns where the string ends that begins at a place, -1 when it
// does not, and whether there are no escapes in it.
func stringEnd(text []byte, from int) (end int, plain bool) {
	plain = true
	for at := from; ; {
		next := bytes.IndexByte(text[at:], '"')
		if next < 0 {
			return -1, plain
		}
		escape := bytes.IndexByte(text[at:at+next], '\\')
		if escape < 0 {
			return at + next, plain
		}
		plain = false
		at = min(at+escape+2, len(text))
	}
}
