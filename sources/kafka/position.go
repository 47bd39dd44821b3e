package kafka

import "fmt"

// none is an offset that is not there.
const none = -1

// A standing is what is known of a partition when it is taken.
type standing struct {
	cursor    *cursor // nil for none
	committed int64   // by the group; none for nothing
	beginning int64   // by start; none for the oldest record
	topic     string  // the topic's id now; empty where brokers give none
	start     int64   // the oldest record that is there
	end       int64   // the record that comes next
}

// A loss is what cannot be read any more.
type loss struct {
	from, to int64 // offsets; to is the first one that is read again
	reason   string
}

func (l *loss) Error() string {
	return fmt.Sprintf("the records from offset %d to %d are lost: %s", l.from, l.to, l.reason)
}

// locate decides where a partition is read from. The loss tells what is gone;
// with LostFail the position is not to be used then.
func locate(s standing, onLost OnLost) (at cursor, lost *loss) {
	at = cursor{Topic: s.topic}
	switch c := s.cursor; {
	case c != nil && c.Topic != "" && s.topic != "" && c.Topic != s.topic:
		return renewed(s, at, onLost)
	case c != nil:
		at.Offset, at.Generation = c.Offset, c.Generation
		if at.Topic == "" {
			at.Topic = c.Topic
		}
	case s.committed != none:
		at.Offset = s.committed
	case s.beginning != none:
		at.Offset = s.beginning
	default:
		at.Offset = s.start
	}
	switch {
	case at.Offset < s.start:
		return expired(s, at, onLost)
	case at.Offset > s.end:
		return cut(s, at, onLost)
	}
	return at, nil
}

// renewed is the position in a topic that was deleted and created again.
func renewed(s standing, at cursor, onLost OnLost) (cursor, *loss) {
	at.Offset = s.start
	if onLost == LostLatest {
		at.Offset = s.end
	}
	return at, &loss{from: s.cursor.Offset, to: at.Offset, reason: "the topic was deleted and created again; what had not been read of the old one is gone"}
}

// expired is the position when records were deleted before they were read.
func expired(s standing, at cursor, onLost OnLost) (cursor, *loss) {
	lost := &loss{from: at.Offset, to: s.start, reason: "they were deleted, by the topic's retention or by hand, before they were read"}
	if onLost == LostLatest {
		lost.to = s.end
	}
	at.Offset = lost.to
	return at, lost
}

// cut is the position when the log ends before it. Where topics have ids it is
// still the same log: what is there was read. Where they have none it may be
// another topic of the same name, of which nothing was read.
func cut(s standing, at cursor, onLost OnLost) (cursor, *loss) {
	lost := &loss{from: at.Offset, to: s.end, reason: "the log ends before them: the brokers have lost its end"}
	if s.topic == "" && onLost != LostLatest {
		lost.to = s.start
		lost.reason = "the log ends before them: the brokers have lost its end, or the topic was created again"
	}
	at.Offset, at.Generation = lost.to, at.Generation+1
	return at, lost
}
