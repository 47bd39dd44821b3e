package devs3

import (
	"strings"
	"sync"
)

// waitingNotes is how many notifications wait for a slow client.
const waitingNotes = 1024

// A hub passes uploads and removals on to those who listen.
type hub struct {
	mu        sync.Mutex
	listeners map[*listener]bool
}

type listener struct {
	bucket, prefix, suffix string
	uploads, removals      bool
	notes                  chan record // closed when the client is too slow
}

func newHub() *hub { return &hub{listeners: map[*listener]bool{}} }

func (h *hub) add(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.notes = make(chan record, waitingNotes)
	h.listeners[l] = true
}

func (h *hub) remove(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
}

// publish never blocks: a listener that is too slow loses its stream, and so
// learns that it has missed something.
func (h *hub) publish(bucket string, r record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if wanted := l.uploads && !r.gone || l.removals && r.gone; !wanted {
			continue
		}
		if l.bucket != bucket || !strings.HasPrefix(r.Key, l.prefix) || !strings.HasSuffix(r.Key, l.suffix) {
			continue
		}
		select {
		case l.notes <- r:
		default:
			delete(h.listeners, l)
			close(l.notes)
		}
	}
}

// buckets returns those that somebody listens to.
func (h *hub) buckets() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := map[string]bool{}
	for l := range h.listeners {
		found[l.bucket] = true
	}
	return found
}
