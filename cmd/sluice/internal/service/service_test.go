package service_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/admin"
	"sluice/cmd/sluice/internal/service"
	"sluice/config"
	"sluice/event"
	"sluice/router/pattern"
	sinkfunction "sluice/sinks/function"
	sinkhttp "sluice/sinks/http"
	"sluice/sources"
	sourcecron "sluice/sources/cron"
	sourcehttp "sluice/sources/http"
)

const patience = 20 * time.Second

// kinds are the kinds that the tests use.
func kinds() config.Kinds {
	cron := sourcecron.Adapter(sourcecron.NewScheduler(time.Now))
	return config.Kinds{
		Sources: map[string]func() config.Section{
			"http":  func() config.Section { return sourcehttp.Adapter().Config() },
			"cron":  func() config.Section { return cron.Config() },
			"panic": func() config.Section { return &panics{} },
		},
		Sinks:   map[string]func() config.Section{"http": func() config.Section { return sinkhttp.Adapter().Config() }},
		Pattern: func(v any) error { _, err := pattern.FromValue(v); return err },

		Function: sinkfunction.Kind(),
	}
}

// panics is a source that panics when it runs.
type panics struct {
	Text string `yaml:"text"`
}

func (p *panics) Validate() error                            { return nil }
func (p *panics) Source(sources.Env) (sources.Source, error) { return p, nil }
func (p *panics) Run(context.Context, sources.Out) error     { panic(p.Text) }

// load writes a configuration and reads it as the program does.
func load(t *testing.T, dir, text string) *config.File {
	t.Helper()
	path := filepath.Join(dir, "sluice.yaml")
	head := "admin: {listen: \"127.0.0.1:0\"}\nbus: {max_bytes: 64MiB}\n"
	if !strings.Contains(text, "ingest:") {
		head += "ingest: {listen: \"127.0.0.1:0\"}\n"
	}
	if err := os.WriteFile(path, []byte(head+text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := config.Load(path, kinds(), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// run opens and runs a service, and returns what stops it.
func run(t *testing.T, file *config.File) (s *service.Service, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := service.Open(ctx, service.Options{File: file, Logger: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var stopped atomic.Bool
	stop = func() {
		if stopped.Swap(true) {
			return
		}
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the service ended with: %v", err)
			}
		case <-time.After(patience):
			t.Error("the service did not stop")
		}
	}
	t.Cleanup(stop)
	select {
	case <-s.Ready():
	case <-time.After(patience):
		t.Fatal("the service did not get ready")
	}
	return s, stop
}

// worker counts what it gets.
func worker(t *testing.T) (url string, got *atomic.Int64) {
	t.Helper()
	got = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got.Add(1) }))
	t.Cleanup(server.Close)
	return server.URL, got
}

func post(t *testing.T, url, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	return answer.StatusCode
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not reached: %s", what)
		}
	}
}

func client(t *testing.T, s *service.Service) *admin.Client {
	t.Helper()
	c, err := admin.NewClient("http://"+s.AdminAddr(), config.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

const oneTrigger = `
sources:
  orders: {http: {path: /orders}}
functions:
  work: {http: {url: "URL"}}
triggers:
  all: {on: orders, to: work}
`

func TestServiceCarriesEventsAndSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	url, got := worker(t)
	text := strings.ReplaceAll(oneTrigger, "URL", url)
	for round := range int64(2) {
		s, stop := run(t, load(t, dir, text))
		if status := post(t, "http://"+s.IngestAddr()+"/orders", `{"n":1}`); status != http.StatusAccepted {
			t.Fatalf("status %d", status)
		}
		eventually(t, "delivered", func() bool { return got.Load() == round+1 })
		ready, err := client(t, s).Ready(t.Context())
		if err != nil || !ready.Ready {
			t.Errorf("not ready: %+v, %v", ready, err)
		}
		stop()
	}
}

func TestReloadKeepsWhatHasNotChanged(t *testing.T) {
	dir := t.TempDir()
	url, got := worker(t)
	text := strings.ReplaceAll(oneTrigger, "URL", url)
	s, _ := run(t, load(t, dir, text))
	changes, err := s.Reload(t.Context(), load(t, dir, text))
	if err != nil || !changes.Empty() {
		t.Fatalf("the same file again changes %+v, %v", changes, err)
	}
	changed := strings.ReplaceAll(text, "/orders", "/new") + "  more: {on: orders, to: work}\n"
	changes, err = s.Reload(t.Context(), load(t, dir, changed))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := changes.Sources.String()+"; "+changes.Triggers.String(), "changed orders; added more"; got != want {
		t.Errorf("changes are %q, want %q", got, want)
	}
	changes, err = s.Reload(t.Context(), load(t, dir, strings.ReplaceAll(changed, "  more: {", "  most: {was: more, ")))
	if err != nil || changes.Triggers.String() != "renamed more to most" {
		t.Errorf("a trigger with another name: %v, %v", changes.Triggers, err)
	}
	if status := post(t, "http://"+s.IngestAddr()+"/orders", "{}"); status != http.StatusNotFound {
		t.Errorf("the old path answers %d", status)
	}
	if status := post(t, "http://"+s.IngestAddr()+"/new", "{}"); status != http.StatusAccepted {
		t.Errorf("the new path answers %d", status)
	}
	eventually(t, "delivered to both triggers", func() bool { return got.Load() == 2 })
}

func TestAPanicOfASourceIsItsHealthAndHarmsNobody(t *testing.T) {
	url, got := worker(t)
	text := strings.ReplaceAll(oneTrigger, "URL", url)
	text = strings.Replace(text, "sources:", "sources:\n  bad: {panic: {text: boom}}", 1)
	s, _ := run(t, load(t, t.TempDir(), text))
	c := client(t, s)
	eventually(t, "the panic is shown", func() bool {
		all, err := c.Sources(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all[0].State == admin.StateFailed && all[0].Error == "it has panicked: boom" && all[0].Restarts > 0
	})
	ready, err := c.Ready(t.Context())
	if err != nil || !ready.Ready {
		t.Errorf("a source in error makes sluice unready: %+v, %v", ready, err)
	}
	post(t, "http://"+s.IngestAddr()+"/orders", "{}")
	eventually(t, "delivered", func() bool { return got.Load() == 1 })
}

func TestOpenRefusesAPortThatIsTaken(t *testing.T) {
	file := load(t, t.TempDir(), strings.ReplaceAll(oneTrigger, "URL", "http://127.0.0.1:1"))
	s, _ := run(t, file)
	other := load(t, t.TempDir(), strings.ReplaceAll(oneTrigger, "URL", "http://127.0.0.1:1"))
	other.Admin.Listen = s.AdminAddr()
	_, err := service.Open(t.Context(), service.Options{File: other, Logger: slog.New(slog.DiscardHandler)})
	want := "the admin listener: listen tcp " + s.AdminAddr() + ": bind: address already in use (admin.listen in the file says where)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestOpenRefusesAFolderThatIsInUse(t *testing.T) {
	dir := t.TempDir()
	text := strings.ReplaceAll(oneTrigger, "URL", "http://127.0.0.1:1")
	run(t, load(t, dir, text))
	_, err := service.Open(t.Context(), service.Options{File: load(t, dir, text), Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "is in use by") {
		t.Errorf("got %v", err)
	}
}

// TestEgressOfTheFile: what stands at the top holds for sinks that are there
// already, as soon as it is taken over.
func TestEgressOfTheFile(t *testing.T) {
	url, got := worker(t)
	text, dir := strings.ReplaceAll(oneTrigger, "URL", url), t.TempDir()
	s, _ := run(t, load(t, dir, text))
	c := client(t, s)
	post(t, "http://"+s.IngestAddr()+"/orders", "{}")
	eventually(t, "delivered", func() bool { return got.Load() == 1 })
	changes, err := s.Reload(t.Context(), load(t, dir, "egress: public\n"+text))
	if err != nil || changes.Triggers.String() != "changed all" {
		t.Fatalf("changes are %+v, %v", changes, err)
	}
	post(t, "http://"+s.IngestAddr()+"/orders", "{}")
	eventually(t, "refused", func() bool {
		all, err := c.Triggers(t.Context())
		return err == nil && all[0].Dead == 1
	})
	if got.Load() != 1 {
		t.Errorf("%d deliveries", got.Load())
	}
}

// TestAnswersGoOn: what a function answers is an event for the triggers on it,
// is shown with the delivery that it answers, and can be asked for by its name.
func TestAnswersGoOn(t *testing.T) {
	next, got := worker(t)
	answering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "answered")
	}))
	t.Cleanup(answering.Close)
	s, _ := run(t, load(t, t.TempDir(), fmt.Sprintf(`sources: {orders: {http: {path: /orders}}}
functions: {check: {http: {url: %q, reply: publish}}}
triggers:
  first: {on: orders, to: check}
  second: {on: check, to: {http: {url: %q}}}
`, answering.URL, next)))
	c := client(t, s)
	post(t, "http://"+s.IngestAddr()+"/orders", "{}")
	eventually(t, "the answer is delivered", func() bool { return got.Load() == 1 })
	found, err := c.Events(t.Context(), "2", "sequence")
	if err != nil || len(found.Events) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	reply := found.Events[0]
	origin, err := event.ParseDeliveryID(reply.Origin)
	if err != nil || reply.Source != "check" || reply.Directed != "" || origin.Sequence != 1 || origin.Trigger != "first" {
		t.Errorf("the answer is shown as %+v", reply)
	}
	enough := errors.New("enough")
	err = c.Tail(t.Context(), url.Values{"source": {"check"}, "from": {"1"}}, func(line *admin.TailLine) error {
		if line.Sequence != 2 || line.Origin != reply.Origin {
			t.Errorf("the tail shows %+v", line)
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Errorf("the tail of answers: %v", err)
	}
}
