package pattern

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/event"
)

func sample() *event.Event {
	return &event.Event{
		ID: "1", Source: "/bucket/photos", Type: "s3.object.created.put", Subject: "in/a.jpg",
		Time:            time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC),
		DataContentType: "application/json",
		DataSchema:      "https://example.com/schema",
		Extensions:      map[string]any{"partitionkey": "a", "retry": int32(3), "urgent": true},
		Data:            []byte(`{"key":"in/a.jpg","size":1234,"ip":"10.1.0.9","tags":[{"k":"x","v":"1"},{"k":"y","v":"2"}]}`),
	}
}

func TestFromEvent(t *testing.T) {
	for pattern, want := range map[string]bool{
		`{"specversion":["1.0"],"id":["1"],"source":[{"prefix":"/bucket/"}],"type":[{"prefix":"s3."}],"subject":[{"suffix":".jpg"}]}`: true,
		`{"time":["2026-01-31T15:04:05Z"],"datacontenttype":["application/json"],"dataschema":[{"exists":true}]}`:                     true,
		`{"partitionkey":["a"],"retry":[{"numeric":["<",4]}],"urgent":[true]}`:                                                        true,
		`{"urgent":["true"]}`: false,
		`{"retry":["3"]}`:     false,
		`{"nothing":[{"exists":false}],"data_base64":[{"exists":false}]}`: true,
		`{"nothing":[{"exists":true}]}`:                                   false,
		`{"subject":{"x":["y"]}}`:                                         false,
		`{"subject":{"x":[{"exists":false}]}}`:                            true,
		`{"data":{"key":["in/a.jpg"],"size":[{"numeric":[">",1000]}]}}`:   true,
		`{"data":{"tags":{"k":["x"],"v":["2"]}}}`:                         false,
		`{"data.tags.k":["y"],"data":{"tags.v":["2"]}}`:                   true,
		`{"data":[{"exists":true}]}`:                                      false,
		`{"$or":[{"type":["x"]},{"data":{"size":[1234]}}]}`:               true,
	} {
		if got := mustCompile(t, pattern).Matches(FromEvent(sample())); got != want {
			t.Errorf("%s: got %v", pattern, got)
		}
	}
}

// An event and its JSON get the same verdict.
func TestFromEventAgreesWithJSON(t *testing.T) {
	events := map[string]*event.Event{"json": sample()}
	for name, change := range map[string]func(e *event.Event){
		"text":            func(e *event.Event) { e.DataContentType, e.Data = "text/plain", []byte("hello") },
		"xml":             func(e *event.Event) { e.DataContentType, e.Data = "application/xml", []byte("<a/>") },
		"binary":          func(e *event.Event) { e.DataContentType, e.Data = "image/png", []byte("\x89PNG\xff") },
		"no data":         func(e *event.Event) { e.Data = nil },
		"no content type": func(e *event.Event) { e.DataContentType = "" },
		"scalar":          func(e *event.Event) { e.Data = []byte(`"hello"`) },
		"list":            func(e *event.Event) { e.Data = []byte(`[{"key":"a"},"hello"]`) },
		"null":            func(e *event.Event) { e.Data = []byte(`null`) },
		"bare":            func(e *event.Event) { *e = event.Event{ID: "2", Source: "x", Type: "y"} },
	} {
		e := sample()
		change(e)
		events[name] = e
	}
	patterns := []string{
		`{"data":["hello"]}`, `{"data":[{"prefix":"<a"}]}`, `{"data":{"key":[{"exists":true}]}}`, `{"data":{"key":[{"exists":false}]}}`,
		`{"data":[{"exists":true}]}`, `{"data":[{"exists":false}]}`, `{"data_base64":[{"exists":true}]}`, `{"data_base64":[{"prefix":"iVBORw"}]}`,
		`{"data":[null]}`, `{"time":[{"exists":true}]}`, `{"subject":[{"exists":false}]}`, `{"datacontenttype":[{"anything-but":"text/plain"}]}`,
		`{"specversion":["1.0"]}`, `{"retry":[3]}`, `{"data":{"tags":{"k":["x"],"v":["1"]}}}`,
	}
	for name, e := range events {
		doc, err := FromJSON(e.AppendJSON(nil))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, raw := range patterns {
			p := mustCompile(t, raw)
			if got, want := p.Matches(FromEvent(e)), p.Matches(doc); got != want {
				t.Errorf("%s, %s: event %v, JSON %v", name, raw, got, want)
			}
		}
	}
}

func TestDataThatIsNotJSON(t *testing.T) {
	e := sample()
	e.Data = []byte(`{"key": nonsense}`)
	doc := FromEvent(e)
	for pattern, want := range map[string]bool{
		`{"data":{"key":[{"exists":false}]}}`:                               false,
		`{"data":[{"exists":false}]}`:                                       false,
		`{"data":{"key":["x"]}}`:                                            false,
		`{"type":[{"prefix":"s3."}]}`:                                       true,
		`{"$or":[{"data":{"key":["x"]}},{"subject":[{"suffix":"a.jpg"}]}]}`: true,
	} {
		if got := mustCompile(t, pattern).Matches(doc); got != want {
			t.Errorf("%s: got %v", pattern, got)
		}
	}
	const why = "the data is not JSON: line 1, column 10: invalid character 'o' in literal null (expecting 'u')"
	if err := doc.DataError(); err == nil || err.Error() != why {
		t.Errorf("DataError: %v", err)
	}
	want := "✗ no match\n  ✗ data.key: asked for \"x\"; found nothing (" + why + ")\n"
	if got := mustCompile(t, `{"data":{"key":["x"]}}`).Explain(doc).String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	e = sample()
	e.Data = []byte("\"\xff\"")
	if err := FromEvent(e).DataError(); err == nil || err.Error() != "the data is not valid UTF-8" {
		t.Errorf("DataError: %v", err)
	}
	if err := FromEvent(sample()).DataError(); err != nil {
		t.Errorf("DataError of good data: %v", err)
	}
}

func TestNeedsData(t *testing.T) {
	for pattern, want := range map[string]bool{
		`{"type":["x"]}`: false, `{"data":["x"]}`: true, `{"data":{"a":["x"]}}`: true, `{"data.a":["x"]}`: true,
		`{"database":["x"]}`: false, `{"$or":[{"type":["x"]},{"data":{"a":[1]}}]}`: true, `{"data_base64":["x"]}`: true,
	} {
		if got := mustCompile(t, pattern).NeedsData(); got != want {
			t.Errorf("%s: got %v", pattern, got)
		}
	}
}

func TestExplain(t *testing.T) {
	for _, test := range []struct{ name, event, pattern, want string }{
		{
			"what was found", `{"type":"order","data":{"total":5,"items":[{"sku":"a"},{"sku":"b"}]}}`,
			`{"type":["order"],"data":{"total":[{"numeric":[">",10,"<=",20]}],"items":{"sku":["c",{"prefix":"d"}]},"coupon":[{"exists":true}],"items.x":[{"exists":false}]}}`,
			`✗ no match
  ✗ data.coupon: asked for {"exists":true}; found nothing (missing)
  ✗ data.items.sku: asked for "c" or {"prefix":"d"}; found "a", "b"
  ✓ data.items.x: asked for {"exists":false}; found nothing (missing)
  ✗ data.total: asked for {"numeric":[">",10,"<=",20]}; found 5
  ✓ type: asked for "order"; found "order"
`,
		},
		{"an object", `{"a":{"b":1}}`, `{"a":[{"exists":true}]}`, "✗ no match\n  ✗ a: asked for {\"exists\":true}; found nothing (an object, not a value)\n"},
		{"different elements", `{"a":[{"b":1},{"c":2}]}`, `{"a":{"b":[1],"c":[2]}}`, `✗ no match
  ✓ a.b: asked for 1; found 1
  ✓ a.c: asked for 2; found 2
  ✗ each field matches, but not all within the same element of a list
`},
		{"alternatives", `{"a":1}`, `{"$or":[{"a":[2]},{"a":[1]}]}`, `✓ match
  ✗ alternative 1 of 2
    ✗ a: asked for 2; found 1
  ✓ alternative 2 of 2
    ✓ a: asked for 1; found 1
`},
		{"many values", `{"a":[1,2,3,4,5,6,7,8,9,10,11,12]}`, `{"a":[{"anything-but":[1,2]}]}`, "✓ match\n  ✓ a: asked for {\"anything-but\":[1,2]}; found 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more\n"},
		{"control characters", "{\"a\\u001b[2J\":\"\\u001b[31m\u0085\u202e\"}", `{"a\u001b[2J":["\u0007"]}`, "✗ no match\n  ✗ \"a\\x1b[2J\": asked for \"\\u0007\"; found \"\\u001b[31m\\u0085\\u202e\"\n"},
		{"long values", `{"a":"` + strings.Repeat("x", 100) + `"}`, `{"a":["y"]}`, "✗ no match\n  ✗ a: asked for \"y\"; found \"" + strings.Repeat("x", 80) + "…\"\n"},
		{
			"operators as written", `{"a":"x"}`, `{"a":[{"prefix":{"equals-ignore-case":"Y"}},{"anything-but":{"suffix":["x","y"]}},{"cidr":"10.0.0.9/8"},null,{"wildcard":"a*"}]}`,
			"✗ no match\n  ✗ a: asked for {\"prefix\":{\"equals-ignore-case\":\"Y\"}} or {\"anything-but\":{\"suffix\":[\"x\",\"y\"]}} or {\"cidr\":\"10.0.0.0/8\"} or null or {\"wildcard\":\"a*\"}; found \"x\"\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			doc, err := FromJSON([]byte(test.event))
			if err != nil {
				t.Fatal(err)
			}
			if got := mustCompile(t, test.pattern).Explain(doc).String(); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestIndex(t *testing.T) {
	x := NewIndex([]Entry{
		{ID: 9, Sources: []string{"uploads"}, Pattern: mustCompile(t, `{"type":[{"prefix":"s3."}]}`)},
		{ID: 2, Pattern: mustCompile(t, `{"data":{"size":[1234]}}`)},
		{ID: 5, Sources: []string{"hooks", "uploads"}},
		{ID: 7, Sources: []string{"uploads"}, Pattern: mustCompile(t, `{"type":["other"]}`)},
		{ID: 1, Sources: []string{"hooks"}, Pattern: mustCompile(t, `{"type":[{"prefix":"s3."}]}`)},
	})
	for source, want := range map[string][]int{"uploads": {2, 5, 9}, "hooks": {1, 2, 5}, "nowhere": {2}} {
		if got := x.Match(source, sample(), nil); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", source, got, want)
		}
	}
	if got := x.Match("hooks", sample(), []int{42}); !slices.Equal(got, []int{42, 1, 2, 5}) {
		t.Errorf("appended: %v", got)
	}
	if got := NewIndex(nil).Match("uploads", sample(), nil); len(got) != 0 {
		t.Errorf("an empty index matches %v", got)
	}
}

// One document and its patterns are used by many goroutines at once.
func TestConcurrently(t *testing.T) {
	yes, no := mustCompile(t, `{"data":{"key":["in/a.jpg"]}}`), mustCompile(t, `{"data":{"key":["x"]}}`)
	doc := FromEvent(sample())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if !yes.Matches(doc) || no.Matches(doc) {
					t.Error("wrong verdict")
				}
			}
		})
	}
	group.Wait()
}
