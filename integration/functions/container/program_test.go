//go:build integration && linux

package container

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"sluice/integration/engine"
	"sluice/integration/harness"
)

// whole is the real program: an event runs the image, which reaches what listens
// on this machine, and its answer is an event. A kill in the middle of an
// invocation costs nothing, and leaves no container behind.
func whole(t *testing.T, e *engine.Engine) {
	t.Helper()
	called := make(chan struct{}, 10)
	here := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called <- struct{}{} }))
	defer here.Close()
	after := harness.NewWorker(t, harness.OK)
	s := harness.New(t, program, fmt.Sprintf(`
sources: {in: {http: {path: /in}}}
functions:
  resize: {image: %q, environment: {SIZE: "3"}, shape: data, reply: publish, timeout: 20s}
triggers:
  run: {on: in, to: resize}
  after: {on: resize, to: {http: {url: %q}}}
`, image, after.URL("/after")))
	s.Env = []string{"DOCKER_HOST=" + e.Host}
	s.Up()
	send(t, s, "first", fmt.Sprintf(`{"do":"call","text":%q}`, here.URL))
	harness.Eventually(t, patience, "the answer has come", func() bool { return after.Len() == 1 })
	<-called
	send(t, s, "second", fmt.Sprintf(`{"do":"call","text":%q,"n":3000}`, here.URL))
	<-called
	s.Kill()
	s.Up()
	harness.Eventually(t, patience, "the other answer has come", func() bool { return after.Len() == 2 })
	harness.Eventually(t, patience, "the killed one's container is removed", func() bool { return len(e.Containers()) == 1 })
	s.Conserved()
	s.Signal(syscall.SIGTERM)
	if state := s.Wait(patience); !state.Success() {
		t.Errorf("it has ended with %v", state)
	}
}

func send(t *testing.T, s *harness.Sluice, id, data string) {
	t.Helper()
	request, err := harness.NewEvent(t.Context(), s.Ingest+"/in", id, data)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		t.Fatalf("the event was answered with %d", answer.StatusCode)
	}
}

// Where there is no engine, validation says so, with the places.
func TestNoEngine(t *testing.T) {
	t.Parallel()
	s := harness.New(t, program, "sources: {in: {http: {path: /in}}}\nfunctions: {resize: {image: resize}}\ntriggers: {run: {on: in, to: resize}}\n")
	s.Env = []string{"DOCKER_HOST=unix://" + s.Dir + "/none"}
	want := "functions.resize.image: no container engine answers at " + s.Dir + "/none (no such file or directory): start Docker or Podman"
	if said := s.Command("validate", "--config", s.File); said.Code != 3 || !strings.Contains(said.Out+said.Err, want) {
		t.Errorf("it has said %+v, not %q", said, want)
	}
}

var program = harness.NewProgram(false)

func removeProgram(code int) {
	if err := program.Remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
