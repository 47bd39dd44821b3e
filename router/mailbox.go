package router

import "sync"

// A mailbox collects items until its one reader looks. It is not bounded by
// itself: what comes in is bounded by what was asked for.
type mailbox[T any] struct {
	mu     sync.Mutex
	items  []T
	spare  []T
	signal chan struct{}
}

func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{signal: make(chan struct{}, 1)} }

// put adds items, which are taken together.
func (b *mailbox[T]) put(items ...T) {
	if len(items) == 0 {
		return
	}
	b.mu.Lock()
	told := len(b.items) > 0 // and not taken since
	b.items = append(b.items, items...)
	b.mu.Unlock()
	if told {
		return
	}
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

// take returns what has come; the result is valid until the next take.
func (b *mailbox[T]) take() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.items
	clear(b.spare)
	b.items, b.spare = b.spare[:0], taken
	return taken
}
