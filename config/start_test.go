package config

import (
	"strings"
	"testing"
	"time"
)

func TestStart(t *testing.T) {
	now := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"24h": now.Add(-24 * time.Hour), "7d": now.Add(-7 * 24 * time.Hour), "beginning": time.Unix(0, 0),
		"2026-03-28T02:30:00Z": time.Date(2026, 3, 28, 2, 30, 0, 0, time.UTC),
	} {
		var s Start
		if err := s.UnmarshalText([]byte(text)); err != nil || !s.Time(now).Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, s.Time(now), err, want)
		}
		var again Start
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%s: written as %s, which is read as %+v, %v", text, s, again, err)
		}
	}
	if zero := (Start{}); !zero.Time(now).IsZero() || zero.String() != "" {
		t.Errorf("the zero start is %v, %q", zero.Time(now), zero)
	}
}

func TestStartRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"0s": "is no start", "-1h": "is no start", "yesterday": "is no start", "2026-03-29": "is no start", "": "is no start",
		"2999-01-01T00:00:00Z": "lies in the future",
	} {
		var s Start
		if err := s.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
