package dlq

import (
	"encoding/json"
	"time"
)

// A stamp is a time as it is stored: nanoseconds since 1970, or 0 for none.
// Unlike a time in text it can always be written and read.
type stamp time.Time

func (s stamp) time() time.Time { return time.Time(s) }

// MarshalJSON writes the number.
func (s stamp) MarshalJSON() ([]byte, error) {
	t := time.Time(s)
	if t.IsZero() {
		return []byte("0"), nil
	}
	return json.Marshal(t.UnixNano())
}

// UnmarshalJSON reads the number.
func (s *stamp) UnmarshalJSON(text []byte) error {
	var nanoseconds int64
	if err := json.Unmarshal(text, &nanoseconds); err != nil {
		return err
	}
	*s = stamp{}
	if nanoseconds != 0 {
		*s = stamp(time.Unix(0, nanoseconds).UTC())
	}
	return nil
}
