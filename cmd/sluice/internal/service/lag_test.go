package service

import (
	"encoding/json"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/admin"
)

type lagging struct {
	age   time.Duration
	items int64
}

func (l lagging) Lag() (time.Duration, int64) { return l.age, l.items }

// What a source cannot know of its lag is absent, and not a number.
func TestUnknownLagIsAbsent(t *testing.T) {
	for want, lag := range map[string]lagging{
		`"lag_seconds":1.5,"lag_items":2`: {1500 * time.Millisecond, 2},
		`"lag_items":2`:                   {-1, 2},
		`"lag_seconds":0`:                 {0, -1},
		``:                                {-1, -1},
	} {
		var seen, none admin.Source
		fillLag(&seen, lag)
		got, err := json.Marshal(&seen)
		if err != nil {
			t.Fatal(err)
		}
		expected, err := json.Marshal(&none)
		if err != nil {
			t.Fatal(err)
		}
		text := string(expected)
		if want != "" {
			text = text[:len(text)-1] + "," + want + "}"
		}
		if string(got) != text {
			t.Errorf("%+v: %s, want %s", lag, got, text)
		}
	}
}
