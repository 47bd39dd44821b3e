package logs

import (
	"sync"
	"unicode/utf8"

	"sluice/functions"
)

// The limits of lines that wait to be written.
const (
	maxText     = 256 << 10 // bytes of one line; what is over that is cut off
	maxPending  = 2 << 20   // bytes of one function
	maxPendings = 16 << 20  // bytes of all
	lineCost    = 128       // of a line beside its texts
)

// A queue holds lines between the pools and the goroutine that writes. Putting
// one in costs a short lock.
type queue struct {
	ready chan struct{} // a token when there is something

	mu      sync.Mutex
	pending map[string]*pending
	bytes   int
}

// pending are the lines of one function.
type pending struct {
	lines   []functions.Line
	bytes   int
	dropped uint64 // lines for which there was no room
}

func newQueue() *queue {
	return &queue{ready: make(chan struct{}, 1), pending: map[string]*pending{}}
}

// put adds a line, or counts it when there is no room.
func (q *queue) put(line functions.Line) {
	line.Text = cut(line.Text)
	q.add(&line)
	select {
	case q.ready <- struct{}{}:
	default: // it is known already
	}
}

func (q *queue) add(line *functions.Line) {
	cost := len(line.Text) + len(line.RequestID) + len(line.Worker) + lineCost
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.pending[line.Function]
	if p == nil {
		p = &pending{}
		q.pending[line.Function] = p
	}
	if p.bytes+cost > maxPending || q.bytes+cost > maxPendings {
		p.dropped++
		return
	}
	p.lines = append(p.lines, *line)
	p.bytes += cost
	q.bytes += cost
}

// take returns everything that waits, by function, and forgets it.
func (q *queue) take() map[string]*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.pending
	q.pending, q.bytes = map[string]*pending{}, 0
	return all
}

// cut bounds a text, between two characters.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
