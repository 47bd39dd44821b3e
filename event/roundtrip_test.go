package event

import (
	"encoding/json"
	"maps"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := events(anyText).Draw(t, "event")
		text := e.AppendJSON(nil)
		if !json.Valid(text) {
			t.Fatalf("not JSON: %s", text)
		}
		got, err := DecodeJSON(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		same(t, throughJSON(e), got)
	})
}

func TestMarshalRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := events(anyText).Draw(t, "event")
		text, err := json.Marshal(map[string]any{"event": e})
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Event Event }
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		want := throughJSON(e)
		if IsJSON(e.DataContentType) && json.Valid(e.Data) { // encoding/json writes it in its own way
			want.Data, got.Event.Data = nil, nil
		}
		same(t, want, got.Event)
	})
}

func TestBatchRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batch := rapid.SliceOfN(events(anyText), 0, 4).Draw(t, "batch")
		pointers := make([]*Event, len(batch))
		for i := range batch {
			pointers[i] = &batch[i]
		}
		text := AppendBatchJSON(nil, pointers...)
		got, err := DecodeBatchJSON(text)
		if err != nil || len(got) != len(batch) {
			t.Fatalf("%s: %d events, %v", text, len(got), err)
		}
		for i := range got {
			same(t, throughJSON(batch[i]), got[i])
		}
	})
}

// strung returns e with every extension in its string form, as binary mode
// carries them over HTTP.
func strung(e Event) Event {
	e.Extensions = maps.Clone(e.Extensions)
	for name := range e.Extensions {
		e.Extensions[name] = e.Extension(name)
	}
	return e
}

func TestHTTPBinaryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := events(anyText).Draw(t, "event")
		header := http.Header{}
		e.HTTPHeaders(func(name, value string) {
			if !printable(value) {
				t.Errorf("%s: %q breaks out of a header", name, value)
			}
			header.Add(name, value)
		})
		got, mode, err := DecodeHTTP(header, e.Data)
		if err != nil || mode != ModeBinary || len(got) != 1 {
			t.Fatalf("%v: %d events in mode %v: %v", header, len(got), mode, err)
		}
		same(t, strung(e), got[0])
	})
}

func TestStoredRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Directed{Trigger: "x", Origin: anyText.Draw(t, "origin"), Event: events(anyText).Draw(t, "event")}
		header := EncodeDirectedHeader(&d)
		for name, values := range header {
			if len(values) != 1 || !printable(name) || !printable(values[0]) {
				t.Errorf("%s: %q is no header", name, values)
			}
		}
		header["Nats-Msg-Id"] = []string{"x"}
		header["Sluice-Later"] = []string{"x"}
		got, err := DecodeHeader(header, d.Event.Data)
		if err != nil {
			t.Fatalf("%v: %v", header, err)
		}
		same(t, d.Event, *got)
		if origin, err := FieldsOf(header).Origin(); err != nil || origin != d.Origin {
			t.Errorf("origin %q, %v, want %q", origin, err, d.Origin)
		}
	})
}

// What was never validated must not break out of a header or of JSON either.
func TestEncodersTakeAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		e := Event{
			ID: text.Draw(t, "id"), Source: text.Draw(t, "source"), Type: text.Draw(t, "type"),
			DataContentType: text.Draw(t, "datacontenttype") + string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")),
			Extensions:      map[string]any{"x": string(rapid.SliceOf(rapid.Byte()).Draw(t, "extension"))},
			Data:            payloads().Draw(t, "data"),
		}
		for name, values := range EncodeHeader(&e) {
			if !printable(values[0]) {
				t.Errorf("%s: %q breaks out of a header", name, values)
			}
		}
		if text := e.AppendJSON(nil); !json.Valid(text) {
			t.Errorf("not JSON: %q", text)
		}
	})
}

func TestCloneSharesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := events(anyText).Draw(t, "event")
		clone := e.Clone()
		same(t, e, clone)
		before := string(e.AppendJSON(nil))
		for i := range clone.Data {
			clone.Data[i]++
		}
		if err := clone.SetExtension("added", true); err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(clone.Extensions, func(name string, _ any) bool { return name != "added" })
		if diff := cmp.Diff(before, string(e.AppendJSON(nil))); diff != "" && e.Extensions["added"] == nil {
			t.Errorf("a change of the clone shows (-before +after):\n%s", diff)
		}
	})
}
