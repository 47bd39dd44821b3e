package pattern_test

import (
	"errors"
	"testing"

	"sluice/event"
	"sluice/router/pattern"
)

func valueOf(e *event.Event, f ...string) string {
	return string(pattern.FromEvent(e).AppendValue(nil, f))
}

func TestFieldValues(t *testing.T) {
	e := &event.Event{
		ID: "1", Source: "/s", Type: "t", Subject: "a\"b", DataContentType: "application/json", Extensions: map[string]any{"tenant": "x", "n": int32(7), "flag": true},
		Data: []byte(`{"a":{"b.c":1e2,"s":"é","z":null,"y":-0.0,"no":false},"list":[1,[2],{"b":2,"a":1}],"twice":1,"twice":2,"big":12345678901234567890.5,"":5}`),
	}
	for want, field := range map[string][]string{
		`"a\"b"`: {"subject"}, `"x"`: {"tenant"}, "7": {"n"}, "true": {"flag"}, `"t"`: {"type"},
		"100": {"data", "a", "b.c"}, `"é"`: {"data", "a", "s"}, "null": {"data", "a", "z"}, "0": {"data", "a", "y"}, "false": {"data", "a", "no"},
		`[1,[2,],{"a":1,"b":2,},]`: {"data", "list"}, "<1,2,>": {"data", "twice"}, "12345678901234567890.5": {"data", "big"}, "5": {"data", ""},
		`{"b":{"c":100,},"no":false,"s":"é","y":0,"z":null,}`: {"data", "a"},
	} {
		if got := valueOf(e, field...); got != want {
			t.Errorf("%q is %s, want %s", field, got, want)
		}
	}
	if got := valueOf(e, "data", "a", "b", "c"); got != "100" {
		t.Errorf("a dot is no step: %s", got)
	}
	for _, field := range [][]string{{"dataschema"}, {"other"}, {"tenant", "id"}, {"data", "b"}, {"data", "a", "s", "x"}, {"data", "list", "0"}, {"data", "twice", "x"}} {
		if got := valueOf(e, field...); got != pattern.NoValue {
			t.Errorf("%q is %s", field, got)
		}
	}
}

// TestFieldsOfOtherData: what is no JSON has no fields, and is itself a value
// unless it should have been JSON.
func TestFieldsOfOtherData(t *testing.T) {
	for kind, c := range map[string]struct{ data, want, below string }{
		"text/plain":               {"hello", `"hello"`, pattern.NoValue},
		"application/octet-stream": {"\x00\x01", `"AAE="`, pattern.NoValue},
		"application/json":         {`{"a":`, pattern.NoValue, pattern.NoValue},
		"":                         {"", pattern.NoValue, pattern.NoValue},
	} {
		e := &event.Event{DataContentType: kind, Data: []byte(c.data)}
		if got := valueOf(e, "data"); got != c.want {
			t.Errorf("%s: %s, want %s", kind, got, c.want)
		}
		if got := valueOf(e, "data", "a"); got != c.below {
			t.Errorf("%s: below it is %s", kind, got)
		}
	}
}

func TestFieldsOfDataThatIsKeptApart(t *testing.T) {
	e := &event.Event{DataContentType: "application/json", Large: &event.Large{Size: 9}}
	for _, c := range []struct {
		data   string
		err    error
		want   string
		failed bool
	}{{`{"a":"x"}`, nil, `"x"`, false}, {"", event.ErrLost, pattern.NoValue, false}, {"", errors.New("later"), pattern.NoValue, true}} {
		doc := pattern.FromStored(e, func(*event.Large) ([]byte, error) { return []byte(c.data), c.err })
		if got := string(doc.AppendValue(nil, pattern.Field{"data", "a"})); got != c.want || (doc.LoadError() != nil) != c.failed {
			t.Errorf("%q, %v: %s, %v", c.data, c.err, got, doc.LoadError())
		}
	}
}
