package event

import (
	"errors"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"
)

// message returns an error's text, or "" for none.
func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

const notAllowed = ": control characters, noncharacters and invalid UTF-8 are not"

var validateCases = []struct {
	name   string
	change func(e *Event)
	want   string
}{
	{"sample", func(*Event) {}, ""},
	{"no id", func(e *Event) { e.ID = "" }, "id: missing: every event needs a non-empty id"},
	{"no source", func(e *Event) { e.Source = "" }, "source: missing: every event needs a non-empty source"},
	{"no type", func(e *Event) { e.Type = "" }, "type: missing: every event needs a non-empty type"},
	{"newline", func(e *Event) { e.ID = "a\nb" }, `id: "a\nb": the character at byte 1 is not allowed` + notAllowed},
	{"NUL", func(e *Event) { e.Type = "\x00" }, `type: "\x00": the character at byte 0 is not allowed` + notAllowed},
	{"DEL", func(e *Event) { e.Subject = "é\x7f" }, `subject: "é\x7f": the character at byte 2 is not allowed` + notAllowed},
	{"C1", func(e *Event) { e.Subject = "\u0085" }, `subject: "\u0085": the character at byte 0 is not allowed` + notAllowed},
	{"noncharacter", func(e *Event) { e.Subject = "\ufdd0" }, `subject: "\ufdd0": the character at byte 0 is not allowed` + notAllowed},
	{"noncharacter beyond", func(e *Event) { e.Subject = "\U0001ffff" }, `subject: "\U0001ffff": the character at byte 0 is not allowed` + notAllowed},
	{"not UTF-8", func(e *Event) { e.Subject = "a\xff" }, `subject: "a\xff": the character at byte 1 is not allowed` + notAllowed},
	{"replacement character", func(e *Event) { e.Subject = "\ufffd" }, ""},
	{"emoji", func(e *Event) { e.Subject = "😀 and spaces" }, ""},
	{"source with a space", func(e *Event) { e.Source = "/a b" }, `source: "/a b" is not a URI reference: ' ' at byte 2 must be percent-encoded`},
	{"source not ASCII", func(e *Event) { e.Source = "/büro" }, `source: "/büro" is not a URI reference: 'ü' at byte 2 must be percent-encoded`},
	{"source escape", func(e *Event) { e.Source = "/%2" }, `source: "/%2" is not a URI reference: '%' at byte 1 must be percent-encoded`},
	{"source with brackets", func(e *Event) { e.Source = "/a[0]" }, `source: "/a[0]" is not a URI reference: '[' at byte 2 must be percent-encoded`},
	{"source with two fragments", func(e *Event) { e.Source = "#a#b" }, `source: "#a#b" is not a URI reference: '#' at byte 2 must be percent-encoded`},
	{
		"source with a colon", func(e *Event) { e.Source = "1:2" },
		`source: "1:2" is not a URI reference: "1" before the colon is no scheme; a relative reference with a colon in front begins with ./`,
	},
	{"source with a bad port", func(e *Event) { e.Source = "http://h:x/" }, `source: "http://h:x/" is not a URI reference: "h:x" is no host with or without a port`},
	{"source with a bad literal", func(e *Event) { e.Source = "//[::g]/" }, `source: "//[::g]/" is not a URI reference: "[::g]" is no host with or without a port`},
	{
		"dataschema", func(e *Event) { e.DataSchema = "/schema" },
		`dataschema: "/schema" is not an absolute URI: write one with its scheme, such as https://example.com/schema`,
	},
	{"dataschema with a fragment", func(e *Event) { e.DataSchema = "https://x.example/s#a" }, ""},
	{"content type", func(e *Event) { e.DataContentType = "json" }, `datacontenttype: "json" is not a media type: write one such as application/json`},
	{
		"content type breaks out", func(e *Event) { e.DataContentType = "text/plain; a=\"\r\n\"" },
		`datacontenttype: "text/plain; a=\"\r\n\"" is not a media type: write one such as application/json`,
	},
	{"content type with parameters", func(e *Event) { e.DataContentType = `multipart/mixed; boundary="a b"` }, ""},
	{
		"year", func(e *Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"time: the year 10000 cannot be written as RFC 3339: use 0000 to 9999",
	},
	{"zone", func(e *Event) { e.Time = e.Time.In(time.FixedZone("", 30)) }, "time: a zone of 30 s from UTC cannot be written as RFC 3339"},
	{"extension name", func(e *Event) { e.Extensions = map[string]any{"myExt": ""} }, `"myExt": attribute names are made of lower-case letters and digits`},
	{"extension without a name", func(e *Event) { e.Extensions = map[string]any{"": ""} }, `"": an attribute has no name`},
	{
		"extension called data", func(e *Event) { e.Extensions = map[string]any{"data": ""} },
		"data: no extension may have the name of a CloudEvents attribute or of the data",
	},
	{
		"extension called data_base64", func(e *Event) { e.Extensions = map[string]any{"data_base64": ""} },
		`"data_base64": attribute names are made of lower-case letters and digits`,
	},
	{
		"extension called id", func(e *Event) { e.Extensions = map[string]any{"id": ""} },
		"id: no extension may have the name of a CloudEvents attribute or of the data",
	},
	{"extension type", func(e *Event) { e.Extensions = map[string]any{"a": 1.5} }, "a: a value of type float64: use a string, a bool or an int32"},
	{"extension text", func(e *Event) { e.Extensions = map[string]any{"a": "\r"} }, `a: "\r": the character at byte 0 is not allowed` + notAllowed},
	{
		"all at once", func(e *Event) { *e = Event{Extensions: map[string]any{"B": 1, "a": nil}} },
		"id: missing: every event needs a non-empty id\nsource: missing: every event needs a non-empty source\n" +
			"type: missing: every event needs a non-empty type\n\"B\": attribute names are made of lower-case letters and digits\n" +
			"a: a value of type <nil>: use a string, a bool or an int32",
	},
}

func TestValidate(t *testing.T) {
	for _, c := range validateCases {
		t.Run(c.name, func(t *testing.T) {
			e := sample()
			c.change(&e)
			if got := message(e.Validate()); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// The examples of the specifications.
func TestValidSources(t *testing.T) {
	for _, source := range []string{
		"https://github.com/cloudevents", "mailto:cncf-wg-serverless@lists.cncf.io", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
		"/cloudevents/spec/pull/123", "/sensors/tn-1234567/alerts", "1-555-123-4567", "s3://photos", "//h", "?q", "#f", "a/b:c", "./a:b",
		"ftp://user:pass@[2001:db8::7]:21/c=GB?objectClass?one", "tel:+1-816-555-1212", "http://h:/", "http://%00/", "//[v1.x]",
	} {
		e := sample()
		e.Source = source
		if err := e.Validate(); err != nil {
			t.Errorf("%v", err)
		}
	}
}

func TestInvalidErrorNamesTheAttribute(t *testing.T) {
	e := sample()
	e.Subject = "\x00"
	var invalid *InvalidError
	if err := e.Validate(); !errors.As(err, &invalid) || invalid.Name != "subject" {
		t.Errorf("got %#v", invalid)
	}
}

func TestSetExtension(t *testing.T) {
	link, err := url.Parse("https://x.example/a")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		value, want any
		text        string
	}{
		{"text", "text", "text"},
		{true, true, "true"},
		{int32(-5), int32(-5), "-5"},
		{math.MaxInt32, int32(math.MaxInt32), "2147483647"},
		{uint8(7), int32(7), "7"},
		{[]byte{0, 1}, "AAE=", "AAE="},
		{time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC), "2026-01-31T15:04:05Z", "2026-01-31T15:04:05Z"},
		{link, "https://x.example/a", "https://x.example/a"},
	}
	for _, c := range cases {
		var e Event
		if err := e.SetExtension("x", c.value); err != nil || e.Extensions["x"] != c.want || e.Extension("x") != c.text {
			t.Errorf("%v: %#v, %q, %v", c.value, e.Extensions["x"], e.Extension("x"), err)
		}
	}
	refused := []struct {
		name  string
		value any
		want  string
	}{
		{"x", math.MaxInt32 + 1, "x: 2147483648 is no whole number from -2147483648 to 2147483647"},
		{"x", 1.5, "x: a value of type float64: use a string, a bool or a whole number"},
		{"x", nil, "x: a value of type <nil>: use a string, a bool or a whole number"},
		{"time", "x", "time: no extension may have the name of a CloudEvents attribute or of the data"},
		{"a-b", "x", `"a-b": attribute names are made of lower-case letters and digits`},
	}
	for _, c := range refused {
		var e Event
		if got := message(e.SetExtension(c.name, c.value)); got != c.want || e.Extensions != nil {
			t.Errorf("%s, %v: %s", c.name, c.value, got)
		}
	}
}

func TestSizes(t *testing.T) {
	e := Event{ID: "1", Source: "/s", Type: "t", Data: make([]byte, 100)}
	if size := Size(&e); size != 100+len("specversion1.0id1source/stypet") {
		t.Errorf("size %d", size)
	}
	if err := CheckSize(&e, 130); err != nil {
		t.Errorf("%v", err)
	}
	err := CheckSize(&e, 129)
	if !errors.Is(err, ErrTooLarge) || err.Error() != "the event is too large: 130 bytes with its attributes, at most 129" {
		t.Errorf("%v", err)
	}
	e.Subject = strings.Repeat("é", MaxAttributes/6)
	err = CheckSize(&e, math.MaxInt)
	if !errors.Is(err, ErrTooLarge) || err.Error() != "the event is too large: its attributes take 16452 bytes as headers, at most 16384" {
		t.Errorf("%v", err)
	}
}
