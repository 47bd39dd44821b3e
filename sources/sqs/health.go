package sqs

import "sync"

// A trouble is one thing that may go wrong while others go well.
type trouble int

// The troubles, in the order in which they are shown.
const (
	receiving trouble = iota
	publishing
	deleting
	refusing
	holding
	troubles
)

// A health is what the source reports: the first of its troubles.
type health struct {
	report func(error)

	mu    sync.Mutex
	now   [troubles]error
	shown string
}

// set notes a trouble, or with nil its end.
func (h *health) set(t trouble, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now[t] = err
	var first error
	for _, err := range h.now {
		if err != nil {
			first = err
			break
		}
	}
	text := ""
	if first != nil {
		text = first.Error()
	}
	if text != h.shown {
		h.shown = text
		h.report(first)
	}
}
