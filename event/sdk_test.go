package event

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/binding"
	sdk "github.com/cloudevents/sdk-go/v2/event"
	sdkhttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// toSDK makes the official library's event of ours, attribute by attribute.
func toSDK(t *rapid.T, e Event) sdk.Event {
	other := sdk.New(SpecVersion)
	other.SetID(e.ID)
	other.SetSource(e.Source)
	other.SetType(e.Type)
	if e.Subject != "" {
		other.SetSubject(e.Subject)
	}
	if !e.Time.IsZero() {
		other.SetTime(e.Time)
	}
	if e.DataSchema != "" {
		other.SetDataSchema(e.DataSchema)
	}
	for name, value := range e.Extensions {
		other.SetExtension(name, value)
	}
	if e.DataContentType != "" {
		other.SetDataContentType(e.DataContentType)
	}
	if len(e.Data) > 0 {
		other.DataEncoded = e.Data
		other.DataBase64 = !IsJSON(e.DataContentType) && !isText(e.DataContentType)
	}
	if err := other.Validate(); err != nil {
		t.Fatalf("the official library refuses %+v: %v", e, err)
	}
	return other
}

// fromSDK makes our event of the official library's.
func fromSDK(t *rapid.T, other sdk.Event) Event {
	e := Event{
		ID: other.ID(), Source: other.Source(), Type: other.Type(), Subject: other.Subject(), Time: other.Time(),
		DataContentType: other.DataContentType(), DataSchema: other.DataSchema(),
	}
	for name, value := range other.Extensions() {
		if err := e.SetExtension(name, value); err != nil {
			t.Fatalf("%v", err)
		}
	}
	if data := other.Data(); len(data) > 0 {
		e.Data = data
	}
	return e
}

// trimmed is text without white space around it, which the library takes away.
var trimmed = rapid.Map(anyText, strings.TrimSpace).Filter(func(s string) bool { return s != "" })

// shared draws an event that both sides can hold: the library's times are in UTC, it takes data for what its content type says without looking, and it
// does not percent-encode headers, so that text is plain there.
func shared(t *rapid.T, text *rapid.Generator[string]) Event {
	e := events(text).Draw(t, "event")
	e.Source = rapid.SampledFrom([]string{"https://x.example/a?b=c#d", "/a/b", "urn:x:y", "a"}).Draw(t, "plain source")
	e.Time = e.Time.UTC()
	for name, value := range e.Extensions {
		if _, isString := value.(string); isString {
			e.Extensions[name] = text.Draw(t, "extension")
		}
	}
	if IsJSON(e.DataContentType) {
		e.DataContentType = "application/json"
		e.Data = rapid.SampledFrom([][]byte{[]byte(`{"a":[1,2.5,null]}`), []byte(`"text"`), []byte("0"), nil}).Draw(t, "json")
	} else if isText(e.DataContentType) {
		e.Data = []byte(trimmed.Draw(t, "text"))
	}
	return e
}

func wantSame(t *rapid.T, want, got Event) {
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSDKReadsOurJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := shared(t, trimmed)
		var other sdk.Event
		if err := json.Unmarshal(e.AppendJSON(nil), &other); err != nil {
			t.Fatalf("%s: %v", e.AppendJSON(nil), err)
		}
		wantSame(t, e, fromSDK(t, other))
	})
}

func TestWeReadTheSDKsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := shared(t, trimmed)
		text, err := json.Marshal(toSDK(t, e))
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeJSON(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		wantSame(t, e, got)
	})
}

func requestOf(ctx context.Context, t *rapid.T, e Event) (http.Header, []byte) {
	request, err := sdkhttp.NewHTTPRequestFromEvent(ctx, "http://x.example", toSDK(t, e))
	if err != nil {
		t.Fatal(err)
	}
	var body []byte
	if request.Body != nil {
		if body, err = io.ReadAll(request.Body); err != nil {
			t.Fatal(err)
		}
	}
	return request.Header, body
}

func TestWeReadTheSDKsHTTP(t *testing.T) {
	modes := map[Mode]context.Context{
		ModeBinary:     binding.WithForceBinary(context.Background()),
		ModeStructured: binding.WithForceStructured(context.Background()),
	}
	rapid.Check(t, func(t *rapid.T) {
		e := shared(t, plainText)
		for want, ctx := range modes {
			header, body := requestOf(ctx, t, e)
			got, mode, err := DecodeHTTP(header, body)
			if err != nil || mode != want || len(got) != 1 {
				t.Fatalf("%v %s: %d events in mode %v: %v", header, body, len(got), mode, err)
			}
			if mode == ModeBinary {
				wantSame(t, strung(e), got[0])
			} else {
				wantSame(t, e, got[0])
			}
		}
	})
}

func TestWeReadTheSDKsBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, second := shared(t, plainText), shared(t, plainText)
		request, err := sdkhttp.NewHTTPRequestFromEvents(context.Background(), "http://x.example", []sdk.Event{toSDK(t, first), toSDK(t, second)})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Fatal(err)
		}
		got, mode, err := DecodeHTTP(request.Header, body)
		if err != nil || mode != ModeBatch || len(got) != 2 {
			t.Fatalf("%s: %d events in mode %v: %v", body, len(got), mode, err)
		}
		wantSame(t, first, got[0])
		wantSame(t, second, got[1])
	})
}

func request(t *rapid.T, contentType string, body []byte) *http.Request {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://x.example", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func TestSDKReadsOurHTTP(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := shared(t, plainText)
		binary := request(t, "", e.Data)
		e.HTTPHeaders(binary.Header.Set)
		other, err := sdkhttp.NewEventFromHTTPRequest(binary)
		if err != nil {
			t.Fatalf("%v: %v", binary.Header, err)
		}
		wantSame(t, strung(e), fromSDK(t, *other))

		structured := request(t, MediaTypeJSON, e.AppendJSON(nil))
		if other, err = sdkhttp.NewEventFromHTTPRequest(structured); err != nil {
			t.Fatal(err)
		}
		wantSame(t, e, fromSDK(t, *other))

		batch := request(t, MediaTypeBatchJSON, AppendBatchJSON(nil, &e, &e))
		others, err := sdkhttp.NewEventsFromHTTPRequest(batch)
		if err != nil || len(others) != 2 {
			t.Fatalf("%d events: %v", len(others), err)
		}
		wantSame(t, e, fromSDK(t, others[1]))
	})
}
