package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadYes(t *testing.T) {
	for line, want := range map[string]bool{"y\n": true, " YES \n": true, "yes": true, "n\n": false, "\n": false, "": false, "yes please\n": false, "y\x00\n": false} {
		got, err := readYes(t.Context(), strings.NewReader(line))
		if got != want || err != nil {
			t.Errorf("%q: %v, %v", line, got, err)
		}
	}
}

// An interrupt ends the question, though nothing can be read.
func TestReadYesIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, end := io.Pipe()
	defer func() { _ = end.Close() }()
	if yes, err := readYes(ctx, silent); yes || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", yes, err)
	}
}
