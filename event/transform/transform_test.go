package transform

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"sluice/event"
)

func order() *event.Event {
	return &event.Event{
		ID: "1", Source: "/shop", Type: "order.created", DataContentType: "application/json", DataSchema: "https://example.com/order",
		Data: []byte(`{"order":7,"who":"Ada","lines":[1,2]}`), Extensions: map[string]any{"tenant": "t1"},
	}
}

func fromJSON(tb testing.TB, text string) (*Transform, error) {
	tb.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		tb.Fatal(err)
	}
	return FromValue(value)
}

func TestApply(t *testing.T) {
	for _, test := range []struct{ transform, want string }{
		{`".data.who"`, `{"specversion":"1.0","id":"1","source":"/shop","type":"order.created","datacontenttype":"application/json","tenant":"t1","data":"Ada"}`},
		{`{"data":".data.who","content_type":"text/plain"}`, `{"specversion":"1.0","id":"1","source":"/shop","type":"order.created","datacontenttype":"text/plain","tenant":"t1","data":"Ada"}`},
		{`{"event":".type = \"other\" | .data |= {order} | del(.dataschema)"}`, `{"specversion":"1.0","id":"1","source":"/shop","type":"other","datacontenttype":"application/json","tenant":"t1","data":{"order":7}}`},
		{
			`{"template":{"id":"{{ .data.order }}","text":"order {{ .data.order }} of {{ .data.who }}{{ .data.missing }}","list":["{{ .data.lines }}",1.50,"plain"],"braces":"{{ {a:{b:1}} }}","literal":"{{ \"{{\" }}"}}`,
			`{"specversion":"1.0","id":"1","source":"/shop","type":"order.created","datacontenttype":"application/json","tenant":"t1","data":{"braces":{"a":{"b":1}},"id":7,"list":[[1,2],1.50,"plain"],"literal":"{{","text":"order 7 of Ada"}}`,
		},
		{`"empty"`, `it yields nothing`},
		{`{"event":"del(.type)"}`, "the expression `del(.type)`: the result is no event: type: missing: every event needs a non-empty type"},
		{`{"event":".id"}`, "the expression `.id`: the result is a text, and should be an event: an object"},
		{`{"data":".data","content_type":"text/plain"}`, "the expression `.data`: the content type is text/plain and the result is an object: yield a text"},
		{`{"template":{"a":["{{ .data.who.x }}"]}}`, "template.a[0]: the expression `.data.who.x`: expected an object but got: string (\"Ada\")"},
		{`{"template":"{{ empty }}"}`, "template: the expression `empty`: it yields nothing"},
	} {
		made, err := fromJSON(t, test.transform)
		if err != nil {
			t.Fatalf("%s: %v", test.transform, err)
		}
		e := order()
		changed, err := made.Apply(t.Context(), e)
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = string(changed.AppendJSON(nil))
		}
		if strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(test.want, " ", "") {
			t.Errorf("%s\ngot  %s\nwant %s", test.transform, got, test.want)
		}
		if string(e.AppendJSON(nil)) != string(order().AppendJSON(nil)) {
			t.Errorf("%s: the event has been changed", test.transform)
		}
	}
}

// TestOtherPayloads shows what expressions see of a payload that is no JSON.
func TestOtherPayloads(t *testing.T) {
	for contentType, want := range map[string]string{"text/plain": `["hi",null]`, "image/png": `[null,"aGk="]`, "application/json": `[null,"aGk="]`} {
		made, err := fromJSON(t, `"[.data, .data_base64]"`)
		if err != nil {
			t.Fatal(err)
		}
		e := &event.Event{ID: "1", Source: "/s", Type: "t", DataContentType: contentType, Data: []byte("hi")}
		changed, err := made.Apply(t.Context(), e)
		if err != nil || string(changed.Data) != want {
			t.Errorf("%s: %s, %v", contentType, changed.Data, err)
		}
	}
}

func TestFromValueRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`7`:                                  wanted,
		`{}`:                                 "found 0 of data, event and template: " + wanted,
		`{"data":".","event":"."}`:           "found 2 of data, event and template: " + wanted,
		`{"dat":"."}`:                        "dat: unknown key: there is data, event, template and content_type",
		`{"data":7}`:                         "data: expected jq as text",
		`{"data":".","content_type":"text"}`: `content_type: found "text"; write a media type such as text/plain`,
		`{"event":".","content_type":"text/plain"}`: "content_type: with event the content type is an attribute of the event: set .datacontenttype in jq",
		`{"template":{"a":["x","{{ .a"]}}`:          "template.a[1]: at character 1 of the template: found {{ and no }} after it",
		`{"template":{"a":"x{{ .a | }}"}}`:          "template.a: at character 9 of the template: it ends too early: unexpected EOF",
		`{"template":{"a":"x {{ 1 }} {{ now }}"}}`:  "template.a: at character 14 of the template: now: it would give something else with each attempt: take .time of the event",
		`{"template":{"{{ .a }}":1}}`:               "template.{{ .a }}: a key is no template: write it out, or make the object with jq, as in {data: '{(.data.name): 1}'}",
		`{"template":{"a":"{{ }}"}}`:                "template.a: at character 3 of the template: found no expression; write jq such as .data",
	} {
		if _, err := fromJSON(t, text); err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestATemplateIsBoundedAsAWhole checks that many templates that each may be
// large are not.
func TestATemplateIsBoundedAsAWhole(t *testing.T) {
	leaves := strings.Repeat(`"{{ .data }}",`, 1000)
	made, err := fromJSON(t, `{"template":[`+leaves+`1]}`)
	if err != nil {
		t.Fatal(err)
	}
	e := &event.Event{ID: "1", Source: "/s", Type: "t", DataContentType: "text/plain", Data: []byte(strings.Repeat("x", 1<<20))}
	if _, err := made.Apply(t.Context(), e); !errors.Is(err, ErrHungry) {
		t.Errorf("got %v", err)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"{{ .a }}", "x{{ {a:{b:1}} }}y{{ 1 }}", "{{ \"}}\" }}", "{{", "}}", "{{ . | }}", "{{{{ 1 }}}}"} {
		f.Add(seed)
	}
	in := input(f)
	f.Fuzz(func(t *testing.T, text string) {
		template, err := ParseTemplate(text)
		if err != nil {
			return
		}
		plain := ""
		template.Parts(func(s string) { plain += s }, func(x *Expression) { plain += "{{" + x.String() + "}}" })
		if plain != text {
			t.Errorf("%q came back as %q", text, plain)
		}
		_, _ = template.Value(t.Context(), in)
	})
}

func BenchmarkApply(b *testing.B) {
	e := order()
	for name, text := range map[string]string{
		"jq":       `".data | {order, who}"`,
		"template": `{"template":{"id":"{{ .data.order }}","text":"order of {{ .data.who }}"}}`,
	} {
		made, err := fromJSON(b, text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := made.Apply(b.Context(), e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
