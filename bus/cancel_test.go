package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sluice/bus"
)

// TestOpenGivenUp opens with a context that has ended: what was started is
// stopped whole, so that the folder is free again.
func TestOpenGivenUp(t *testing.T) {
	dir := t.TempDir()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bus.Open(ended, bus.Options{Dir: dir}); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "did not stop") {
		t.Fatalf("opened with a context that has ended: %v", err)
	}
	b, err := bus.Open(t.Context(), bus.Options{Dir: dir})
	if err != nil {
		t.Fatalf("after an open that was given up: %v", err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
