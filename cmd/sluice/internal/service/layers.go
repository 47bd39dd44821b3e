package service

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// A layer is one part that runs.
type layer struct {
	name   string
	cancel context.CancelFunc
	ended  chan struct{}
	within time.Duration
}

// layers are the parts that run, each above those that it needs.
type layers struct {
	logger *slog.Logger
	stack  []*layer
	failed chan error // of the first layer that ended without being asked to
}

func newLayers(logger *slog.Logger) *layers {
	return &layers{logger: logger, failed: make(chan error, 1)}
}

// start runs a part until stop. Its context ends only then: not with the
// parent's, so that layers end one after the other. Within is how long stop
// waits for it.
func (l *layers) start(parent context.Context, name string, within time.Duration, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	part := &layer{name: name, cancel: cancel, ended: make(chan struct{}), within: within}
	l.stack = append(l.stack, part)
	go func() {
		defer close(part.ended)
		err := run(ctx)
		switch {
		case err != nil:
			l.fail(fmt.Errorf("%s: %w", name, err))
		case ctx.Err() == nil:
			l.fail(fmt.Errorf("%s has ended by itself", name))
		}
	}()
}

func (l *layers) fail(err error) {
	select {
	case l.failed <- err:
	default: // the first one is the reason
	}
}

// stop ends the layers, the last one first. It returns an error that names
// those that did not end in time, which are left behind.
func (l *layers) stop() error {
	var err error
	for _, part := range slices.Backward(l.stack) {
		part.cancel()
		select {
		case <-part.ended:
			l.logger.Debug("part stopped", slog.String("part", part.name))
		case <-time.After(part.within):
			err = fmt.Errorf("%s has not stopped within %s", part.name, part.within)
			l.logger.Error("part has not stopped in time", slog.String("part", part.name), slog.Duration("after", part.within))
		}
	}
	l.stack = nil
	return err
}
