package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/admin"
)

// TestTransformsAndTemplates follows a delivery that its transform cannot make:
// its letter names the expression and the place, and keeps the event as it came;
// its replay goes through the transform that the file has by then. The template
// of the URL fills in what the transform has made.
func TestTransformsAndTemplates(t *testing.T) {
	requests := make(chan string, 1)
	worker := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- r.RequestURI + " " + r.Header.Get("X-Who") + " " + string(body)
	}))
	t.Cleanup(worker.Close)
	in := install(t, "dev", func(text string) string {
		text, _, _ = strings.Cut(text, "triggers:")
		return text + `triggers:
  bill:
    on: orders
    transform: '{id: .data.id, total: (.data.lines | map(.price.cents) | add)}'
    to: {http: {url: "` + worker.URL + `/bills/{{ .data.id }}?of={{ .id }}", headers: {X-Who: "for {{ .data.total }}"}}}
`
	})
	if got, code := in.send("--id", "a b", "--data", `{"id":"7/8","lines":[{"price":3}]}`, "--wait"); code != exitPartly {
		t.Fatalf("exit code %d:\n%s", code, got)
	}
	list, _ := in.do("dlq", "list", "-o", "json")
	var letters admin.Letters
	if err := json.Unmarshal([]byte(list), &letters); err != nil || len(letters.Letters) != 1 {
		t.Fatalf("%v: %s", err, list)
	}
	letter := letters.Letters[0].ID
	in.want(strings.ReplaceAll(`Letter  LOG.1.bill
  trigger  bill
  source  orders  /sluice/send
  event  test.event  a b
  accepted  TIME  AGO
  died  TIME  AGO
  reason  permanent
  error  transform: the expression '{id: .data.id, total: (.data.lines | map(.price.cents) | add)}', in 'map(.price.cents)' of .data.lines: expected an object but got: number (3)
  data  {"id":"7/8","lines":[{"price":3}]}

ATTEMPT  AT  STATUS  TOOK  ERROR
1  TIME  -  SPAN  transform: the expression '{id: .data.id, total: (.data.lines | map(.price.cents) | add)}', in 'map(.price.cents)' of .…

replay it: sluice dlq replay LOG.1.bill
`, "'", "`"), exitOK, "dlq", "show", letter)

	text, err := os.ReadFile(in.path)
	if err != nil {
		t.Fatal(err)
	}
	in.write(strings.Replace(string(text), ".price.cents", ".price", 1))
	in.eventually("it is taken over", func() bool { return strings.Contains(in.out.String(), "taken over; triggers: changed bill") })
	in.want("1 letter replayed\n", exitOK, "dlq", "replay", letter)
	if got, want := <-requests, `/bills/7%2F8?of=a%20b for 3 {"id":"7/8","total":3}`; got != want {
		t.Errorf("the worker was sent\n%s\nwant\n%s", got, want)
	}
}

// TestBadTemplatesInTheFile checks that each is named with its place.
func TestBadTemplatesInTheFile(t *testing.T) {
	path := writeFile(t, `sources: {hooks: {http: {path: /h, token: abcdefghijklmnop}}}
triggers:
  report:
    on: hooks
    to:
      http:
        url: "http://{{ .data.host }}/x"
        headers: {X-A: "{{ .id | }}"}
`, 0o600)
	got := sluice(t, nil, "validate", "-c", path)
	for _, want := range []string{
		":7:9: triggers.report.to.http.url: found {{ before the path: no event chooses the scheme, the host or the port of a request",
		":8:19: triggers.report.to.http.headers.X-A: at character 9 of the template: it ends too early: unexpected EOF",
	} {
		if !strings.Contains(got.stdout+got.stderr, want) {
			t.Errorf("%+v, want %s", got, want)
		}
	}
}
