package redis

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/event"
)

func TestEventOfAnEntry(t *testing.T) {
	s := shape{stream: "orders €", key: "customer", cloudEvents: true}
	e, invalid := s.event(&entry{id: "1700000000123-4", fields: []string{"customer", "c7", "n", "1", "n", "2", "raw", "\xff"}})
	if invalid != nil {
		t.Fatal(invalid)
	}
	want := event.Event{
		ID: "orders €/1700000000123-4", Source: "redis:orders%20%E2%82%AC", Type: "redis.message", Subject: "orders €",
		Time: time.UnixMilli(1700000000123).UTC(), DataContentType: "application/json",
		Data:       []byte(`{"customer":"c7","n":["1","2"],"raw":{"data_base64":"/w=="}}`),
		Extensions: map[string]any{"partitionkey": "c7"},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
}

func TestCloudEventsInEntries(t *testing.T) {
	binary := []string{"ce_specversion", "1.0", "ce_id", "a", "ce_source", "/shop", "ce_type", "order", "content-type", "text/plain", "data", "hello"}
	structured := []string{"content-type", "application/cloudevents+json", "data", `{"specversion":"1.0","id":"a","source":"/shop","type":"order","partitionkey":"p"}`}
	broken := []string{"ce_specversion", "1.0", "data", "hello"}
	cases := map[string]struct {
		fields           []string
		off              bool
		id, key, invalid string
	}{
		"binary":                 {fields: binary, id: "a", key: "orders"},
		"structured":             {fields: structured, id: "a", key: "p"},
		"switched off":           {fields: binary, off: true, id: "orders/1-1", key: "orders"},
		"one that is none":       {fields: broken, id: "orders/1-1", key: "orders", invalid: "id"},
		"an ordinary one":        {fields: []string{"data", "hello"}, id: "orders/1-1", key: "orders"},
		"no fields that are one": {fields: []string{"specversion", "1.0"}, id: "orders/1-1", key: "orders"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := shape{stream: "orders", cloudEvents: !c.off}
			e, invalid := s.event(&entry{id: "1-1", fields: c.fields})
			if e.ID != c.id || e.PartitionKey() != c.key {
				t.Errorf("id %q, partitionkey %q", e.ID, e.PartitionKey())
			}
			if (invalid == nil) != (c.invalid == "") || (invalid != nil && !strings.Contains(invalid.Error(), c.invalid)) {
				t.Errorf("found %v; want %q", invalid, c.invalid)
			}
			if err := e.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Whatever an entry has in it, its event is valid, and its data holds all of it.
func TestEventsOfAnyEntry(t *testing.T) {
	text := rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "text")) })
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.SliceOfN(text, 2, 8).Draw(t, "fields")
		fields = fields[:len(fields)/2*2]
		s := shape{stream: "orders", key: fields[0], cloudEvents: true}
		e, _ := s.event(&entry{id: "1-1", fields: fields})
		if err := e.Validate(); err != nil {
			t.Fatal(err)
		}
		var decoded map[string]any
		if err := json.Unmarshal(e.Data, &decoded); err != nil {
			t.Fatalf("%v: %s", err, e.Data)
		}
		found := map[string]int{}
		for _, value := range decoded {
			for _, v := range flat(t, value) {
				found[v]++
			}
		}
		for i := 1; i < len(fields); i += 2 {
			if found[fields[i]]--; found[fields[i]] < 0 && utf8.ValidString(fields[i-1]) {
				t.Fatalf("%q is not in %s", fields[i], e.Data)
			}
		}
	})
}

// flat returns the values of a field.
func flat(t *rapid.T, value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case map[string]any:
		raw, err := base64.StdEncoding.DecodeString(v["data_base64"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return []string{string(raw)}
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, flat(t, one)...)
		}
		return all
	}
	t.Fatalf("found %T", value)
	return nil
}

// Ids are ordered as the server orders them: as two numbers.
func TestCompare(t *testing.T) {
	id := rapid.Custom(func(t *rapid.T) [2]uint64 {
		return [2]uint64{rapid.Uint64().Draw(t, "ms"), rapid.Uint64().Draw(t, "number")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := id.Draw(t, "a"), id.Draw(t, "b")
		if rapid.Bool().Draw(t, "same") {
			b[0] = a[0]
		}
		number := func(id [2]uint64) *big.Int {
			n := new(big.Int).SetUint64(id[0])
			return n.Lsh(n, 64).Add(n, new(big.Int).SetUint64(id[1]))
		}
		found := compare(fmt.Sprintf("%d-%d", a[0], a[1]), fmt.Sprintf("%d-%d", b[0], b[1]))
		if sign(found) != number(a).Cmp(number(b)) {
			t.Fatalf("%v and %v: %d", a, b, found)
		}
	})
}

func sign(n int) int { return min(1, max(-1, n)) }

func TestRewound(t *testing.T) {
	for _, c := range []struct{ read, last, want string }{
		{"1700000000000-5", "1700000000000-5", "1700000000000-5"}, // nothing new
		{"1700000000000-5", "1700000000001-0", "1700000000000-5"}, // something new
		{"1700000000000-5", "1700000000000-3", "1700000000000-3"}, // the end is lost
		{"57-1", "3-1", "0-0"},            // another stream, with ids of its own
		{"57-1", "0-0", "57-1"},           // an empty one
		{"0-0", "0-0", "0-0"},             //
		{"1700000000000-5", "3-1", "0-0"}, // another stream
		{"3-1", "1700000000000-5", "3-1"}, //
		{"99999999999999-0", "0-0", "99999999999999-0"},
	} {
		if found := rewound(c.read, c.last); found != c.want {
			t.Errorf("read up to %s, ends at %s: reads on from %s, want %s", c.read, c.last, found, c.want)
		}
	}
}

// However large entries are, an answer of the next size is soon within bounds,
// and there is always something to ask for.
func TestPace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPace()
		for range rapid.IntRange(1, 30).Draw(t, "answers") {
			size := rapid.IntRange(1, 64<<20).Draw(t, "size")
			switch n := p.count; {
			case n*size > mostReply:
				p.shrink()
			default:
				p.learn(n, n*size)
			}
			if p.count < 1 || p.count > 999 {
				t.Fatalf("it asks for %d", p.count)
			}
		}
		for range 12 {
			p.learn(p.count, p.count*100)
		}
		if p.count != 999 {
			t.Fatalf("it asks for %d small ones", p.count)
		}
	})
}

func TestSomethingElseAnswers(t *testing.T) {
	for _, answer := range []any{"x", []any{}, []any{1, 2}, []any{[]any{"k"}}, []any{[]any{"k", 7}}, []any{[]any{"k", []any{[]any{7, nil}}}}} {
		if _, err := parseStreams(answer); err == nil {
			t.Errorf("%v is taken for entries", answer)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`[["k",[["1-1",["a","b"]],["1-2",null],null]]]`)
	f.Add(`["0-0",[["1-1",["a","b"]]],["1-2"]]`)
	f.Fuzz(func(t *testing.T, text string) {
		var answer any
		if json.Unmarshal([]byte(text), &answer) != nil {
			return
		}
		entries, err := parseStreams(answer)
		if err != nil {
			_, entries, _ = parseClaimed(answer)
		}
		s := shape{stream: "s", cloudEvents: true}
		for i := range entries {
			if e, _ := s.event(&entries[i]); e.Validate() != nil {
				t.Errorf("%q makes an invalid event: %v", text, e.Validate())
			}
		}
	})
}
