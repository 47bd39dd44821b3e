package event

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The generators of valid events.
var (
	anyText    = rapid.StringOf(rapid.RuneFrom(nil, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Zs, unicode.Co).Filter(isAllowed))
	plainText  = rapid.StringMatching(`[A-Za-z0-9/:._-]{1,20}`)
	names      = rapid.StringMatching(`[a-z0-9]{1,20}`).Filter(func(s string) bool { return checkExtensionName(s) == nil })
	sources    = rapid.StringMatching(`(https://[a-z]{1,8}\.example(:[0-9]{1,4})?)?(/[A-Za-z0-9._~!$&'()*+,;=:@-]{1,8}(%[0-9A-F]{2})?){1,3}(\?[a-z0-9=/]{0,8})?(#[a-z]{0,5})?|urn:[a-z]{1,5}:[a-z0-9]{1,9}`)
	mediaTypes = rapid.SampledFrom([]string{
		"", "application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json", "text/json", "text/plain",
		"text/plain; charset=iso-8859-1", "application/xml", "image/svg+xml", "application/octet-stream", "application/x-protobuf",
	})
)

func isAllowed(r rune) bool { return allowedRune(r, string(r)) }

func times() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		seconds := rapid.Int64Range(-62135596799, 253402214400).Draw(t, "seconds")
		nanos := rapid.Int64Range(0, 999_999_999).Draw(t, "nanos")
		offset := 60 * rapid.IntRange(-14*60, 14*60).Draw(t, "offset")
		at := time.Unix(seconds, nanos).In(time.FixedZone("", offset))
		if at.Year() < 1 || at.Year() > 9999 {
			at = at.UTC()
		}
		return at
	})
}

func payloads() *rapid.Generator[[]byte] {
	return rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 40),
		rapid.Map(anyText, func(s string) []byte { return []byte(s) }),
		rapid.Map(anyText, func(s string) []byte { return AppendQuoted(nil, s) }),
		rapid.SampledFrom([][]byte{[]byte("null"), []byte(` {"a": [1, 2.50, "\ud83d\ude00"]} `), []byte("0"), []byte(`"\u0000"`), nil}),
	)
}

func extensionValues() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.Map(anyText, func(s string) any { return s }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.Int32(), func(n int32) any { return n }),
	)
}

// events returns valid events whose texts come from text.
func events(text *rapid.Generator[string]) *rapid.Generator[Event] {
	nonEmpty := text.Filter(func(s string) bool { return s != "" })
	return rapid.Custom(func(t *rapid.T) Event {
		e := Event{
			ID:              nonEmpty.Draw(t, "id"),
			Source:          sources.Draw(t, "source"),
			Type:            nonEmpty.Draw(t, "type"),
			Subject:         text.Draw(t, "subject"),
			DataContentType: mediaTypes.Draw(t, "datacontenttype"),
			DataSchema:      rapid.SampledFrom([]string{"", "https://x.example/schema?v=1#a", "urn:x:y"}).Draw(t, "dataschema"),
			Extensions:      rapid.MapOfN(names, extensionValues(), 0, 4).Draw(t, "extensions"),
			Data:            payloads().Draw(t, "data"),
		}
		if rapid.Bool().Draw(t, "timed") {
			e.Time = times().Draw(t, "time")
		}
		if len(e.Extensions) == 0 {
			e.Extensions = nil
		}
		if len(e.Data) == 0 {
			e.Data = nil
		}
		return e
	})
}

// throughJSON returns what a trip through the JSON format makes of an event.
func throughJSON(e Event) Event {
	if len(e.Data) > 0 && IsJSON(e.DataContentType) && json.Valid(e.Data) && utf8.Valid(e.Data) {
		e.Data = bytes.TrimSpace(e.Data)
		if e.DataContentType == "" {
			e.DataContentType = "application/json"
		}
	}
	return e
}

// same fails when two events differ in anything, the zone of the time included.
func same(t interface{ Errorf(string, ...any) }, want, got Event) {
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the event has changed (-want +got):\n%s", diff)
	}
	if w, g := want.Time.Format(time.RFC3339Nano), got.Time.Format(time.RFC3339Nano); w != g {
		t.Errorf("time %s, want %s", g, w)
	}
}

func TestGeneratedEventsAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := events(anyText).Draw(t, "event")
		if err := e.Validate(); err != nil {
			t.Errorf("%v", err)
		}
	})
}
