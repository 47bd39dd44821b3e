package mqtt

import (
	"log/slog"
	"sync"
)

// A part of the source that can be well or not.
type part int

// The parts, the one that matters most first.
const (
	ofConnection part = iota
	ofBus
	ofTopics
	ofSize
	parts
)

// A health tells what is wrong, when that changes. It may be used by many
// goroutines at once.
type health struct {
	report func(error)
	logger *slog.Logger

	mu       sync.Mutex
	problems [parts]error
	reported string
}

// set says that a part is well, or what is wrong with it.
func (h *health) set(p part, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.problems[p] = err
	var first error
	for _, problem := range h.problems {
		if first == nil {
			first = problem
		}
	}
	text := ""
	if first != nil {
		text = first.Error()
	}
	if text == h.reported {
		return
	}
	switch {
	case h.reported == "":
		h.logger.Warn("the source is degraded", slog.String("error", text))
	case first == nil:
		h.logger.Info("the source is well again")
	}
	h.reported = text
	h.report(first)
}
