package http_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sluice/event"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

func batchMode(c *sinkhttp.Config) { c.Mode = sinkhttp.Batch }

// three returns an attempt of three deliveries with the numbers 1 to 3.
func three() sinks.Attempt {
	a := sinks.Attempt{Trigger: "resize", Claim: 12}
	for n := 1; n <= 3; n++ {
		e := sample()
		e.ID = fmt.Sprintf("e%d", n)
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: fmt.Sprintf("inc.%d.resize", n), Attempt: n, Event: e})
	}
	return a
}

func TestABatchIsOneRequest(t *testing.T) {
	var header http.Header
	var events []event.Event
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		header = r.Header
		var err error
		if events, _, err = event.DecodeHTTP(r.Header, body); err != nil {
			t.Error(err)
		}
	})
	s := build(t, server.URL, batchMode, sign(whsec(24)))
	a := three()
	a.Deliveries[1].Event.Extensions[sinks.AttributeDelivery] = "from outside"
	for range 2 {
		if _, err := s.Deliver(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if len(events) != 3 || header.Get("Content-Type") != event.MediaTypeBatchJSON || header.Get("Sluice-Batch") != "3" ||
		header.Get("Sluice-Trigger") != "resize" || header.Get("Sluice-Claim") != "12" || header.Get("Sluice-Delivery") != "" {
		t.Fatalf("%d events, %v", len(events), header)
	}
	for i, e := range events {
		want := fmt.Sprintf("e%d inc.%d.resize %d 7", i+1, i+1, i+1)
		if got := fmt.Sprintf("%s %s %s %s", e.ID, e.Extension("sluicedelivery"), e.Extension("sluiceattempt"), e.Extension("count")); got != want {
			t.Errorf("event %d is %q, want %q", i, got, want)
		}
	}
	if a.Deliveries[1].Event.Extension(sinks.AttributeDelivery) != "from outside" {
		t.Error("the event was changed")
	}
	whole := header.Get("Webhook-Id")
	a.Deliveries = a.Deliveries[:2]
	if _, err := s.Deliver(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if smaller := header.Get("Webhook-Id"); smaller == whole || !strings.HasPrefix(smaller, "batch_") {
		t.Errorf("the ids are %s and %s", whole, smaller)
	}
}

func TestPartialAnswers(t *testing.T) {
	const lost = "answered 200 OK, but which deliveries have failed cannot be told: "
	reported := func(ids ...string) string {
		return `{"batchItemFailures":[{"itemIdentifier":"` + strings.Join(ids, `"},{"itemIdentifier":"`) + `"}]}`
	}
	for body, want := range map[string]string{
		"":                                       "done",
		" \n":                                    "done",
		"null":                                   "done",
		"{}":                                     "done",
		`{"batchItemFailures":[]}`:               "done",
		`{"batchItemFailures":null}`:             "done",
		`{"batchItemFailures":[],"took":7}`:      "done",
		reported("inc.2.resize"):                 "[1]",
		reported("inc.3.resize", "inc.1.resize"): "[0 2]",
		reported("inc.3.resize", "inc.3.resize"): "[2]",
		reported("inc.4.resize"):                 lost + `batchItemFailures[0] names "inc.4.resize", which is no sluicedelivery of the batch`,
		reported("inc.1.resize", "e2"):           lost + `batchItemFailures[1] names "e2", which is no sluicedelivery of the batch`,
		reported(""):                             lost + "batchItemFailures[0] has no itemIdentifier with a text",
		`{"batchItemFailures":[{"itemIdentifier":null}]}`:           lost + "batchItemFailures[0] has no itemIdentifier with a text",
		`{"batchItemFailures":[{"itemIdentifier":2}]}`:              lost + "batchItemFailures[0] has no itemIdentifier with a text",
		`{"batchItemFailures":[{"ItemIdentifier":"inc.1.resize"}]}`: lost + "batchItemFailures[0] has no itemIdentifier with a text",
		`{"batchItemFailures":[null]}`:                              lost + "batchItemFailures[0] has no itemIdentifier with a text",
		`{"batchItemFailures":["inc.1.resize"]}`:                    lost + `batchItemFailures is no list of objects: "[\"inc.1.resize\"]"`,
		`{"batchItemFailures":{}}`:                                  lost + `batchItemFailures is no list of objects: "{}"`,
		`{"batchitemfailures":[]}`:                                  lost + `the body has no batchItemFailures: "{\"batchitemfailures\":[]}"`,
		`{"batchItemFailures":[`:                                    lost + `the body is "{\"batchItemFailures\":["; answer nothing, or {"batchItemFailures": […]}`,
		`{} {}`:                                                     lost + `the body is "{} {}"; answer nothing, or {"batchItemFailures": […]}`,
		"[]":                                                        lost + `the body is "[]"; answer nothing, or {"batchItemFailures": […]}`,
		"OK":                                                        lost + `the body is "OK"; answer nothing, or {"batchItemFailures": […]}`,
		strings.Repeat(" ", 2<<20):                                  lost + "the answer's body is over the limit",
	} {
		_, err := build(t, serve(t, answer(200, "", "", body)).URL, batchMode).Deliver(t.Context(), three())
		got := decision(err)
		if partial, ok := errors.AsType[*sinks.PartialError](err); ok {
			got = fmt.Sprint(slices.Sorted(maps.Keys(partial.Failed)))
		} else if err != nil {
			got = err.Error()
			if sinks.IsPermanent(err) {
				t.Errorf("%.80q is permanent", body)
			}
		}
		if got != want {
			t.Errorf("%.80q:\n got %s\nwant %s", body, got, want)
		}
	}
}

func TestTheStatusOfABatchIsOfAll(t *testing.T) {
	failures := `{"batchItemFailures":[{"itemIdentifier":"inc.2.resize"}]}`
	for status, want := range map[int]string{500: "retry", 400: "dead", 410: "gone", 409: "done"} {
		s := build(t, serve(t, answer(status, "", "", failures)).URL, batchMode, func(c *sinkhttp.Config) { c.Status.Done = codes(t, "409") })
		_, err := s.Deliver(t.Context(), three())
		if _, partial := errors.AsType[*sinks.PartialError](err); partial || decision(err) != want {
			t.Errorf("%d: %v, want %s", status, err, want)
		}
	}
}
