package config

import (
	"errors"
	"path/filepath"
	"time"
)

// Logs says what is kept of what the functions write that sluice runs, and where
// it is counted what they use.
type Logs struct {
	// Dir is their folder, absolute once loaded. Default: functions in the folder
	// of the bus, or data/functions beside the file when the bus is elsewhere.
	Dir string `yaml:"dir"`
	// MaxBytes bounds the lines of one function. Default: 64MiB.
	MaxBytes Size `yaml:"max_bytes"`
	// MaxAge is how long lines are kept. Default: 7d.
	MaxAge Duration `yaml:"max_age"`
}

// The bounds of logs.
const (
	minLogBytes = Size(1 << 20)
	maxLogBytes = Size(1 << 40)
	minLogAge   = Duration(time.Hour)
)

// defaultLogs has no Dir: that depends on the bus.
func defaultLogs() Logs { return Logs{MaxBytes: 64 << 20, MaxAge: Duration(7 * 24 * time.Hour)} }

// Validate checks the bounds.
func (l *Logs) Validate() error {
	var all []error
	if l.MaxBytes < minLogBytes || l.MaxBytes > maxLogBytes {
		all = append(all, Invalid("max_bytes", "expected 1MiB to 1TiB, found %s", l.MaxBytes))
	}
	if l.MaxAge < minLogAge {
		all = append(all, Invalid("max_age", "expected at least 1h, found %s", l.MaxAge))
	}
	return errors.Join(all...)
}

// resolve fills in the folder.
func (l *Logs) resolve(dir string, bus *Bus) {
	switch {
	case l.Dir == "" && bus.Dir != "":
		l.Dir = filepath.Join(bus.Dir, "functions")
	case l.Dir == "":
		l.Dir = filepath.Join(dir, defaultDir, "functions")
	case !filepath.IsAbs(l.Dir):
		l.Dir = filepath.Join(dir, l.Dir)
	}
}
