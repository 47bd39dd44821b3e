package bus

import (
	"context"
	"errors"
	"sync"
)

// errDisconnected ends requests whose answer cannot come any more.
var errDisconnected = errors.New("the connection broke before the answer came")

// A lifeline ends contexts when the connection breaks, because the client
// library would wait for answers until the time is up.
type lifeline struct {
	mu   sync.Mutex
	cuts map[*context.CancelCauseFunc]struct{}
}

// hold returns a context that ends with its parent, or when the connection
// breaks.
func (l *lifeline) hold(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cut := context.WithCancelCause(parent)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cuts == nil {
		l.cuts = map[*context.CancelCauseFunc]struct{}{}
	}
	l.cuts[&cut] = struct{}{}
	return ctx, func() {
		l.mu.Lock()
		delete(l.cuts, &cut)
		l.mu.Unlock()
		cut(nil)
	}
}

// broken is called when the connection breaks.
func (l *lifeline) broken() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for cut := range l.cuts {
		(*cut)(errDisconnected)
	}
}
