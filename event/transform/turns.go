package transform

import (
	"context"
	"fmt"
)

// Turns bound how many evaluations run at once, and with that the memory of all
// together. All that evaluate in a process share them. Nil is no bound.
type Turns struct{ places chan struct{} }

// NewTurns returns turns for n evaluations at once.
func NewTurns(n int) *Turns { return &Turns{places: make(chan struct{}, n)} }

// Take waits for a turn, until ctx is done. What it returns ends the turn.
func (t *Turns) Take(ctx context.Context) (leave func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	select {
	case t.places <- struct{}{}:
		return func() { <-t.places }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("it did not come to its turn: %w", ctx.Err())
	}
}
