package config

import (
	"encoding"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// The value types that sections use beside Go's own. Each is written as text.
var (
	_ encoding.TextUnmarshaler = (*Duration)(nil)
	_ encoding.TextUnmarshaler = (*Size)(nil)
	_ encoding.TextUnmarshaler = (*Secret)(nil)
	_ slog.LogValuer           = Secret{}
)

// A Duration is written as Go writes it, with days besides: 250ms, 1h30m, 7d.
type Duration time.Duration

// UnmarshalText reads a duration; it may not be negative.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := parseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration: write a number with a unit, such as 250ms, 30s, 5m, 6h or 7d", text)
	}
	*d = Duration(parsed)
	return nil
}

func parseDuration(text string) (time.Duration, error) {
	if days, found := strings.CutSuffix(text, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	parsed, err := time.ParseDuration(text)
	if err == nil && parsed < 0 {
		err = strconv.ErrRange
	}
	return parsed, err
}

// String returns the duration as it is written, without units of which there is
// nothing: 1h30m, 5m.
func (d Duration) String() string {
	text := time.Duration(d).String()
	if short, found := strings.CutSuffix(text, "m0s"); found {
		text = short + "m"
	}
	if short, found := strings.CutSuffix(text, "h0m"); found {
		text = short + "h"
	}
	return text
}

// A Size is a number of bytes, written with a unit: 512KiB, 64MiB, 10GiB, or
// the decimal KB, MB, GB.
type Size int64

var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

// UnmarshalText reads a size; it may not be negative.
func (s *Size) UnmarshalText(text []byte) error {
	for _, unit := range units {
		number, found := strings.CutSuffix(string(text), unit.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n >= 0 && n*float64(unit.bytes) < 1<<62) { // not a number is neither
			break
		}
		*s = Size(n * float64(unit.bytes))
		return nil
	}
	return fmt.Errorf("%q is not a size: write a number with a unit, such as 512KiB, 64MiB or 10GiB", text)
}

// String returns the size with the largest binary unit that divides it.
func (s Size) String() string {
	for i := 3; i >= 0; i-- {
		if u := units[i]; s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// A Secret is a text that no print-out, log or error shows.
type Secret struct{ value string }

// NewSecret returns a secret that holds value.
func NewSecret(value string) Secret { return Secret{value: value} }

// UnmarshalText takes the text as it stands.
func (s *Secret) UnmarshalText(text []byte) error {
	s.value = string(text)
	return nil
}

// Reveal returns the text, for use.
func (s Secret) Reveal() string { return s.value }

// IsZero tells whether there is no text.
func (s Secret) IsZero() bool { return s.value == "" }

// String hides the text.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return "[redacted]"
}

// GoString hides the text from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the text from every encoder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the text from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Secrets are written as one secret, or as a list of them.
type Secrets []Secret
