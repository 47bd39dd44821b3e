package core

// A queue is first in, first out; its zero value is empty.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) push(item T) { q.items = append(q.items, item) }

// first returns the oldest item; the queue must not be empty.
func (q *queue[T]) first() T { return q.items[q.head] }

// pop removes and returns the oldest item; the queue must not be empty.
func (q *queue[T]) pop() T {
	var zero T
	item := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head >= 64 && q.head*2 >= len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return item
}

// all returns the items, oldest first; the result must not be kept.
func (q *queue[T]) all() []T { return q.items[q.head:] }
