package http

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"github.com/valyala/fasthttp"

	"sluice/event"
	"sluice/sinks"
)

// plain fails the test when an error is long, or would disturb a terminal.
func plain(t *testing.T, err error) {
	t.Helper()
	if text := err.Error(); len(text) > 6*sinks.ExcerptBytes || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("an error of %d bytes: %q", len(text), text)
	}
}

// Whatever a worker answers to a batch, a failure that it names is not taken
// for done.
func FuzzPartial(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", `{"batchItemFailures":[]}`, `{"batchItemFailures":[{"itemIdentifier":"inc.1.t"}]}`,
		`{"batchItemFailures":[{"itemIdentifier":"inc.2.t"},{"itemIdentifier":null}]}`, `{"batchItemFailures":[{"itemIdentifier":7}]}`, "[1,2]",
	} {
		f.Add([]byte(seed))
	}
	deliveries := []sinks.Delivery{{ID: "inc.1.t"}, {ID: "inc.2.t"}, {ID: "inc.3.t"}}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := partial(body, deliveries)
		some, isPartial := errors.AsType[*sinks.PartialError](err)
		switch {
		case isPartial:
			if len(some.Failed) == 0 || len(some.Failed) > len(deliveries) {
				t.Errorf("%d of %d have failed", len(some.Failed), len(deliveries))
			}
			for i := range some.Failed {
				if i < 0 || i >= len(deliveries) {
					t.Errorf("the failed one is %d", i)
				}
			}
		case err != nil:
			plain(t, err)
			return
		}
		var answer struct {
			Failures []struct{ ItemIdentifier string }
		}
		var members map[string]json.RawMessage
		_ = json.Unmarshal(body, &members) // what is no object names nobody
		_ = json.Unmarshal(members["batchItemFailures"], &answer.Failures)
		for _, failure := range answer.Failures {
			for i := range deliveries {
				if deliveries[i].ID == failure.ItemIdentifier && (!isPartial || some.Failed[i] == nil) {
					t.Errorf("%q is done although it is named", failure.ItemIdentifier)
				}
			}
		}
	})
}

// Whatever a worker answers, what is published of it keeps the rules of
// CloudEvents, and counts one hop.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nce-specversion: 1.0\r\nce-type: t\r\nce-x: %41\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nContent-Type: application/cloudevents+json\r\nContent-Length: 33\r\n\r\n" + `{"specversion":"1.0","type":"tt"}`,
		"HTTP/1.1 200 OK\r\nContent-Type: application/cloudevents-batch+json\r\nContent-Length: 35\r\n\r\n" + `[{"specversion":"1.0","type":"tt"}]`,
		"HTTP/1.1 200 OK\r\nContent-Encoding: \x7f\r\nContent-Length: 1\r\n\r\nx",
	} {
		f.Add([]byte(seed))
	}
	r := &replier{name: "f", maxHops: 1}
	d := &sinks.Delivery{ID: "inc.1.t", Event: &event.Event{ID: "e", Source: "/s", Type: "t"}}
	f.Fuzz(func(t *testing.T, answer []byte) {
		resp := fasthttp.AcquireResponse()
		defer fasthttp.ReleaseResponse(resp)
		if _, err := read(resp, bufio.NewReader(bytes.NewReader(answer)), false); err != nil {
			return
		}
		replies, err := r.events(resp, false, d)
		if err != nil {
			if !sinks.IsPermanent(err) {
				t.Errorf("%v is not permanent", err)
			}
			plain(t, err)
			return
		}
		for i := range replies {
			if err := replies[i].Validate(); err != nil || sinks.Hops(&replies[i]) != 1 {
				t.Errorf("published: %+v, %v", replies[i], err)
			}
		}
	})
}

// Whatever a worker answers to a handshake, nothing is sent without its
// consent.
func FuzzConsent(f *testing.F) {
	f.Add("*", "10", 0)
	f.Add("a.example.com", "*", 5)
	f.Add("b.example.com", "0", -1)
	f.Fuzz(func(t *testing.T, origin, allowed string, asks int) {
		resp := fasthttp.AcquireResponse()
		defer fasthttp.ReleaseResponse(resp)
		resp.Header.Set(headerAllowedOrigin, origin)
		resp.Header.Set(headerAllowedRate, allowed)
		p := newPermission(&Handshake{Origin: "a.example.com", Rate: max(asks, 0)})
		limit, err := p.allowed(resp)
		if err != nil {
			plain(t, err)
			return
		}
		heard := string(resp.Header.Peek(headerAllowedOrigin))
		if heard != "*" && heard != "a.example.com" || limit <= 0 {
			t.Errorf("%q and %q allow %v", origin, allowed, limit)
		}
	})
}
