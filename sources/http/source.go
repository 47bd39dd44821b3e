package http

import (
	"context"
	"net/http"
	"sync"
	"time"

	"sluice/sources"
)

const (
	// publishTimeout is how long a request waits for the bus.
	publishTimeout = 15 * time.Second
	// drainTimeout is how long Run waits for the requests under way.
	drainTimeout = 5 * time.Second
)

type source struct {
	config Config
	env    sources.Env
}

// Placement says that the source runs everywhere: it has no state.
func (s *source) Placement() sources.Placement { return sources.OnAll }

// Run takes requests until ctx ends, then waits for those under way. What they
// publish is cut off after five seconds.
func (s *source) Run(ctx context.Context, out sources.Out) error {
	return serve(ctx, s.env, s.config.Path, func(l life) http.Handler {
		return &handler{
			config:    s.config,
			env:       s.env,
			out:       out,
			life:      l,
			protected: !s.config.Unauthenticated(),
			auth:      s.config.auth(),
			granted:   s.config.Handshake.limiter(),
		}
	})
}

// A life is how the requests of a handler end.
type life struct {
	gate *gate
	// onStop calls its argument when requests under way are to be cut off, until
	// what it returns is called.
	onStop func(func()) (forget func() bool)
}

// serve mounts the handler that build makes until ctx ends, and then waits for
// the requests under way.
func serve(ctx context.Context, env sources.Env, path string, build func(life) http.Handler) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	gate := newGate()
	h := build(life{gate: gate, onStop: func(f func()) func() bool { return context.AfterFunc(work, f) }})
	remove, err := env.Ingest.Handle(env.Name, path, h)
	if err != nil {
		return err
	}
	<-ctx.Done()
	remove()
	gate.close()
	select {
	case <-gate.empty:
	case <-time.After(drainTimeout):
		cancel()
		<-gate.empty
	}
	return nil
}

// A gate counts the requests under way, and can be closed against new ones.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{} // closed when the gate is closed and nobody is inside
}

func newGate() *gate { return &gate{empty: make(chan struct{})} }

// enter tells whether the gate is open; then leave must be called.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.inside++
	}
	return !g.closed
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.inside == 0 {
		close(g.empty)
	}
}
