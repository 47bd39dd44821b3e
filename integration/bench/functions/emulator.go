package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sluice/functions"
	"sluice/functions/invokeapi"
	"sluice/functions/runtimes"
	"sluice/integration/freeport"
)

// The emulator that is measured.
const (
	emulatorVersion = "v0.0.0-20261030222936-bef5c4ba774d"
	emulatorModule  = "github.com/aws/aws-lambda-runtime-interface-emulator"
	startWithin     = 10 * time.Second
	invokePath      = "/2015-03-31/functions/" + functionName + "/invocations"
)

// overHTTP calls the same program through the Invoke API of sluice and of the
// emulator, by the same client.
func (b *bench) overHTTP(ctx context.Context, program runtimes.Program) error {
	var ours, theirs measurement
	for range b.cold {
		if err := b.ourHTTP(ctx, program, func(url string) error { return ours.calls(ctx, &ours.cold, 1, caller(ctx, url)) }); err != nil {
			return err
		}
		if err := b.emulator(ctx, program, func(url string) error { return theirs.calls(ctx, &theirs.cold, 1, caller(ctx, url)) }); err != nil {
			return err
		}
	}
	warm := func(m *measurement) func(url string) error {
		return func(url string) error {
			if err := m.calls(ctx, new([]float64), b.calls/10+1, caller(ctx, url)); err != nil {
				return err
			}
			return m.calls(ctx, &m.warm, b.calls, caller(ctx, url))
		}
	}
	if err := b.ourHTTP(ctx, program, warm(&ours)); err != nil {
		return err
	}
	if err := b.emulator(ctx, program, warm(&theirs)); err != nil {
		return err
	}
	b.rows = append(b.rows, row{program.Runtime, "the Invoke API", &ours}, row{program.Runtime, "the emulator", &theirs})
	return nil
}

// caller returns a call of a function over HTTP.
func caller(ctx context.Context, url string) func() error {
	return func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+invokePath, strings.NewReader(payload))
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err == nil && string(bytes.TrimSpace(body)) != payload {
			err = fmt.Errorf("it was answered %d: %.200q", response.StatusCode, body)
		}
		return err
	}
}

// one is a pool as the functions of an Invoke API.
type one struct{ *functions.Pool }

func (one) Has(name string) bool { return name == functionName }

func (o one) Invoke(ctx context.Context, _ string, in functions.Invocation) (functions.Result, error) {
	return o.Pool.Invoke(ctx, in)
}

func (one) InvokeAsync(context.Context, string, functions.Invocation) error {
	return errors.ErrUnsupported
}

// ourHTTP runs f with the Invoke API of a new pool.
func (b *bench) ourHTTP(ctx context.Context, program runtimes.Program, f func(url string) error) (err error) {
	scratch, err := os.MkdirTemp(b.root, "scratch-")
	if err != nil {
		return err
	}
	p, err := functions.NewPool(functions.Spec{Name: functionName, Program: program, Memory: 512 << 20}, functions.Options{Scratch: scratch})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	api := invokeapi.New(ctx, invokeapi.Options{Functions: one{p}, Open: true})
	defer api.Close(startWithin)
	server := httptest.NewServer(api)
	defer server.Close()
	return f(server.URL)
}

// emulator runs f with an emulator that has just been started.
func (b *bench) emulator(ctx context.Context, program runtimes.Program, f func(url string) error) error {
	binary, err := buildEmulator(ctx)
	if err != nil {
		return err
	}
	addresses, err := freeport.Addresses(2)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, binary, append([]string{
		"--runtime-interface-emulator-address", addresses[0], "--runtime-api-address", addresses[1],
	}, program.Command...)...)
	cmd.Dir = program.Dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its function then
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		return err
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	if err := listens(ctx, addresses[0]); err != nil {
		return err
	}
	return f("http://" + addresses[0])
}

// listens waits until something takes connections.
func listens(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the emulator does not listen: %w", err)
		}
	}
}

// buildEmulator returns the path of the emulator, which is built once and kept
// in the user's cache folder.
func buildEmulator(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "sluice", "rie-"+emulatorVersion)
	binary := filepath.Join(dir, "aws-lambda-rie")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a cache
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "install", emulatorModule+"/cmd/aws-lambda-rie@"+emulatorVersion)
	cmd.Dir = dir // outside of this module
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the emulator: %w\n%s", err, output)
	}
	return binary, nil
}

// folder is where a package of this module is.
func folder(ctx context.Context, name string) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", name).Output()
	if err != nil {
		return "", fmt.Errorf("look for %s: %w; run it in sluice's folder", name, err)
	}
	return strings.TrimSpace(string(output)), nil
}

func goRun(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return nil
}
