package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dustin/go-humanize"

	"sluice/event"
)

const dataUsage = "write the payload to this `FILE`, - for standard output, and show nothing else"

// largeLine says that the payload is kept apart, and how to have it.
func largeLine(large *event.Large, how string) string {
	return fmt.Sprintf("%s, kept apart: %s --data FILE", humanize.IBytes(uint64(large.Size)), how)
}

// writeData writes what fetch gives to a file, which is not left there when that
// fails.
func writeData(ctx context.Context, q *question, name string, fetch func(ctx context.Context, to io.Writer) error) (err error) {
	if name == "-" {
		return fetch(ctx, q.out)
	}
	file, err := os.Create(name) //nolint:gosec // the user names it
	if err != nil {
		return exitWithf(exitUsage, "--data: %w", err)
	}
	if err := errors.Join(fetch(ctx, file), file.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
