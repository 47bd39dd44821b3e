package config

import (
	"fmt"
	"time"
)

// beginning is how a Start is written that means all history that is kept.
const beginning = "beginning"

// A Start says where a trigger begins that is new: so long ago (24h, 7d), at a
// time (2026-03-29T02:30:00Z), or at the beginning. The zero Start means: with
// what comes from now on.
type Start struct {
	ago       Duration
	at        time.Time
	beginning bool
}

// UnmarshalText reads a start. It may not lie in the future: events from before
// it would be left out for ever, and not by what the file says.
func (s *Start) UnmarshalText(text []byte) error {
	if string(text) == beginning {
		*s = Start{beginning: true}
		return nil
	}
	if at, err := time.Parse(time.RFC3339, string(text)); err == nil {
		if at.After(time.Now()) {
			return fmt.Errorf("%s lies in the future: a trigger starts from events that are there; leave this out for those that come from now on", text)
		}
		*s = Start{at: at}
		return nil
	}
	var ago Duration
	if err := ago.UnmarshalText(text); err != nil || ago == 0 {
		return fmt.Errorf("%q is no start: write how long ago, such as 24h or 7d, a time such as 2026-03-29T02:30:00Z, or beginning", text)
	}
	*s = Start{ago: ago}
	return nil
}

// MarshalText returns the start as it is written.
func (s Start) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns the start as it is written; nothing for the zero Start.
func (s Start) String() string {
	switch {
	case s.beginning:
		return beginning
	case s.ago > 0:
		return s.ago.String()
	case s.at.IsZero():
		return ""
	}
	return s.at.Format(time.RFC3339Nano)
}

// Time returns the time that is meant, when it is now: the zero time for what
// comes from now on, and the year 1970 for the beginning.
func (s Start) Time(now time.Time) time.Time {
	switch {
	case s.beginning:
		return time.Unix(0, 0)
	case s.ago > 0:
		return now.Add(-time.Duration(s.ago))
	}
	return s.at
}
