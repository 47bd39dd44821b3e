package runtimeapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/functions/runtimeapi"
)

const (
	registerPath  = "/2020-01-01/extension/register"
	eventPath     = "/2020-01-01/extension/event/next"
	initErrorPath = "/2020-01-01/extension/init/error"
	exitErrorPath = "/2020-01-01/extension/exit/error"
)

// register returns the id of a new extension.
func (w *worker) register(name, body string) string {
	w.tb.Helper()
	g := w.do(http.MethodPost, registerPath, body, "Lambda-Extension-Name", name)
	if g.status != http.StatusOK {
		w.tb.Fatalf("got %d %s", g.status, g.body)
	}
	return g.header.Get("Lambda-Extension-Identifier")
}

// event asks for the next event beside the test.
func (w *worker) event(id string) <-chan got {
	done := make(chan got, 1)
	go func() {
		g, err := w.try(w.tb.Context(), http.MethodGet, eventPath, nil, "Lambda-Extension-Identifier", id)
		if err != nil {
			w.tb.Error(err)
		}
		done <- g
	}()
	return done
}

func TestExtension(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	g := w.do(http.MethodPost, registerPath, `{"events":["INVOKE","SHUTDOWN"]}`, "Lambda-Extension-Name", "observer", "Lambda-Extension-Accept-Feature", "accountId")
	g.is(t, http.StatusOK, `{"accountId":"000000000000","functionName":"thumbnail","functionVersion":"$LATEST","handler":"thumbnail.handler"}`)
	id := g.header.Get("Lambda-Extension-Identifier")
	w.register("quiet", `{}`)
	if names := s.Extensions(); !slices.Equal(names, []string{"observer", "quiet"}) {
		t.Errorf("got %q", names)
	}

	deadline := time.UnixMilli(1_700_000_000_000)
	event := w.event(id)
	done := invokeAs(t, s, runtimeapi.Invocation{RequestID: "id-1", TraceID: "Root=1"})
	w.next()
	e := <-event
	want := fmt.Sprintf(`{"eventType":"INVOKE","deadlineMs":%s,"requestId":"id-1","invokedFunctionArn":"%s","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1"}}`, number(e.body, "deadlineMs"), arn)
	if e.status != http.StatusOK || e.body != want || uuid.Validate(e.header.Get("Lambda-Extension-Event-Identifier")) != nil {
		t.Errorf("got %d %s, want %s", e.status, e.body, want)
	}
	w.respond("id-1", "")
	<-done

	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(t.Context(), "spindown", deadline) }()
	if e := <-w.event(id); e.body != `{"eventType":"SHUTDOWN","deadlineMs":1700000000000,"shutdownReason":"spindown"}` {
		t.Errorf("got %d %s", e.status, e.body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// number cuts a number out of JSON.
func number(body, key string) string {
	_, after, _ := strings.Cut(body, `"`+key+`":`)
	before, _, _ := strings.Cut(after, ",")
	return before
}

func TestShutdownOfAnExtensionThatDoesNotAsk(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	w.register("asleep", `{"events":["SHUTDOWN"]}`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx, "timeout", time.Now()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(t.Context(), "timeout", time.Now()) }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, runtimeapi.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// Events that nobody asks for are bounded, and delay no invocation.
func TestExtensionThatFallsBehind(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	id := w.register("slow", `{"events":["INVOKE"]}`)
	for i := range 100 {
		done := invoke(t, s, fmt.Sprint("id-", i), "")
		w.next()
		w.respond(fmt.Sprint("id-", i), "")
		if r := <-done; r.err != nil {
			t.Fatal(r.err)
		}
	}
	for range 64 {
		<-w.event(id)
	}
	event := w.event(id)
	done := invoke(t, s, "the next", "")
	w.next()
	if e := <-event; !strings.Contains(e.body, `"requestId":"the next"`) {
		t.Errorf("got %s", e.body)
	}
	w.respond("the next", "")
	<-done
}

func TestExtensionsAreRefused(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	id := w.register("observer", `{"events":["INVOKE"]}`)
	unknown := uuid.NewString()
	refused := func(path, body, errorType, message string, headers ...string) {
		t.Helper()
		method := http.MethodPost
		if path == eventPath {
			method = http.MethodGet
		}
		w.do(method, path, body, headers...).is(t, http.StatusForbidden, fmt.Sprintf(`{"errorMessage":%q,"errorType":%q}`, message, errorType))
	}
	const name, header, failure = "Lambda-Extension-Name", "Lambda-Extension-Identifier", "Lambda-Extension-Function-Error-Type"
	refused(registerPath, `{}`, "Extension.InvalidExtensionName", "Empty extension name")
	refused(registerPath, `{`, "InvalidRequestFormat", "unexpected end of JSON input", name, "x")
	refused(registerPath, `{"events":["SLEEP"]}`, "Extension.InvalidEventType", "SLEEP: ErrorInvalidEventType", name, "x")
	refused(registerPath, `{}`, "Extension.InvalidExtensionState", "Extension with this name already registered", name, "observer")
	refused(eventPath, "", "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
	refused(eventPath, "", "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier", header, "x")
	refused(eventPath, "", "Extension.UnknownExtensionIdentifier", "Unknown extension "+unknown, header, unknown)
	refused(initErrorPath, "", "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found", header, id)
	for i := range 9 {
		w.register(fmt.Sprint("x", i), `{}`)
	}
	refused(registerPath, `{}`, "Extension.TooManyExtensions", "Extension limit (10) reached", name, "one too many")

	done := invoke(t, s, "id-1", "")
	w.next()
	refused(registerPath, `{}`, "Extension.RegistrationClosed", "Extension registration closed already", name, "too late")
	<-w.event(id)
	w.do(http.MethodPost, exitErrorPath, "", header, id, failure, "Extension.Oops").is(t, http.StatusAccepted, accepted)
	refused(eventPath, "", "Extension.InvalidExtensionState", "State transition from ExitError to Ready failed for extension "+id+". Error: State transition is not allowed", header, id)
	w.respond("id-1", "")
	<-done
}

// One that has failed asks for nothing more, and is not waited for.
func TestShutdownOfAnExtensionThatHasFailed(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	id := w.register("observer", `{"events":["SHUTDOWN"]}`)
	w.do(http.MethodPost, exitErrorPath, "", "Lambda-Extension-Identifier", id, "Lambda-Extension-Function-Error-Type", "Extension.Oops").is(t, http.StatusAccepted, accepted)
	if err := s.Shutdown(t.Context(), "failure", time.Now()); err != nil {
		t.Error(err)
	}
}

func TestExtensionThatFailsToStart(t *testing.T) {
	for path, errorType := range map[string]string{initErrorPath: "Extension.InitError", exitErrorPath: "Extension.ExitError"} {
		s := listen(t)
		w := work(t, s)
		id := w.register("observer", `{}`)
		w.do(http.MethodPost, path, "", "Lambda-Extension-Identifier", id, "Lambda-Extension-Function-Error-Type", "Extension.Oops").is(t, http.StatusAccepted, accepted)
		if e := <-s.InitError(); e.Type != errorType || e.Message != "Extension.Oops" {
			t.Errorf("got %+v", e)
		}
		if g := w.next(); g.status != http.StatusForbidden {
			t.Errorf("got %d %s", g.status, g.body)
		}
	}
}

// An extension whose request has ended may ask again.
func TestExtensionThatHangsUp(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	id := w.register("observer", `{"events":["SHUTDOWN"]}`)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := w.try(ctx, http.MethodGet, eventPath, nil, "Lambda-Extension-Identifier", id); err == nil {
		t.Fatal("an event out of nothing")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(t.Context(), "failure", time.Now()) }()
	for {
		// Until the server has seen the end of the first request, the second is refused.
		if e := <-w.event(id); e.status == http.StatusOK {
			break
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
