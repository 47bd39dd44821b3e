package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a step may take: building sluice is one of them.
const patience = 4 * time.Minute

// A screen is the output of the example, read while it is written.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(s.String(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never shows %q:\n%s", text, s.String())
		}
	}
}

// A stage is the example as it runs, in a process of its own.
type stage struct {
	t                     *testing.T
	screen                screen
	binary                string
	bucket, worker, admin string
}

// raise runs the example with its own folder and ports until the test ends.
func raise(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t}
	data := t.TempDir()
	example := filepath.Join(data, "upload")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", example, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the example: %v\n%s", err, out)
	}
	s.binary = filepath.Join(data, "sluice")
	ports := freePorts(t, 4)
	s.bucket, s.worker, s.admin = "http://127.0.0.1:"+ports[0]+"/photos", "http://127.0.0.1:"+ports[1], "http://127.0.0.1:"+ports[2]
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, example)
	command.Env = append(os.Environ(), "NO_COLOR=1", "DATA="+data,
		"S3_PORT="+ports[0], "WORKER_PORT="+ports[1], "ADMIN_PORT="+ports[2], "INGEST_PORT="+ports[3])
	command.Stdout, command.Stderr = &s.screen, &s.screen
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGINT) } // as a terminal does
	command.WaitDelay = 30 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = command.Wait() // the context's end is its error
		if code := command.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the example ended with %d:\n%s", code, s.screen.String())
		}
	})
	s.screen.await(t, "Stop with Ctrl-C")
	return s
}

// freePorts returns ports that nobody listens on at the moment.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		ports = append(ports, port)
	}
	return ports
}

// ask sends a request, as curl does.
func (s *stage) ask(method, url, body string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: status %d", method, url, answer.StatusCode)
	}
}

// sluice runs a command, which must succeed and print what is wanted.
func (s *stage) sluice(want string, args ...string) {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), s.binary, args...)
	command.Env = append(os.Environ(), "SLUICE_SERVER="+s.admin)
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		s.t.Fatalf("sluice %s: %v, and it does not print %q:\n%s", strings.Join(args, " "), err, want, out)
	}
}

// TestTheStory does what the README tells to do.
func TestTheStory(t *testing.T) {
	s := raise(t)
	s.ask(http.MethodPut, s.bucket+"/cat.jpg", "cat")
	s.screen.await(t, `worker: a thumbnail of "cat.jpg" in "photos" (3 bytes), attempt 1`)
	s.screen.await(t, "cat.jpg → make-thumbnail  ✓ delivered  200")
	s.ask(http.MethodPut, s.bucket+"/notes.txt", "hi")
	s.screen.await(t, "notes.txt → no trigger wants it")
	s.ask(http.MethodPut, s.bucket+"/broken.jpg", "oops")
	s.screen.await(t, "broken.jpg → make-thumbnail  ✗ attempt 3 failed, the last one (exhausted)  500")
	s.screen.await(t, "broken.jpg → make-thumbnail  ✗ dead: sluice dlq show ")
	s.sluice(`answered 500 Internal Server Error: "this pictu`, "dlq", "list")
	s.ask(http.MethodPost, s.worker+"/mend", "")
	s.sluice("1 letter, of which 1 would be replayed", "dlq", "replay", "--all", "--dry-run")
	s.sluice("1 letter replayed", "dlq", "replay", "--all")
	s.screen.await(t, `worker: a thumbnail of "broken.jpg" in "photos" (4 bytes), attempt 1`)
	s.screen.await(t, "broken.jpg → make-thumbnail  ✓ delivered  200")
	s.sluice("There are no such letters.", "dlq", "list")
	s.sluice("\nconserved: 4 events checked", "audit")
}
