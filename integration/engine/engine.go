//go:build integration && linux

package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/integration/debian"
)

const (
	readyWithin = 30 * time.Second
	stopWithin  = 30 * time.Second
	logTail     = 8 << 10
)

// An Engine is a container engine that runs until the test ends.
type Engine struct {
	// Host is the address of its socket, as DOCKER_HOST has it.
	Host string
	// Name is docker or podman.
	Name string

	tb      testing.TB
	client  *http.Client
	dir     string
	env     []string // beside the test's own
	args    []string
	command *exec.Cmd
	exited  chan struct{}
}

// Docker starts Docker's engine, which needs root.
func Docker(tb testing.TB) *Engine {
	tb.Helper()
	debian.Need(tb, "dockerd --version", "docker.io")
	dir := folder(tb)
	return start(tb, "docker", dir, nil, "dockerd",
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "run"), "--pidfile", filepath.Join(dir, "pid"),
		"--host", "unix://"+filepath.Join(dir, "socket"), "--storage-driver", "vfs",
		"--bridge", "none", "--iptables=false", "--ip-forward=false")
}

// Podman starts Podman's service.
func Podman(tb testing.TB) *Engine {
	tb.Helper()
	debian.Need(tb, "podman --version", "podman", "runc")
	dir := folder(tb)
	env := []string{
		"CONTAINERS_CONF=" + write(tb, dir, "containers.conf", 0o600, "[engine]\nevents_logger = \"file\"\n"),
		"CONTAINERS_REGISTRIES_CONF=" + write(tb, dir, "registries.conf", 0o600, "[[registry]]\nlocation = \"127.0.0.1\"\ninsecure = true\n"),
	}
	return start(tb, "podman", dir, env, "podman",
		"--root", filepath.Join(dir, "data"), "--runroot", filepath.Join(dir, "run"), "--tmpdir", filepath.Join(dir, "tmp"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", write(tb, dir, "runc", 0o700, withoutNproc),
		"system", "service", "--time", "0", "unix://"+filepath.Join(dir, "socket"))
}

// withoutNproc is a runtime for Podman. Podman sets the limit of processes of a
// user to a million, and that needs CAP_SYS_RESOURCE, which root lacks where the
// tests themselves run in a container.
const withoutNproc = `#!/bin/sh
previous=
for argument; do
	[ "$previous" = --bundle ] && sed -i -e 's/,{"type":"RLIMIT_NPROC"[^}]*}//' -e 's/{"type":"RLIMIT_NPROC"[^}]*},\{0,1\}//' "$argument/config.json"
	previous=$argument
done
exec runc "$@"
`

// folder is a short path, since that of a socket may not be long.
func folder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/tmp", "sluice-engine-") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		end(tb, dir)
		unmount(tb, dir)
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// end ends what an engine has left running below a folder.
func end(tb testing.TB, dir string) {
	tb.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		tb.Fatal(err)
	}
	for _, path := range lines {
		line, _ := os.ReadFile(path) // it may have gone
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err == nil && bytes.Contains(line, []byte(dir+"/")) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// unmount takes away what an engine has left mounted below a folder.
func unmount(tb testing.TB, dir string) {
	tb.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, dir+"/") {
			_ = syscall.Unmount(at, syscall.MNT_DETACH)
		}
	}
}

func write(tb testing.TB, dir, name string, mode os.FileMode, text string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		tb.Fatal(err)
	}
	return path
}

func start(tb testing.TB, name, dir string, env []string, args ...string) *Engine {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatalf("%s needs root to be started by a test", args[0])
	}
	e := &Engine{Host: "unix://" + filepath.Join(dir, "socket"), Name: name, tb: tb, dir: dir, env: env, args: args}
	e.client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "socket"))
		},
	}}
	tb.Cleanup(e.Stop)
	e.Start()
	return e
}

// Start starts the engine, again after Kill.
func (e *Engine) Start() {
	e.tb.Helper()
	log, err := os.OpenFile(e.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		e.tb.Fatal(err)
	}
	defer func() { _ = log.Close() }()                // the process has its own
	command := exec.Command(e.args[0], e.args[1:]...) //nolint:noctx // ended by Stop, after the test's context
	command.Dir = e.dir                               // in which Podman leaves files
	command.Env = append(os.Environ(), e.env...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		e.tb.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = command.Wait(); close(exited) }()
	e.command, e.exited = command, exited
	e.ready()
}

// Kill ends the engine and the daemons below it with SIGKILL, and leaves its
// containers to themselves.
func (e *Engine) Kill() {
	e.tb.Helper()
	_ = syscall.Kill(-e.command.Process.Pid, syscall.SIGKILL)
	<-e.exited
	for _, name := range []string{"socket", "pid", "run/containerd/containerd.pid"} { // what nobody is behind any more
		_ = os.Remove(filepath.Join(e.dir, name))
	}
}

func (e *Engine) log() string { return filepath.Join(e.dir, "log") }

func (e *Engine) ready() {
	e.tb.Helper()
	for deadline := time.Now().Add(readyWithin); ; time.Sleep(20 * time.Millisecond) {
		if answer, err := e.client.Get("http://engine/_ping"); err == nil { //nolint:noctx // bound by the deadline
			_ = answer.Body.Close()
			return
		}
		select {
		case <-e.exited:
			e.tb.Fatalf("%s has ended:\n%s", e.Name, e.said())
		default:
		}
		if time.Now().After(deadline) {
			e.tb.Fatalf("%s is not ready:\n%s", e.Name, e.said())
		}
	}
}

// Stop ends the engine.
func (e *Engine) Stop() {
	if e.tb.Failed() {
		e.tb.Logf("%s has said:\n%s", e.Name, e.said())
	}
	if e.command == nil {
		return
	}
	_ = e.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-e.exited:
	case <-time.After(stopWithin):
		_ = e.command.Process.Kill()
		e.tb.Errorf("%s did not end", e.Name)
	}
}

func (e *Engine) said() []byte {
	text, _ := os.ReadFile(e.log())
	return tail(text)
}

func tail(text []byte) []byte { return text[max(0, len(text)-logTail):] }

// Do asks the engine something by its API, decodes the answer into to, which
// may be nil, and returns the status.
func (e *Engine) Do(method, path string, body io.Reader, to any) int {
	e.tb.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, "http://engine/v1.41"+path, body)
	if err != nil {
		e.tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-tar")
	answer, err := e.client.Do(request)
	if err != nil {
		e.tb.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		e.tb.Fatal(err)
	}
	if to != nil {
		if err := json.NewDecoder(bytes.NewReader(text)).Decode(to); err != nil {
			e.tb.Fatalf("%s %s: %d %s", method, path, answer.StatusCode, text)
		}
	}
	return answer.StatusCode
}
