package event

import (
	"net/http"
	"strings"
	"testing"
)

func FuzzDecodeJSON(f *testing.F) {
	e := sample()
	f.Add(e.AppendJSON(nil))
	f.Add([]byte(`{"specversion":"1.0","id":"\ud83d\ude00","source":"","type":null,"n":-5,"b":true,"data_base64":"AAE="}`))
	f.Add([]byte(` {"specversion":"1.0","datacontenttype":"text/plain","data":"a\nb"} `))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := DecodeJSON(text)
		if err != nil || e.Validate() != nil {
			return
		}
		again, err := DecodeJSON(e.AppendJSON(nil))
		if err != nil {
			t.Fatalf("%s: %v", e.AppendJSON(nil), err)
		}
		same(t, throughJSON(e), again)
	})
}

func FuzzDecodeBatchJSON(f *testing.F) {
	e := sample()
	f.Add(AppendBatchJSON(nil, &e, &e))
	f.Add([]byte(` [ ] `))
	f.Fuzz(func(t *testing.T, text []byte) {
		events, err := DecodeBatchJSON(text)
		if err != nil {
			return
		}
		pointers := make([]*Event, len(events))
		for i := range events {
			pointers[i] = &events[i]
		}
		again, err := DecodeBatchJSON(AppendBatchJSON(nil, pointers...))
		if err != nil || len(again) != len(events) {
			t.Fatalf("%d events became %d: %v", len(events), len(again), err)
		}
	})
}

// headerOf reads lines of name: value.
func headerOf(lines string) http.Header {
	header := http.Header{}
	for line := range strings.SplitSeq(lines, "\n") {
		if name, value, found := strings.Cut(line, ":"); found {
			header.Add(name, strings.TrimSpace(value))
		}
	}
	return header
}

func FuzzDecodeHTTP(f *testing.F) {
	f.Add("ce-id: 1\nce-source: /a%20b\nce-type: \"x\\\"y\"\nce-specversion: 1.0\ncontent-type: text/plain", []byte("x"))
	f.Add("content-type: application/cloudevents+json; charset=utf-8", []byte(`{"specversion":"1.0"}`))
	f.Add("content-type: application/cloudevents-batch+json", []byte(`[]`))
	f.Fuzz(func(t *testing.T, lines string, body []byte) {
		events, mode, err := DecodeHTTP(headerOf(lines), body)
		if err != nil {
			return
		}
		for i := range events {
			if events[i].Validate() != nil {
				continue
			}
			header := http.Header{}
			events[i].HTTPHeaders(header.Add)
			again, _, err := DecodeHTTP(header, events[i].Data)
			if err != nil {
				t.Fatalf("mode %v: %v: %v", mode, header, err)
			}
			same(t, strung(events[i]), again[0])
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	e := sample()
	var lines strings.Builder
	for name, values := range EncodeHeader(&e) {
		lines.WriteString(name + ": " + values[0] + "\n")
	}
	f.Add(lines.String(), e.Data)
	f.Add("Sluice-Format: 2", []byte{})
	f.Add("Sluice-Format: 1\nce-specversion: 1.0\nce-id: 1\nce-source: /\nce-type: t\nce-n: 5\nSluice-Types: n=int", []byte{})
	f.Fuzz(func(t *testing.T, lines string, data []byte) {
		header := map[string][]string{}
		for line := range strings.SplitSeq(lines, "\n") {
			if name, value, found := strings.Cut(line, ":"); found {
				header[name] = append(header[name], strings.TrimSpace(value))
			}
		}
		e, err := DecodeHeader(header, data)
		if err != nil || e.Validate() != nil {
			return
		}
		again, err := DecodeHeader(EncodeHeader(e), e.Data)
		if err != nil {
			t.Fatalf("%v: %v", EncodeHeader(e), err)
		}
		same(t, *e, *again)
	})
}
