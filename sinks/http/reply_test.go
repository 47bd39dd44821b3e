package http_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sluice/event"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

func publish(c *sinkhttp.Config) { c.Reply = sinks.ReplyPublish }

// shown is what matters of a reply.
func shown(replies []event.Event) string {
	var all []string
	for _, e := range replies {
		all = append(all, fmt.Sprintf("%s %s %s %s %q hop %s", e.ID, e.Source, e.Type, e.DataContentType, e.Data, e.Extension("sluicehops")))
	}
	return strings.Join(all, "\n")
}

// respond answers with headers, given as name and value by turns, and a body.
func respond(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header()[headers[i]] = []string{headers[i+1]}
		}
		answer(status, "", "", body)(w, r)
	}
}

func TestAnswersBecomeEvents(t *testing.T) {
	const (
		jsonType, one, batch = "application/json", event.MediaTypeJSON, event.MediaTypeBatchJSON
		no                   = "the answer cannot be published: "
		structured           = `{"specversion":"1.0","id":"r1","source":"/w","type":"done","sluicehops":0,"datacontenttype":"application/json","data":{"a":1}}`
		nameless             = `{"specversion":"1.0","type":"done"}`
	)
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"nothing":             {respond(200, ""), ""},
		"204":                 {respond(204, ""), ""},
		"202":                 {respond(202, "taken", "Content-Type", "text/plain"), ""},
		"plain":               {respond(200, `{"a":1}`, "Content-Type", jsonType), `inc.42.resize.0 /resize sluice.reply application/json "{\"a\":1}" hop 1`},
		"text":                {respond(201, "hello", "Content-Type", "text/plain; charset=utf-8"), `inc.42.resize.0 /resize sluice.reply text/plain; charset=utf-8 "hello" hop 1`},
		"binary":              {respond(200, "x", "Content-Type", "text/plain", "Ce-Specversion", "1.0", "Ce-Id", "r1", "Ce-Source", "/w", "Ce-Type", "done"), `r1 /w done text/plain "x" hop 1`},
		"binary without data": {respond(200, "", "Ce-Specversion", "1.0", "Ce-Type", "done"), `inc.42.resize.0 /resize done  "" hop 1`},
		"structured":          {respond(200, structured, "Content-Type", one), `r1 /w done application/json "{\"a\":1}" hop 1`},
		"batch":               {respond(200, "["+structured+","+nameless+"]", "Content-Type", batch), `r1 /w done application/json "{\"a\":1}" hop 1` + "\n" + `inc.42.resize.1 /resize done  "" hop 1`},
		"empty batch":         {respond(200, "[]", "Content-Type", batch), ""},

		"no content type":   {respond(200, "x", "Content-Type", ""), no + "it has a body and no Content-Type; say what the body is, such as application/json"},
		"no JSON":           {respond(200, "{", "Content-Type", jsonType), no + `its Content-Type says JSON, but the body is not: "{"`},
		"no event":          {respond(200, "{}", "Content-Type", one), no + "specversion: missing: every event needs specversion \"1.0\""},
		"no batch":          {respond(200, "{}", "Content-Type", batch), no + "found an object, want an array of events"},
		"broken in a batch": {respond(200, "["+structured+",7]", "Content-Type", batch), no + "event 1: found a number, want an event: an object"},
		"bad attribute":     {respond(200, `{"specversion":"1.0","type":"done","source":"a b"}`, "Content-Type", one), `event 0 of the reply: source: "a b" is not a URI reference`},
		"no type":           {respond(200, `{"specversion":"1.0"}`, "Content-Type", one), "event 0 of the reply: type: missing: every event needs a non-empty type"},
		"another format":    {respond(200, "x", "Content-Type", "application/cloudevents+avro"), no + (&event.MediaTypeError{ContentType: "application/cloudevents+avro"}).Error()},
		"compressed":        {respond(200, "x", "Content-Type", jsonType, "Content-Encoding", "br"), no + `it is encoded as "br"; send it as it is`},
		"too large":         {respond(200, strings.Repeat("x", 1<<20+1), "Content-Type", "text/plain"), no + "it is over 1MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := deliver(t, build(t, serve(t, c.handler).URL, publish))
			got := shown(response.Replies[0])
			if err != nil {
				got = err.Error()
				if !sinks.IsPermanent(err) || len(response.Replies) > 0 {
					t.Errorf("%v is not permanent, or comes with %d replies", err, len(response.Replies))
				}
			}
			if got != c.want && (err == nil || c.want == "" || !strings.HasPrefix(got, c.want)) {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestAnswersThatAreNotAskedFor(t *testing.T) {
	plain := respond(200, "x", "Content-Type", "text/plain")
	if response, err := deliver(t, build(t, serve(t, plain).URL)); err != nil || len(response.Replies) != 0 {
		t.Errorf("without reply: %v, %v", response.Replies, err)
	}
	failed := respond(500, "x", "Content-Type", "text/plain")
	if response, err := deliver(t, build(t, serve(t, failed).URL, publish)); err == nil || len(response.Replies) != 0 {
		t.Errorf("of a failure: %v, %v", response.Replies, err)
	}
	s := build(t, serve(t, failed).URL, publish, func(c *sinkhttp.Config) { c.Status.Done = codes(t, "500") })
	if response, err := deliver(t, s); err != nil || len(response.Replies) != 0 {
		t.Errorf("of a status that counts as done: %v, %v", response.Replies, err)
	}
}

func TestRepliesOfSeveralDeliveries(t *testing.T) {
	s := build(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Ce-Id") == "e2" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		respond(200, r.Header.Get("Ce-Id"), "Content-Type", "text/plain")(w, r)
	}).URL, publish)
	response, err := s.Deliver(t.Context(), three())
	if err != nil || len(response.Replies) != 2 || string(response.Replies[0][0].Data) != "e1" || string(response.Replies[2][0].Data) != "e3" {
		t.Errorf("%+v, %v", response.Replies, err)
	}
}

func TestHopsAreCountedAndBounded(t *testing.T) {
	worker := serve(t, respond(200, "x", "Content-Type", "text/plain"))
	nobody := serve(t, respond(204, ""))
	for _, c := range []struct {
		hops any // of the event that is delivered
		max  int
		want string // of its reply, or the error
	}{
		{nil, 8, "1"},
		{int32(7), 8, "8"},
		{"7", 8, "8"}, // attributes in headers are texts
		{int32(8), 8, "the reply would be hop 9 and max_hops is 8: "},
		{int32(1), 1, "the reply would be hop 2 and max_hops is 1: "},
		{int32(-5), 8, "1"},
		{"many", 8, "1"},
		{"99999999999", 8, "the reply would be hop 2147483648 and max_hops is 8: "},
		{int32(1<<31 - 1), 8, "the reply would be hop 2147483648 and max_hops is 8: "},
		{true, 8, "1"},
	} {
		e := sample()
		if c.hops != nil {
			e.Extensions["sluicehops"] = c.hops
		}
		hops := func(conf *sinkhttp.Config) { conf.MaxHops = c.max }
		response, err := deliver(t, build(t, worker.URL, publish, hops), e)
		if err == nil && response.Replies[0][0].Extension("sluicehops") != c.want || err != nil && (!sinks.IsPermanent(err) || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%v: %v, %v, want %s", c.hops, response.Replies, err, c.want)
		}
		if _, err := deliver(t, build(t, nobody.URL, publish, hops), e); err != nil {
			t.Errorf("%v, without a reply: %v", c.hops, err)
		}
	}
}
