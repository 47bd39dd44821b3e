package kafka

import (
	"context"
	"sync"
)

// buffered counts the bytes that wait in all queues.
type buffered struct {
	limit int64

	mu   sync.Mutex
	used int64
	free chan struct{} // closed when there is room again; nil while there is
}

func (b *buffered) add(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += bytes
	switch {
	case b.used >= b.limit && b.free == nil:
		b.free = make(chan struct{})
	case b.used < b.limit && b.free != nil:
		close(b.free)
		b.free = nil
	}
}

// room waits until there is room, or ctx ends.
func (b *buffered) room(ctx context.Context) {
	b.mu.Lock()
	free := b.free
	b.mu.Unlock()
	if free == nil {
		return
	}
	select {
	case <-free:
	case <-ctx.Done():
	}
}
