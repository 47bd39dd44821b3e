// Package upstream holds what sources of messages have in common: health that is
// made of several conditions, writing until it is durable, and the way around a
// message that is too large.
package upstream

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"sluice/sources"
)

// maxShown is how many conditions one report shows.
const maxShown = 8

// A Health is the health of a source whose parts are well or not. It may be used
// by many goroutines at once.
type Health struct {
	report func(error)
	logger *slog.Logger

	mu       sync.Mutex
	bad      map[string]error
	reported string
}

// NewHealth returns the health of a source that is well.
func NewHealth(env *sources.Env) *Health {
	report := env.Report
	if report == nil {
		report = func(error) {}
	}
	return &Health{report: report, logger: env.Logger, bad: map[string]error{}}
}

// Set says how one part is: nil for well. What changes is reported and logged.
func (h *Health) Set(part string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		delete(h.bad, part)
	} else {
		h.bad[part] = err
	}
	whole := h.whole()
	text := ""
	if whole != nil {
		text = whole.Error()
	}
	switch {
	case text == h.reported:
		return
	case whole == nil:
		h.logger.Info("the source is well again")
	default:
		h.logger.Warn("the source is degraded", slog.String("error", text))
	}
	h.reported = text
	h.report(whole)
}

// whole joins what is bad, by the names of the parts.
func (h *Health) whole() error {
	parts := slices.Sorted(maps.Keys(h.bad))
	all := make([]error, 0, len(parts))
	for _, part := range parts[:min(len(parts), maxShown)] {
		all = append(all, h.bad[part])
	}
	return errors.Join(all...)
}
