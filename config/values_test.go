package config

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"250ms": 250 * time.Millisecond, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "0s": 0} {
		var got Duration
		if err := got.UnmarshalText([]byte(text)); err != nil || time.Duration(got) != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "-1s", "1.5d", "d", "-1d", "99999d", "soon", "1 h", "1s\x1b"} {
		var got Duration
		err := got.UnmarshalText([]byte(text))
		if err == nil || got != 0 {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"512KiB": 512 << 10, "1.5GiB": 3 << 29, "10MB": 1e7, "0B": 0, "64 MiB": 64 << 20} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "-1B", "KiB", "NaNB", "InfMB", "9999999TiB", "1kb", "1e400B"} {
		var got Size
		err := got.UnmarshalText([]byte(text))
		if err == nil || got != 0 {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

// What is printed of a value is read as the same value.
func TestValuesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Range(0, 1<<60).Draw(t, "duration"))
		s := Size(rapid.Int64Range(0, 1<<52).Draw(t, "size"))
		var d2 Duration
		var s2 Size
		if err := d2.UnmarshalText([]byte(d.String())); err != nil || d2 != d {
			t.Fatalf("%s is read as %s, %v", d, d2, err)
		}
		if err := s2.UnmarshalText([]byte(s.String())); err != nil || s2 != s {
			t.Fatalf("%s is read as %s, %v", s, s2, err)
		}
	})
}
