package container

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"sluice/functions"
)

// pullTimeout is how long pulling an image may take.
const pullTimeout = 10 * time.Minute

// A Launcher starts the workers of one function. It implements
// functions.Launcher.
type Launcher struct {
	engine *Engine
	spec   Spec

	mu    sync.Mutex
	image string // the id of the image
}

var _ functions.Launcher = (*Launcher)(nil)

// NewLauncher finds the engine (see [Open]), removes the containers that were
// left behind by a sluice that has ended, and pulls the image if the engine does
// not have it.
func NewLauncher(ctx context.Context, host string, spec Spec) (*Launcher, error) {
	engine, err := Open(ctx, host)
	if err != nil {
		return nil, err
	}
	l := &Launcher{engine: engine, spec: spec}
	if _, err = engine.Sweep(ctx); err == nil {
		err = l.Refresh(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return l, nil
}

// Refresh finds out what the image's name means now. Until it is called again,
// all containers are of that image.
func (l *Launcher) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	image, err := l.engine.Prepare(ctx, l.spec.Image)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.image = image
	return nil
}

// Launch starts a container.
func (l *Launcher) Launch(ctx context.Context, with functions.Launch) (functions.Process, error) {
	spec := l.spec
	spec.Env, spec.Image = with.Env, l.current()
	c, err := l.engine.start(ctx, spec, with.Output)
	if errdefs.IsNotFound(err) { // that image was removed, but another may have its name
		spec.Image = l.spec.Image
		c, err = l.engine.start(ctx, spec, with.Output)
	}
	if err != nil {
		return nil, errors.Join(err, with.Output.Close())
	}
	return c, nil
}

func (l *Launcher) current() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.image
}

// Close ends the connections to the engine. All containers have ended before.
func (l *Launcher) Close() error { return l.engine.Close() }
