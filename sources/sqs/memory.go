package sqs

import "sync"

// remembered is how many messages are known that are durable and were not
// deleted.
const remembered = 10_000

// A memory knows the messages that are durable and could not be deleted, so that
// they are not published again when they come again. Beyond remembered the oldest
// one is forgotten: the bus knows for two minutes what it has.
type memory struct {
	mu    sync.Mutex
	known map[string]int // the place in order
	order []string       // a ring; empty for what was forgotten
	next  int
}

func newMemory() *memory { return &memory{known: map[string]int{}} }

func (m *memory) has(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.known[id]
	return known
}

func (m *memory) remember(batch []held) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range batch {
		if _, known := m.known[h.id]; known {
			continue
		}
		if len(m.order) < remembered {
			m.order = append(m.order, "")
		}
		if oldest := m.order[m.next]; oldest != "" {
			delete(m.known, oldest)
		}
		m.order[m.next], m.known[h.id] = h.id, m.next
		m.next = (m.next + 1) % remembered
	}
}

func (m *memory) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if place, known := m.known[id]; known {
		m.order[place] = ""
		delete(m.known, id)
	}
}
