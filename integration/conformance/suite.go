package conformance

import (
	"slices"
	"testing"

	"go.uber.org/goleak"
)

// A Suite is the cases that one adapter passes, each with the other side, a T, of
// its own.
type Suite[T any] struct {
	Kind string // Source or Store
	// Adapter is the row in the table; empty for none. With a name each case is run,
	// or Without says why not.
	Adapter string
	// Without says why a case is not for the adapter, by the case's name.
	Without map[string]string
	Cases   []Case[T]
	// Start makes a T, which ends with the test.
	Start func(t *testing.T) T
}

// A Case is one of a suite. Without a reason it is not run where Missing says that
// the other side has not what it takes; nil is never.
type Case[T any] struct {
	Name    string
	Run     func(t *testing.T, with T)
	Missing func(with T) bool
}

// Exercise runs the cases. After each nothing that the adapter has started may be
// left.
func (s *Suite[T]) Exercise(t *testing.T) {
	t.Helper()
	for name := range s.Without {
		if !slices.ContainsFunc(s.Cases, func(c Case[T]) bool { return c.Name == name }) {
			t.Errorf("Without names %q, which is no case", name)
		}
	}
	for _, c := range s.Cases {
		t.Run(c.Name, func(t *testing.T) { s.exercise(t, c) })
	}
}

func (s *Suite[T]) exercise(t *testing.T, c Case[T]) {
	t.Helper()
	reason := s.Without[c.Name]
	Keep(t, Result{Kind: s.Kind, Adapter: s.Adapter, Case: c.Name, Reason: reason})
	if reason != "" {
		return
	}
	noLeaks(t)
	with := s.Start(t)
	switch {
	case c.Missing == nil || !c.Missing(with):
		c.Run(t, with)
	case s.Adapter != "":
		t.Error("the fixture has not what this case takes, and Without gives no reason")
	}
}

// noLeaks fails the test when goroutines are left at its end that were not there
// before; but for those that wait for the processes of servers.
func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("sluice/integration/server.wait")) })
}
