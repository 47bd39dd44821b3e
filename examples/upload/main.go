// Command upload shows sluice at work: a file put into a bucket calls a worker,
// a worker that fails gets its events again, and what fails for good is kept,
// shown and replayed.
//
//	go run ./examples/upload
//
// It builds sluice, runs "sluice dev" on sluice.yaml beside this file, and the
// worker in this process, and says what to type next.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "upload:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	folder, err := exampleFolder(ctx)
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
		w := &worker{out: os.Stdout}
		worked <- w.run(ctx, "127.0.0.1:"+env("WORKER_PORT", "7070"), func() { close(ready) })
	}()
	select {
	case <-ready:
		fmt.Print(story(binary))
		err = runSluice(ctx, binary, filepath.Join(folder, "sluice.yaml"))
		cancel()
	case <-ctx.Done():
	}
	return errors.Join(err, <-worked)
}

// exampleFolder finds this folder from wherever in the module it is run.
func exampleFolder(ctx context.Context) (string, error) {
	answer, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "sluice/examples/upload").Output()
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

// story is what to type, in order.
func story(binary string) string {
	if here, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(here, binary); err == nil && !strings.HasPrefix(short, "..") {
			binary = "./" + short
		}
	}
	server := ""
	if port := env("ADMIN_PORT", "4801"); port != "4801" {
		server = " --server http://127.0.0.1:" + port
	}
	bucket := "http://127.0.0.1:" + env("S3_PORT", "9000") + "/photos"
	worker := "http://127.0.0.1:" + env("WORKER_PORT", "7070")
	return fmt.Sprintf(`
The story, in another terminal:

  1. Put a file into the bucket; the worker is called:
       curl -X PUT -d cat %[1]s/cat.jpg
  2. Put one that the worker cannot take; it is tried three times, and kept as a letter:
       curl -X PUT -d oops %[1]s/broken.jpg
       %[2]s dlq list%[4]s
  3. Mend the worker, see what a replay would take, and replay it:
       curl -X POST %[3]s/mend
       %[2]s dlq replay --all --dry-run%[4]s
       %[2]s dlq replay --all%[4]s
  4. Check that every event is accounted for:
       %[2]s audit%[4]s
`, bucket, binary, worker, server)
}

func env(name, byDefault string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return byDefault
}
