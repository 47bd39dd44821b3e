// Command bootstrap is the same function as a custom runtime: it speaks the
// Runtime API itself, with nothing but net/http.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		if err := serve(context.Background(), base); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// serve answers one invocation with its payload. It reads all of that first, so
// that both requests go over one connection.
func serve(ctx context.Context, base string) error {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"next", http.NoBody)
	if err != nil {
		return err
	}
	next, err := http.DefaultClient.Do(ask)
	if err != nil {
		return err
	}
	payload, err := io.ReadAll(next.Body)
	if err := errors.Join(err, next.Body.Close()); err != nil {
		return err
	}
	answer, err := http.NewRequestWithContext(ctx, http.MethodPost, base+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", bytes.NewReader(payload))
	if err != nil {
		return err
	}
	done, err := http.DefaultClient.Do(answer)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, done.Body)
	return errors.Join(err, done.Body.Close())
}
