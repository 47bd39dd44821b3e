// Package example runs the examples: it builds sluice, starts the example's
// worker in this process and "sluice dev" on the example's file, and says what
// to type next.
package example

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// An Example is what differs between the examples.
type Example struct {
	// Name is its folder below examples, which has a sluice.yaml.
	Name string
	// Worker takes what sluice delivers, at the example's Address; nil where sluice
	// runs the workers itself.
	Worker http.Handler
	// Run takes the place of Worker where that is no HTTP server: it runs at the
	// address until ctx ends, and calls ready once it does. It may keep files in
	// the folder.
	Run func(ctx context.Context, address, folder string, ready func()) error
	// Story says what to type.
	Story func(Place) string
}

// A Place says where the parts of an example are. What it returns is for people
// to type.
type Place struct {
	// Sluice is the program. It asks the right service by itself, or by what
	// Server adds to a command.
	Sluice, Server string
	// Ingest, Worker and Bucket are URLs without a slash at the end; the bucket
	// is the endpoint of sluice dev, with no bucket's name.
	Ingest, Worker, Bucket string
}

// Address is where the worker is: $WORKER_HOST and $WORKER_PORT, or 127.0.0.1:7070.
func (e *Example) Address() string {
	return net.JoinHostPort(env("WORKER_HOST", "127.0.0.1"), env("WORKER_PORT", "7070"))
}

// Main runs the example until it is interrupted, and ends the program. With the
// argument "alone" it runs no sluice, which docker-compose.yml has elsewhere.
func (e *Example) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 0:
		err = e.run(ctx)
	case len(args) == 1 && args[0] == "alone":
		err = e.work(ctx, env("DATA", "data"), func() { fmt.Println(e.Name+" is ready at", e.Address()) })
	default:
		err = fmt.Errorf("found %q: say alone, to run it without sluice, or nothing", args)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, e.Name+":", err)
		os.Exit(1)
	}
}

func (e *Example) run(ctx context.Context) error {
	folder, err := e.folder(ctx)
	if err != nil {
		return err
	}
	data := env("DATA", filepath.Join(folder, "data"))
	binary := filepath.Join(data, "sluice")
	fmt.Println("Building sluice; the first time takes a minute …")
	if err := build(ctx, folder, binary); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready, worked := make(chan struct{}), make(chan error, 1)
	go func() {
		defer cancel()
		worked <- e.work(ctx, data, func() { close(ready) })
	}()
	select {
	case <-ready:
		fmt.Print(e.Story(place(binary)))
		err = runSluice(ctx, binary, filepath.Join(folder, "sluice.yaml"))
		cancel()
	case <-ctx.Done():
	}
	return errors.Join(err, <-worked)
}

// work runs the worker until ctx ends.
func (e *Example) work(ctx context.Context, data string, ready func()) error {
	switch {
	case e.Run != nil:
		return e.Run(ctx, e.Address(), data, ready)
	case e.Worker == nil:
		ready()
		<-ctx.Done()
		return nil
	}
	return serve(ctx, e.Address(), e.Worker, ready)
}

// folder finds the example's folder from wherever in the module it is run.
func (e *Example) folder(ctx context.Context) (string, error) {
	answer, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "sluice/examples/"+e.Name).Output()
	if err != nil {
		return "", fmt.Errorf("this example is run inside of the repository: %w", err)
	}
	return string(bytes.TrimSpace(answer)), nil
}

func build(ctx context.Context, folder, binary string) error {
	command := exec.CommandContext(ctx, "go", "build", "-o", binary, "sluice/cmd/sluice")
	command.Dir, command.Stdout, command.Stderr = folder, os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("building sluice: %w", err)
	}
	return nil
}

// runSluice runs "sluice dev" until ctx ends. In a process group of its own it
// does not get the terminal's Ctrl-C beside the signal from here: a second one
// would end it at once.
func runSluice(ctx context.Context, binary, config string) error {
	command := exec.CommandContext(ctx, binary, "dev", "-c", config)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 30 * time.Second
	err := command.Run()
	if ctx.Err() != nil && command.ProcessState != nil && command.ProcessState.ExitCode() <= 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sluice dev: %w", err)
	}
	return nil
}

func place(binary string) Place {
	if here, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(here, binary); err == nil && !strings.HasPrefix(short, "..") {
			binary = "./" + short
		}
	}
	p := Place{
		Sluice: binary,
		Ingest: "http://127.0.0.1:" + env("INGEST_PORT", "4800"),
		Worker: "http://127.0.0.1:" + env("WORKER_PORT", "7070"),
		Bucket: "http://127.0.0.1:" + env("S3_PORT", "9000"),
	}
	if port := env("ADMIN_PORT", "4801"); port != "4801" {
		p.Server = " --server http://127.0.0.1:" + port
	}
	return p
}

func env(name, byDefault string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return byDefault
}

// serve serves at an address until ctx ends. It calls ready once it listens.
func serve(ctx context.Context, address string, handler http.Handler, ready func()) error {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the worker: %w (WORKER_PORT names another port)", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err = server.Shutdown(drain)
	if stopped := <-served; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	return err
}

// Payload reads the body of a delivery, up to the largest that there is. What it
// cannot read it answers itself, and returns false.
func Payload(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	const most = 64 << 20
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return body, err == nil
}
