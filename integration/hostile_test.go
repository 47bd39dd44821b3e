//go:build integration

package integration_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"sluice/config"
	"sluice/event"
	"sluice/integration/harness"
	sourcehttp "sluice/sources/http"
	"sluice/sources/http/signature"
)

var hostile = flag.Int("hostile", 5000, "bad requests that TestHostileRequests sends")

const (
	hostileSenders = 32
	slowSenders    = 600
	hookSecret     = "a-secret-of-the-hook"
	// flat is how much more MiB may be resident in the second half than in the
	// first one. The live events alone make the log's caches grow by about 15.
	flat = 32
)

const hostileSources = `sources:
  in: {http: {path: /in}}
  plain: {http: {path: /plain}}
  whole: {http: {path: "/whole/*", shape: request, methods: [POST, PUT, PATCH, DELETE, GET], headers: [X-Event, X-Other]}}
  token: {http: {path: /token, token: a-token-of-the-hook}}
  github: {http: {path: /github, verify: {github: {secret: a-secret-of-the-hook}}}}
  stripe: {http: {path: /stripe, verify: {stripe: {secret: whsec_a-secret-of-the-hook}}}}
  grid: {http: {path: /grid, id_header: X-Id, handshake: {origins: ["*.example.com"], rate: 1000000}}}
`

// TestHostileRequests sends bad requests, made by hand and drawn at random,
// while thousands of bytes a second trickle in on slow connections, from an
// address of its own. Nothing that is no event is accepted, nothing panics, the
// memory stays flat, and those who send events beside it notice nothing.
func TestHostileRequests(t *testing.T) {
	rng := random(t)
	worker := harness.NewWorker(t, harness.OK)
	checker := newChecker(t)
	s := harness.New(t, program, hostileSources+"triggers:\n"+
		fmt.Sprintf("  work: {on: in, to: {http: {url: %q}}}\n", worker.URL("/work"))+
		fmt.Sprintf("  check: {on: [in, plain, whole, token, github, stripe, grid], concurrency: 50, to: {http: {url: %q, mode: structured}}}\n", checker.server.URL))
	s.Up()
	pid := s.PID()
	raw := harness.NewRaw(strings.TrimPrefix(s.Ingest, "http://"), "127.0.0.2")
	slow := slowly(t, raw)
	load := harness.NewLoad(t, s.Ingest+"/in", "live", 100)
	attacks := attacks(t, rng, *hostile)
	counts := map[int]int{}
	var memory []int64 // after each tenth, in MiB
	for part := range slices.Chunk(attacks, (len(attacks)+9)/10) {
		for status, n := range assail(t, raw, part) {
			counts[status] += n
		}
		memory = append(memory, s.Memory()>>20)
	}
	load.Stop()
	t.Logf("%d bad requests; answers by status, 0 for none: %v; %d live events beside them; MiB after each tenth: %v", len(attacks), counts, load.Len(), memory)
	if before, after := slices.Max(memory[:5]), slices.Max(memory[5:]); after-before > flat {
		t.Errorf("the memory has grown from %d to %d MiB", before, after)
	}
	if n := len(load.Unknown()); n > 0 || load.Len() == 0 {
		t.Errorf("%d live events were not accepted, %d were", n, load.Len())
	}
	slow()
	delivered(t, worker, "/work", load.Accepted(), 20*time.Second)
	s.Idle(time.Minute)
	s.Conserved()
	if n := checker.count(); n < load.Len()+counts[http.StatusAccepted]/2 {
		t.Errorf("%d events were checked, of %d live ones and %d others", n, load.Len(), counts[http.StatusAccepted])
	}
	if letters := s.Letters(); len(letters) > 0 {
		t.Errorf("%d letters: %+v", len(letters), letters[0])
	}
	if s.PID() != pid || s.Logged("panic") > 0 {
		t.Error("the program has panicked")
	}
}

// assail sends requests from several senders, and counts the answers.
func assail(t *testing.T, raw *harness.Raw, attacks []attack) map[int]int {
	t.Helper()
	counts := map[int]int{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for sender := range hostileSenders {
		wait.Go(func() {
			for i := sender; i < len(attacks); i += hostileSenders {
				statuses, answer := raw.Send(t, attacks[i].text)
				attacks[i].judge(t, statuses, answer)
				mu.Lock()
				for _, status := range statuses {
					counts[status]++
				}
				if len(statuses) == 0 {
					counts[0]++
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return counts
}

// slowly keeps connections open that say a byte now and then, until stop.
func slowly(t *testing.T, raw *harness.Raw) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var wait sync.WaitGroup
	for i := range slowSenders {
		wait.Go(func() {
			for trickle(t, raw, i%2 == 0, done) {
			}
		})
	}
	stop = sync.OnceFunc(func() { close(done); wait.Wait() })
	t.Cleanup(stop)
	return stop
}

// trickle says a byte every 200 ms, of the headers or of the body, until the
// server has enough of it; it tells whether to begin again.
func trickle(t *testing.T, raw *harness.Raw, headers bool, done <-chan struct{}) bool {
	t.Helper()
	conn, err := raw.Dial(t.Context())
	if err != nil {
		return t.Context().Err() == nil
	}
	defer func() { _ = conn.Close() }()
	text := "POST /plain HTTP/1.1\r\nHost: x\r\nX-Slow: "
	if !headers {
		text = "POST /plain HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n"
	}
	for {
		if _, err := io.WriteString(conn, text); err != nil {
			return true
		}
		text = "x"
		select {
		case <-done:
			return false
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// A checker takes all events and validates them.
type checker struct {
	server *httptest.Server
	mu     sync.Mutex
	ids    map[string]bool
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	c := &checker{ids: map[string]bool{}}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // comes again
		}
		if problem := garbage(r.Header, body); problem != "" {
			t.Errorf("accepted garbage: %s: %.300q", problem, body)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ids[r.Header.Get("Sluice-Delivery")] = true
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(c.server.Close)
	return c
}

func (c *checker) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ids)
}

// garbage says what is wrong with an event that was accepted.
func garbage(header http.Header, body []byte) string {
	if !utf8.Valid(body) || !json.Valid(body) {
		return "no JSON in UTF-8"
	}
	events, _, err := event.DecodeHTTP(header, body)
	if err != nil {
		return err.Error()
	}
	if len(events) != 1 {
		return fmt.Sprintf("%d events", len(events))
	}
	e := &events[0]
	if err := e.Validate(); err != nil {
		return err.Error()
	}
	if err := event.CheckSize(e, event.DefaultMaxSize); err != nil {
		return err.Error()
	}
	for name := range e.Extensions {
		if strings.HasPrefix(name, "nats") || strings.HasPrefix(name, "sluice") {
			return "the extension " + name
		}
	}
	switch plain := e.Type == "http.request"; {
	case plain && event.IsJSON(e.DataContentType) && (!json.Valid(e.Data) || !utf8.Valid(e.Data)):
		return "its data is no JSON"
	case plain && len(e.Data) == 0:
		return "it has no data"
	}
	return ""
}

// An attack is a request, and which answers it may have.
type attack struct {
	name, text string
	// may are the statuses of its first answer, 0 for none; empty: any but what
	// says that sluice has failed.
	may []int
}

// judge fails the test when the answers are not right.
func (a *attack) judge(t *testing.T, statuses []int, answer string) {
	t.Helper()
	first := 0
	if len(statuses) > 0 {
		first = statuses[0]
	}
	if len(a.may) > 0 && !slices.Contains(a.may, first) {
		t.Errorf("%s: answered %v, want %v: %.200q\n%.300q", a.name, statuses, a.may, answer, a.text)
	}
	if strings.Contains(a.text, smuggled) && len(statuses) != 1 {
		t.Errorf("%s: a request that is hidden in another is answered: %v", a.name, statuses)
	}
	for _, status := range statuses {
		if status == http.StatusInternalServerError || status == http.StatusServiceUnavailable && !strings.Contains(answer, "Retry-After: ") {
			t.Errorf("%s: answered %d: %.300q", a.name, status, a.text)
		}
	}
}

// attacks returns n requests: those that were made by hand, at random places
// among good ones of which something was changed.
func attacks(t *testing.T, rng *rand.Rand, n int) []attack {
	t.Helper()
	all := handmade(t)
	good := goodRequests(t)
	for len(all) < n {
		text := good[rng.IntN(len(good))]
		for range 1 + rng.IntN(6) {
			text = mutate(rng, text)
		}
		all = append(all, attack{name: "drawn", text: text})
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// mutate changes something.
func mutate(rng *rand.Rand, text string) string {
	if text == "" {
		return "\x00"
	}
	at := rng.IntN(len(text))
	until := min(len(text), at+1+rng.IntN(20))
	switch rng.IntN(8) {
	case 0:
		return text[:at] + string(byte(rng.UintN(256))) + text[min(at+1, len(text)):]
	case 1:
		return text[:at] + text[until:]
	case 2:
		return text[:at] + text[at:until] + text[at:until] + text[until:]
	case 3:
		return text[:at] + strange[rng.IntN(len(strange))] + text[at:]
	case 4: // a line twice
		lines := strings.SplitAfter(text, "\n")
		i := rng.IntN(len(lines))
		return strings.Join(slices.Insert(lines, i, lines[i]), "")
	case 5:
		return text[:at]
	case 6: // a line elsewhere
		lines := strings.SplitAfter(text, "\n")
		i, j := rng.IntN(len(lines)), rng.IntN(len(lines))
		lines[i], lines[j] = lines[j], lines[i]
		return strings.Join(lines, "")
	default:
		b := []byte(text)
		b[at] ^= 1 << rng.UintN(8)
		return string(b)
	}
}

var strange = []string{
	"\x00", "\r", "\n", "\r\n", "\r\n\r\n", "\xff\xfe", "\xc0\xaf", "\xed\xa0\x80", "\u2028", "%00", "%zz", "../", "//", ";", ",", "\"", "{", "[[[[",
	":", "\t", " ", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Content-Encoding: gzip\r\n", "Nats-Rollup: all\r\n",
	"Ce-Id: 2\r\n", "Connection: upgrade, ce-id\r\n", "99999999999999999999", "-1", "0x10", "1e9", "\\ud800", "null", "true",
}

// hook returns what a sender adds to sign a body.
func hook(section *sourcehttp.Config, body string) string {
	header := http.Header{}
	section.Authorize(header, "1", []byte(body), time.Now())
	var text strings.Builder
	_ = header.Write(&text) // to memory
	return text.String()
}

func githubHook() *sourcehttp.Config {
	return &sourcehttp.Config{Verify: &signature.Config{GitHub: &signature.Shared{Secret: config.Secrets{config.NewSecret(hookSecret)}}}}
}

func stripeHook() *sourcehttp.Config {
	shared := signature.Shared{Secret: config.Secrets{config.NewSecret("whsec_" + hookSecret)}}
	return &sourcehttp.Config{Verify: &signature.Config{Stripe: &signature.Timed{Shared: shared}}}
}

// request is a whole request with a body.
func request(line, headers, body string) string {
	return fmt.Sprintf("%s HTTP/1.1\r\nHost: hooks.example.com\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s", line, headers, len(body), body)
}

// goodRequests are accepted as they stand.
func goodRequests(t *testing.T) []string {
	t.Helper()
	const (
		jsonType = "Content-Type: application/json\r\n"
		body     = `{"id":"evt_1","order":8,"text":"\u20ac","list":[1,2,{"a":null}]}`
		one      = `{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"s","time":"2026-01-31T15:04:05Z","n":5,"data":{"a":[1]}}`
		binary   = "Ce-Specversion: 1.0\r\nCe-Id: a%20b\r\nCe-Source: /s\r\nCe-Type: t\r\nCe-Subject: %E2%82%AC\r\nCe-Partitionkey: p\r\n"
	)
	return []string{
		request("POST /plain", jsonType, body),
		request("POST /plain", "Content-Type: text/csv\r\n", "a;b\n1;2\n"),
		request("POST /plain", binary+jsonType, body),
		request("POST /plain", "Content-Type: application/cloudevents+json\r\n", one),
		request("POST /plain", "Content-Type: application/cloudevents-batch+json; charset=utf-8\r\n", "["+one+","+one+"]"),
		request("POST /plain", jsonType+"Content-Encoding: gzip\r\n", zip(t, body)),
		request("PUT /whole/a/b?c=d&c=e&f=%20", jsonType+"X-Event: push\r\nX-Other: 1\r\n", body),
		request("POST /whole/form", "Content-Type: application/x-www-form-urlencoded\r\n", "a=1&b=%E2%82%AC"),
		"GET /whole/look?hub.challenge=7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		request("POST /token", "Authorization: Bearer a-token-of-the-hook\r\n"+jsonType, body),
		request("POST /github", hook(githubHook(), body)+"X-GitHub-Delivery: d-1\r\n"+jsonType, body),
		request("POST /stripe", hook(stripeHook(), body)+jsonType, body),
		request("POST /grid", "X-Id: 1\r\n"+jsonType, body),
		"OPTIONS /grid HTTP/1.1\r\nHost: x\r\nConnection: close\r\nWebHook-Request-Origin: a.example.com\r\nWebHook-Request-Rate: 60\r\n\r\n",
		"POST /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + jsonType + "Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n",
	}
}
