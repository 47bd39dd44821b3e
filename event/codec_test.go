package event

import (
	"errors"
	"maps"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const wantInt = "no whole number of 32 bits: send a larger or a fractional one as a string"

func TestDecodeJSONRefuses(t *testing.T) {
	cases := []struct{ text, want string }{
		{``, "not JSON: unexpected end of JSON input at byte 0"},
		{`{"id":}`, "not JSON: invalid character '}' looking for beginning of value at byte 7"},
		{`{} {}`, "not JSON: invalid character '{' after top-level value at byte 4"},
		{"{\"id\":\"\xff\"}", "the JSON is not UTF-8"},
		{`[]`, "found an array, want an event: an object"},
		{`"x"`, "found a string, want an event: an object"},
		{`{}`, `specversion: missing: every event needs specversion "1.0"`},
		{`{"specversion":"0.3"}`, `specversion: "0.3" is not supported: send "1.0"`},
		{`{"specversion":1.0}`, "specversion: found a number, want a string"},
		{`{"specversion":"1.0","id":1}`, "id: found a number, want a string"},
		{`{"specversion":"1.0","source":{}}`, "source: found an object, want a string"},
		{`{"specversion":"1.0","type":[]}`, "type: found an array, want a string"},
		{`{"specversion":"1.0","subject":true}`, "subject: found a boolean, want a string"},
		{`{"specversion":"1.0","time":"2026-02-30T00:00:00Z"}`, `time: "2026-02-30T00:00:00Z" is not an RFC 3339 time: write one such as 2026-01-31T15:04:05Z`},
		{`{"specversion":"1.0","time":"2026-01-31 00:00:00Z"}`, `time: "2026-01-31 00:00:00Z" is not an RFC 3339 time: write one such as 2026-01-31T15:04:05Z`},
		{`{"specversion":"1.0","time":1}`, "time: found a number, want a string"},
		{`{"specversion":"1.0","id":"1","id":"1"}`, "id: the member is there twice"},
		{`{"specversion":"1.0","x":"1","x":null}`, "x: the member is there twice"},
		{`{"specversion":"1.0","x":null,"x":1}`, "x: the member is there twice"},
		{`{"specversion":"1.0","data":null,"data":1}`, "data: the member is there twice"},
		{`{"specversion":"1.0","i\u0064":"1","id":"2"}`, "id: the member is there twice"},
		{`{"specversion":"1.0","ID":"1"}`, `"ID": attribute names are made of lower-case letters and digits`},
		{`{"specversion":"1.0","":"1"}`, `"": an attribute has no name`},
		{`{"specversion":"1.0","a\u0000":null}`, `"a\x00": attribute names are made of lower-case letters and digits`},
		{`{"specversion":"1.0","x":1.5}`, `x: "1.5" is ` + wantInt},
		{`{"specversion":"1.0","x":1e3}`, `x: "1e3" is ` + wantInt},
		{`{"specversion":"1.0","x":2147483648}`, `x: "2147483648" is ` + wantInt},
		{`{"specversion":"1.0","x":{"a":1}}`, "x: found an object, want a string, a boolean or a whole number"},
		{`{"specversion":"1.0","x":[1]}`, "x: found an array, want a string, a boolean or a whole number"},
		{`{"specversion":"1.0","id":"\udead"}`, "id: half of a surrogate pair stands alone"},
		{`{"specversion":"1.0","x":"\ud800\u0041"}`, "x: half of a surrogate pair stands alone"},
		{`{"specversion":"1.0","\ud800":1}`, "the name of a member: half of a surrogate pair stands alone"},
		{`{"specversion":"1.0","data":1,"data_base64":"AA=="}`, "data_base64: an event has either data or data_base64, found both"},
		{`{"specversion":"1.0","data_base64":1}`, "data_base64: found a number, want a string of base64"},
		{`{"specversion":"1.0","data_base64":"A"}`, "data_base64: not base64 of RFC 4648, section 4: illegal base64 data at input byte 0"},
		{
			`{"specversion":"1.0","datacontenttype":"text/plain","data":{}}`,
			`data: found an object, but data of content type "text/plain" is written as a string, or as data_base64`,
		},
		{`{"specversion":"1.0","datacontenttype":"text/plain","data":"\udead"}`, "data: half of a surrogate pair stands alone"},
	}
	for _, c := range cases {
		_, err := DecodeJSON([]byte(c.text))
		if got := message(err); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.text, got, c.want)
		}
		var e Event
		if err := e.UnmarshalJSON([]byte(c.text)); err == nil {
			t.Errorf("%s: UnmarshalJSON takes it", c.text)
		}
	}
}

func TestDecodeJSON(t *testing.T) {
	const start = `{"specversion":"1.0","id":"1","source":"/s","type":"t"`
	base := Event{ID: "1", Source: "/s", Type: "t"}
	cases := []struct {
		name, text string
		change     func(e *Event)
	}{
		{"no data", start + `}`, func(*Event) {}},
		{"nulls", start + `,"subject":null,"time":null,"x":null,"data_base64":null}`, func(*Event) {}},
		{"extensions", start + `,"a":-5,"b":false,"c":"\ud83d\ude00\n"}`, func(e *Event) {
			e.Extensions = map[string]any{"a": int32(-5), "b": false, "c": "😀\n"}
		}},
		{"data as it was written", start + `,"data": { "n": 1.50, "n": 2 , "s": "}\"]" } }`, func(e *Event) {
			e.DataContentType, e.Data = "application/json", []byte(`{ "n": 1.50, "n": 2 , "s": "}\"]" }`)
		}},
		{"data null", start + `,"data":null}`, func(e *Event) { e.DataContentType, e.Data = "application/json", []byte("null") }},
		{"data before its content type", `{"data":"<a/>","datacontenttype":"application/xml",` + start[1:] + `}`, func(e *Event) {
			e.DataContentType, e.Data = "application/xml", []byte("<a/>")
		}},
		{"a JSON string is JSON", start + `,"datacontenttype":"application/vnd.x+json; v=1","data":"{}"}`, func(e *Event) {
			e.DataContentType, e.Data = "application/vnd.x+json; v=1", []byte(`"{}"`)
		}},
		{"text null", start + `,"datacontenttype":"text/plain","data":null}`, func(e *Event) { e.DataContentType = "text/plain" }},
		{"base64", start + `,"data_base64":"AAE="}`, func(e *Event) { e.Data = []byte{0, 1} }},
		{"time", start + `,"time":"2026-01-31t15:04:05.5+02:00"}`, func(e *Event) {
			e.Time = time.Date(2026, 1, 31, 15, 4, 5, 5e8, time.FixedZone("", 7200))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := base.Clone()
			c.change(&want)
			got, err := DecodeJSON([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			same(t, want, got)
		})
	}
}

func TestAppendJSONData(t *testing.T) {
	cases := []struct{ contentType, data, want string }{
		{"", `{"a": 1}`, `"data":{"a": 1}`},
		{"", "plain", `"data_base64":"cGxhaW4="`},
		{"application/json", `{"a":`, `"data_base64":"eyJhIjo="`},
		{"application/json", "\"\xff\"", `"data_base64":"Iv8i"`},
		{"text/html", "<a href=\"x\">\x01", `"data":"<a href=\"x\">\u0001"`},
		{"text/plain", "\xff", `"data_base64":"/w=="`},
		{"text/plain; charset=latin1", "a", `"data_base64":"YQ=="`},
		{"application/octet-stream", "a", `"data_base64":"YQ=="`},
		{"image/svg+xml", "<svg/>", `"data":"<svg/>"`},
		{"application/json", "", ``},
	}
	for _, c := range cases {
		e := Event{ID: "1", Source: "/", Type: "t", DataContentType: c.contentType, Data: []byte(c.data)}
		want := `{"specversion":"1.0","id":"1","source":"/","type":"t"`
		if c.contentType != "" {
			want += `,"datacontenttype":"` + c.contentType + `"`
		}
		if c.want != "" {
			want += "," + c.want
		}
		if got := string(e.AppendJSON(nil)); got != want+"}" {
			t.Errorf("got  %s\nwant %s}", got, want)
		}
	}
}

func TestHeaderValues(t *testing.T) {
	cases := []struct{ header, value string }{
		{"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"}, // the specification's example
		{"plain", "plain"},
		{"100%25", "100%"},
		{"%22a%22", `"a"`},
	}
	for _, c := range cases {
		if got := encodeValue(c.value); got != c.header {
			t.Errorf("encode %q: %q, want %q", c.value, got, c.header)
		}
	}
	for header, value := range map[string]string{
		`"a \"b\" \\ c"`: `a "b" \ c`, `"%20"`: " ", "%e2%82%ac": "€", "%41": "A", "€": "€", `a "b"`: `a "b"`, "": "", `""`: "",
	} {
		if got, err := decodeValue("x", header); err != nil || got != value {
			t.Errorf("decode %q: %q, %v, want %q", header, got, err, value)
		}
	}
	for header, want := range map[string]string{
		"%":         `ce-x: "%": the percent sign at byte 0 begins no escape: write %25 for the sign itself`,
		"a%2":       `ce-x: "a%2": the percent sign at byte 1 begins no escape: write %25 for the sign itself`,
		"%zz":       `ce-x: "%zz": the percent sign at byte 0 begins no escape: write %25 for the sign itself`,
		"%C0%A0":    `ce-x: "\xc0\xa0" is not UTF-8`,
		"%ED%BA%AD": `ce-x: "\xed\xba\xad" is not UTF-8`,
		`"a`:        `ce-x: "\"a" lacks the closing double quote`,
		`"a"b`:      `ce-x: "\"a\"b" has text after the closing double quote`,
		`"a\`:       `ce-x: "\"a\\" lacks the closing double quote`,
	} {
		if _, err := decodeValue("ce-x", header); message(err) != want {
			t.Errorf("decode %q: %v, want %s", header, err, want)
		}
	}
}

func TestDecodeHTTPRefuses(t *testing.T) {
	base := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"/"}, "Ce-Type": {"t"}}
	cases := []struct {
		header http.Header
		want   string
	}{
		{http.Header{"Ce-Specversion": {"2.0"}}, `specversion: "2.0" is not supported: send "1.0"`},
		{http.Header{"Ce-Id": {"1", "2"}}, "ce-id: the header is there 2 times: send it once"},
		{http.Header{"Ce-Datacontenttype": {"text/plain"}}, "ce-datacontenttype: the content type of the data goes into the header Content-Type"},
		{http.Header{"Content-Type": {"text/plain", "text/html"}}, "Content-Type: the header is there 2 times: send it once"},
		{http.Header{"Ce-Data": {"x"}}, "data: no extension may have the name of a CloudEvents attribute or of the data"},
		{http.Header{"Ce-": {"x"}}, `"": an attribute has no name`},
		{http.Header{"Ce-Time": {"x"}}, `time: "x" is not an RFC 3339 time: write one such as 2026-01-31T15:04:05Z`},
	}
	for _, c := range cases {
		header := base.Clone()
		maps.Copy(header, c.header)
		if _, mode, err := DecodeHTTP(header, nil); mode != ModeBinary || message(err) != c.want {
			t.Errorf("%v: mode %v, %v\nwant %s", c.header, mode, err, c.want)
		}
	}
}

func TestHTTPMode(t *testing.T) {
	for contentType, want := range map[string]Mode{
		"application/cloudevents+json":                      ModeStructured,
		" Application/CloudEvents+JSON; charset=\"UTF-8\"":  ModeStructured,
		"application/cloudevents-batch+json; charset=utf-8": ModeBatch,
		"application/json":                                  ModeNone,
		"":                                                  ModeNone,
	} {
		if got, err := HTTPMode(http.Header{"Content-Type": {contentType}}); err != nil || got != want {
			t.Errorf("%q: mode %v, %v, want %v", contentType, got, err, want)
		}
	}
	for _, contentType := range []string{
		"application/cloudevents", "application/cloudevents+avro", "application/cloudevents-batch+avro",
		"application/cloudevents+json; charset=utf-16", "application/cloudevents+json; ;;", "application/cloudevents+json5",
	} {
		_, err := HTTPMode(http.Header{"Content-Type": {contentType}})
		var media *MediaTypeError
		if !errors.As(err, &media) || media.ContentType != contentType {
			t.Errorf("%q: %v", contentType, err)
		}
	}
	if mode, err := HTTPMode(http.Header{"Ce-Id": {""}, "Content-Type": {"text/plain"}}); err != nil || mode != ModeBinary {
		t.Errorf("with ce-id only: mode %v, %v", mode, err)
	}
}

// A sender that does not encode header values: the source's escapes are its own.
func TestURIsOfSendersThatDoNotEncode(t *testing.T) {
	for sent, want := range map[string]string{"/a%20b": "/a%20b", "/a%2520b": "/a%20b", "/a%2Fb": "/a/b"} {
		header := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {sent}, "Ce-Type": {"t"}}
		events, _, err := DecodeHTTP(header, nil)
		if err != nil || events[0].Source != want {
			t.Errorf("%s: %v, %v, want %s", sent, events, err, want)
		}
	}
}

func TestDecodeHeaderRefuses(t *testing.T) {
	e := sample()
	e.Extensions = map[string]any{"n": int32(5), "b": true}
	base := EncodeHeader(&e)
	many := map[string][]string{}
	for n := range 5000 {
		many["ce-x"+strconv.Itoa(n)] = []string{"v"}
	}
	cases := []struct {
		name   string
		change map[string][]string
		want   string
	}{
		{"no format", map[string][]string{HeaderFormat: nil}, "Sluice-Format: missing: the message was not stored by sluice"},
		{"garbage", map[string][]string{HeaderFormat: {"x\n"}}, `Sluice-Format: "x\n" is not a format of sluice`},
		{"zero", map[string][]string{HeaderFormat: {"0"}}, `Sluice-Format: "0" is not a format of sluice`},
		{"twice", map[string][]string{HeaderFormat: {"1", "1"}}, `Sluice-Format: "1" is not a format of sluice`},
		{"specversion", map[string][]string{"ce-specversion": nil}, `specversion: missing: every event needs specversion "1.0"`},
		{"no id", map[string][]string{"ce-id": nil}, "ce-id: missing or empty"},
		{"empty type", map[string][]string{"ce-type": {""}}, "ce-type: missing or empty"},
		{"escape", map[string][]string{"ce-id": {"%"}}, `ce-id: "%": the percent sign at byte 0 begins no escape: write %25 for the sign itself`},
		{"time", map[string][]string{"ce-time": {"x"}}, `time: "x" is not an RFC 3339 time: write one such as 2026-01-31T15:04:05Z`},
		{"name", map[string][]string{"ce-A": {"x"}}, `"A": attribute names are made of lower-case letters and digits`},
		{"many", many, "headers: there are 5011 of them, and of what sluice has stored at most 4096"},
		{"types: name", map[string][]string{HeaderTypes: {"z=int"}}, `Sluice-Types: "z=int" names no extension of the event`},
		{"types: empty", map[string][]string{HeaderTypes: {""}}, `Sluice-Types: "" names no extension of the event`},
		{"types: kind", map[string][]string{HeaderTypes: {"n=float"}}, `n: "5" is no "float"`},
		{"types: int", map[string][]string{"ce-n": {"x"}}, `n: "x" is no "int"`},
		{"types: bool", map[string][]string{"ce-b": {"yes"}}, `b: "yes" is no "bool"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			header := maps.Clone(base)
			for name, values := range c.change {
				header[name] = values
				if values == nil {
					delete(header, name)
				}
			}
			if _, err := DecodeHeader(header, nil); message(err) != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestNewerFormat(t *testing.T) {
	e := sample()
	header := EncodeHeader(&e)
	header[HeaderFormat] = []string{"7"}
	_, err := DecodeHeader(header, nil)
	var newer *NewerFormatError
	if !errors.As(err, &newer) || newer.Version != 7 || err.Error() != "stored in format 7 by a newer sluice; this one reads up to 2" {
		t.Errorf("got %v", err)
	}
}

// What is stored must be read for ever: this is format 1, byte by byte.
func TestStoredForm(t *testing.T) {
	d := Directed{Trigger: "resize", Origin: "kX3vT9.42.resize", Event: sample()}
	d.Event.Subject = "in/é a.jpg"
	d.Event.DataSchema = "https://x.example/s"
	d.Event.Extensions = map[string]any{"partitionkey": "k", "n": int32(-5), "b": false}
	want := map[string][]string{
		"Sluice-Format": {"1"}, "Sluice-Origin": {"kX3vT9.42.resize"}, "Sluice-Types": {"b=bool,n=int"},
		"ce-specversion": {"1.0"}, "ce-id": {"photos/in/a.jpg/3HL4kqtJlcpXroDTDmJ"}, "ce-source": {"s3://photos"},
		"ce-type": {"s3.object.created.put"}, "ce-subject": {"in/%C3%A9%20a.jpg"}, "ce-time": {"2026-01-31T15:04:05.123456789Z"},
		"ce-dataschema": {"https://x.example/s"}, "ce-partitionkey": {"k"}, "ce-n": {"-5"}, "ce-b": {"false"},
		"content-type": {"application/json"},
	}
	if diff := cmp.Diff(want, EncodeDirectedHeader(&d)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
