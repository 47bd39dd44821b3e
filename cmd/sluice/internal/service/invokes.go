package service

import (
	"context"
	"errors"
	"fmt"

	"sluice/config"
	"sluice/event"
	"sluice/functions"
	"sluice/functions/invokeapi"
)

// invokesName stands for the Invoke API where sources have their names.
const invokesName = "ingest.invoke"

// openInvokes mounts the Invoke API on the ingest listener.
func (s *Service) openInvokes(ctx context.Context) error {
	c := &s.options.File.Ingest.Invoke
	if !c.On() {
		return nil
	}
	s.invokes = invokeapi.New(ctx, invokeapi.Options{
		Functions: invokable{s}, Keys: keysOf(c), Open: c.UnsafeNoAuth, Logger: s.logger, Now: s.options.Now,
	})
	for _, path := range invokeapi.Paths {
		if _, err := s.ingest.Handle(invokesName, path, s.invokes); err != nil {
			return fmt.Errorf("%s: %w", invokesName, err)
		}
	}
	return nil
}

// startInvokes lets the invocations under way end when the ingest listener takes
// no more.
func (s *Service) startInvokes(ctx context.Context, running *layers) {
	if s.invokes == nil {
		return
	}
	running.start(ctx, "Invoke API", s.options.Drain+stopWithin, func(ctx context.Context) error {
		<-ctx.Done()
		s.invokes.Close(s.options.Drain)
		return nil
	})
}

// takeKeys replaces the keys of the Invoke API.
func (s *Service) takeKeys(c *config.InvokeAPI) {
	if s.invokes != nil {
		s.invokes.SetKeys(keysOf(c))
	}
}

func keysOf(c *config.InvokeAPI) []invokeapi.Key {
	keys := make([]invokeapi.Key, 0, len(c.Keys))
	for _, key := range c.Keys {
		keys = append(keys, invokeapi.Key{AccessKey: key.AccessKey, SecretKey: key.SecretKey.Reveal(), Functions: key.Functions})
	}
	return keys
}

// withoutKeys are the settings that hold from the start on: whether there are
// keys is one of them, and which not.
func withoutKeys(i config.Ingest) config.Ingest {
	if len(i.Invoke.Keys) > 0 {
		i.Invoke.Keys = []config.InvokeKey{{}}
	}
	return i
}

// invokable is the service as the Invoke API sees it.
type invokable struct{ *Service }

// Has is for invokeapi.Functions.
func (i invokable) Has(name string) bool {
	for _, f := range i.Functions() {
		if f.Name == name {
			return true
		}
	}
	return false
}

// InvokeAsync is for invokeapi.Functions.
func (i invokable) InvokeAsync(ctx context.Context, name string, in functions.Invocation) error {
	err := i.Service.InvokeAsync(ctx, name, in)
	if errors.Is(err, event.ErrTooLarge) {
		return fmt.Errorf("%w: %w", invokeapi.ErrTooLarge, err)
	}
	return err
}
