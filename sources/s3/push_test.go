package s3

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/config"
	"sluice/event"
	sourcehttp "sluice/sources/http"
	"sluice/sources/sourcetest"
)

const pushToken = "correct-horse-battery"

// pushed has the source take notifications, and look for nothing by itself.
func pushed(c *Config) {
	c.Listen, c.Interval = off, config.Duration(time.Hour)
	c.Notify = &sourcehttp.Inlet{Path: "/s3/uploads", Token: config.Secrets{config.NewSecret(pushToken)}}
}

// notice is the notification of one key.
func notice(name, key, sequencer string) string {
	return fmt.Sprintf(`{"eventVersion":"2.1","eventName":%q,"s3":{"bucket":{"name":%q},"object":{"key":%q,"sequencer":%q}}}`, name, bucket, key, sequencer)
}

func records(notices ...string) string { return `{"Records":[` + strings.Join(notices, ",") + `]}` }

// send makes a request to the source's path, and returns the answer's status
// and body; an error is a failure too.
func (r *running) send(method, token, body string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), sourcetest.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+r.ingest.Addr().String()+"/s3/uploads", strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	request.Close = true
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }() // it is read to its end
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}

func (r *running) push(t *testing.T, notices ...string) {
	t.Helper()
	if status, text := r.send(http.MethodPost, pushToken, records(notices...)); status != http.StatusOK {
		t.Fatalf("answered %d %s", status, text)
	}
}

func TestPushedNotifications(t *testing.T) {
	s := newServer(t)
	out := sourcetest.NewOut()
	r := runSource(t, s, out, func(c *Config) { pushed(c); c.Prefix = "in/" })
	r.waitLog(t, "the bucket is listed", 1)
	for _, key := range []string{"in/a b.jpg", "in/ü", "out/c"} {
		s.put(t, key, "x")
	}
	r.push(t, notice("ObjectCreated:Put", "in%2Fa+b.jpg", "01"), notice("s3:ObjectCreated:Put", "in/%C3%BC", "01"),
		notice("ObjectCreated:Put", "out/c", "01"), notice("ObjectCreated:Put", "in/never", "01"))
	want := []string{"in/a b.jpg", "in/ü"}
	if got := subjects(out.Events()); !slices.Equal(got, want) {
		t.Errorf("after the answer there are events of %q, want %q", got, want)
	}
	// The same again, and out of order, is nothing new.
	r.push(t, notice("ObjectCreated:Put", "in%2Fa+b.jpg", "01"))
	r.push(t, notice("ObjectCreated:Put", "in%2Fa+b.jpg", "00"))
	s.put(t, "in/a b.jpg", "y")
	r.push(t, notice("ObjectCreated:Put", "in%2Fa+b.jpg", "02"))
	if got := subjects(out.Events()); !slices.Equal(got, append(want, "in/a b.jpg")) || len(out.Repeats()) > 0 {
		t.Errorf("events of %q and %d again", got, len(out.Repeats()))
	}
}

func TestPushesAreAnsweredWhenDurable(t *testing.T) {
	s := newServer(t)
	out := sourcetest.NewOut()
	r := runSource(t, s, out, pushed)
	r.waitLog(t, "the bucket is listed", 1)
	s.put(t, "a", "x")
	unblock := out.Block()
	answered := make(chan int, 1)
	go func() {
		status, _ := r.send(http.MethodPost, pushToken, records(notice("ObjectCreated:Put", "a", "01")))
		answered <- status
	}()
	out.WaitBlocked(t, 1)
	select {
	case status := <-answered:
		t.Errorf("answered %d before the event is durable", status)
	default:
	}
	unblock()
	if status := <-answered; status != http.StatusOK || len(out.Events()) != 1 {
		t.Errorf("answered %d with %d events", status, len(out.Events()))
	}
	out.FailWith(event.ErrUnavailable)
	s.put(t, "b", "x")
	go r.send(http.MethodPost, pushToken, records(notice("ObjectCreated:Put", "b", "01")))
	r.waitHealth(t, event.ErrUnavailable.Error())
	if status, text := r.send(http.MethodPost, pushToken, records(notice("ObjectCreated:Put", "b", "01"))); status != http.StatusServiceUnavailable {
		t.Errorf("answered %d %s while the bus is away", status, text)
	}
	out.FailWith(nil)
	out.Wait(t, 2)
}

// TestPushWhileTheBucketIsAway has the server fail when it is asked for a key:
// the sender must come again.
func TestPushWhileTheBucketIsAway(t *testing.T) {
	s := newServer(t)
	out := sourcetest.NewOut()
	r := runSource(t, s, out, pushed)
	r.waitLog(t, "the bucket is listed", 1)
	s.put(t, "a", "x")
	s.answer(refuseWith(500, "InternalError"))
	status, text := r.send(http.MethodPost, pushToken, records(notice("ObjectCreated:Put", "a", "01")))
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "the source cannot take this now") {
		t.Errorf("answered %d %s", status, text)
	}
	s.answer(nil)
	r.push(t, notice("ObjectCreated:Put", "a", "01"))
	if got := subjects(out.Events()); !slices.Equal(got, []string{"a"}) {
		t.Errorf("events of %q", got)
	}
}

func TestPushesThatAreNone(t *testing.T) {
	s := newServer(t)
	out := sourcetest.NewOut()
	r := runSource(t, s, out, pushed)
	cases := []struct {
		name, method, token, body string
		status                    int
		text                      string
	}{
		{"test", http.MethodPost, pushToken, testNotification, 200, "{}"},
		{"is somebody there", http.MethodPost, pushToken, "", 200, "{}"},
		{"the same by GET", http.MethodGet, pushToken, "", 200, "{}"},
		{"the same by HEAD", http.MethodHead, pushToken, "", 200, ""},
		{"another token", http.MethodPost, "another-token-altogether", testNotification, 401, "send the source's token as Authorization: Bearer …"},
		{"another method", http.MethodPut, pushToken, testNotification, 405, "send POST, GET, HEAD"},
		{"no JSON", http.MethodPost, pushToken, "hello", 400, "the body is not the JSON of notifications"},
		{"another bucket", http.MethodPost, pushToken, replaced(`"photos"`, `"other"`), 400, `Records[0].s3.bucket.name: notifications of bucket \"other\" do not belong here`},
		{"too large", http.MethodPost, pushToken, strings.Repeat(" ", 1<<20+1), 413, "the body is too large: at most 1MiB"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var status int
			var text string
			// A refusal may come, and its connection end, while the body is being sent.
			waitFor(t, "answer", func() bool { status, text = r.send(tc.method, tc.token, tc.body); return status != 0 })
			if status != tc.status || !strings.Contains(text, tc.text) {
				t.Errorf("%d %s, want %d %s", status, text, tc.status, tc.text)
			}
		})
	}
	if n := len(out.Events()); n > 0 {
		t.Errorf("%d events", n)
	}
}

func TestPathIsTaken(t *testing.T) {
	s := newServer(t)
	mux := sourcehttp.NewServer(sourcehttp.Options{Listen: "127.0.0.1:0"})
	if _, err := mux.Handle("hooks", "/s3/uploads", http.NotFoundHandler()); err != nil {
		t.Fatal(err)
	}
	cfg := NewConfig()
	cfg.Endpoint, cfg.Bucket = s.URL, bucket
	pushed(cfg)
	source, err := cfg.Source(sourcetest.Env("uploads", mux))
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Run(t.Context(), sourcetest.NewOut()); err == nil || err.Error() != `path "/s3/uploads" is taken by source "hooks"` {
		t.Errorf("%v", err)
	}
}

func TestOpenPathIsRefused(t *testing.T) {
	cfg := NewConfig()
	pushed(cfg)
	cfg.Notify.Token = nil
	mux := sourcehttp.NewServer(sourcehttp.Options{Listen: "0.0.0.0:0"})
	if _, err := cfg.Source(sourcetest.Env("uploads", mux)); err == nil || !strings.Contains(err.Error(), `source "uploads" has no authentication`) {
		t.Errorf("%v", err)
	}
	if !cfg.Unauthenticated() {
		t.Error("it is said to ask for authentication")
	}
}
