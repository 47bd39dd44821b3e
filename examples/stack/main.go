// Command stack has the parts of the development stack (docker-compose.yml)
// that are neither sluice nor a server: what prepares the bucket, and the worker.
//
//	stack setup         make the bucket, and have it notify sluice
//	stack worker        take the events that sluice delivers
//	stack healthy URL   tell whether a URL answers with 200, for health checks
//
// All are told what they need by the environment; see docker-compose.yml.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// healthyWithin is how long a URL may take to answer.
const healthyWithin = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "setup":
		return setUp(ctx)
	case len(args) == 1 && args[0] == "worker":
		return work(ctx, os.Stdout)
	case len(args) == 2 && args[0] == "healthy":
		return healthy(ctx, args[1])
	}
	return errors.New("say setup, worker, or healthy URL")
}

func healthy(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthyWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if err := answer.Body.Close(); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return nil
}

// setting returns an environment variable that must be set.
func setting(name string) (string, error) {
	value := os.Getenv(name)
	if value == "" {
		return "", fmt.Errorf("%s is not set: docker-compose.yml shows how", name)
	}
	return value, nil
}

// settings returns several of them, and every one that is missing.
func settings(names ...string) (map[string]string, error) {
	values := make(map[string]string, len(names))
	var missing []error
	for _, name := range names {
		value, err := setting(name)
		values[name] = value
		missing = append(missing, err)
	}
	return values, errors.Join(missing...)
}
