package event

import (
	"testing"
	"time"
)

func sample() Event {
	return Event{
		ID: "photos/in/a.jpg/3HL4kqtJlcpXroDTDmJ", Source: "s3://photos", Type: "s3.object.created.put",
		Subject: "in/a.jpg", Time: time.Date(2026, 1, 31, 15, 4, 5, 123456789, time.UTC),
		DataContentType: "application/json",
		Extensions:      map[string]any{"partitionkey": "in/a.jpg"},
		Data:            []byte(`{"bucket":"photos","key":"in/a.jpg","size":48123,"etag":"9b2cf535f27731c974343645a3985328"}`),
	}
}

func BenchmarkEncodeHeader(b *testing.B) {
	e := sample()
	b.ReportAllocs()
	for b.Loop() {
		EncodeHeader(&e)
	}
}

func BenchmarkDecodeHeader(b *testing.B) {
	e := sample()
	header := EncodeHeader(&e)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeHeader(header, e.Data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHTTPHeaders(b *testing.B) {
	e := sample()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		e.HTTPHeaders(func(name, value string) { n += len(name) + len(value) })
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	e := sample()
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendJSON(dst[:0])
	}
}

func BenchmarkDecodeJSON(b *testing.B) {
	e := sample()
	text := e.AppendJSON(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeJSON(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	e := sample()
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDedupID(b *testing.B) {
	e := sample()
	b.ReportAllocs()
	for b.Loop() {
		DedupID("uploads", e.Source, e.ID)
	}
}
