package redis

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sluice/event"
	"sluice/sinks"
)

func TestFields(t *testing.T) {
	e := &event.Event{
		ID: "1", Source: "/s", Type: "t", DataContentType: "application/json", Data: []byte(`{"a":"x","b":{"c":[1]},"n":12.50,"no":null}`),
	}
	const about = "Sluice-Delivery=inc.1.t Sluice-Attempt=2 Sluice-Trigger=t Sluice-Claim=7 "
	for mode, want := range map[Mode]string{
		Binary:     about + `ce_specversion=1.0 ce_id=1 ce_source=/s ce_type=t content-type=application/json data=` + string(e.Data),
		Structured: about + `content-type=application/cloudevents+json data=` + string(e.AppendJSON(nil)),
		Raw:        about + `content-type=application/json data=` + string(e.Data),
		Fields:     `a=x b={"c":[1]} n=12.50 no= ` + strings.TrimSpace(about),
	} {
		s := &sink{config: Config{Mode: mode}}
		fields, err := s.fields(&sinks.Attempt{Trigger: "t", Claim: 7}, &sinks.Delivery{ID: "inc.1.t", Attempt: 2, Event: e})
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for i := 0; i < len(fields); i += 2 {
			found = append(found, fmt.Sprintf("%s=%s", fields[i], fields[i+1]))
		}
		if diff := cmp.Diff(want, strings.Join(found, " ")); diff != "" {
			t.Errorf("%s: %s", mode, diff)
		}
	}
}

func TestNoMembers(t *testing.T) {
	for _, data := range []string{"", "7", `"a"`, `[1]`, `{"a":1`, `{"a":1}x`, "\xff"} {
		if _, err := members(&event.Event{Data: []byte(data)}); !sinks.IsPermanent(err) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// Members are those that the JSON has.
func FuzzMembers(f *testing.F) {
	f.Add(`{"a":"x","b":{"c":[1]},"n":1e400,"":null}`)
	f.Fuzz(func(t *testing.T, data string) {
		fields, err := members(&event.Event{Data: []byte(data)})
		var object map[string]json.RawMessage
		is := json.Unmarshal([]byte(data), &object) == nil && object != nil
		if is != (err == nil) {
			t.Fatalf("%q is an object: %v; it becomes fields: %v", data, is, err)
		}
		seen := map[any]bool{}
		for i := 0; i < len(fields); i += 2 {
			seen[fields[i]] = true
		}
		if len(seen) != len(object) && utf8.ValidString(data) {
			t.Errorf("%q has %d members, found %d", data, len(object), len(seen))
		}
	})
}
