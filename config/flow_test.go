package config

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// flowOf loads a trigger with these keys, and returns it as JSON has it.
func flowOf(t *testing.T, keys string) Trigger {
	t.Helper()
	text := "sources: {a: {http: {path: /a}}}\nfunctions: {f: {handler: f.mjs, concurrency: 400}, w: {http: {url: 'http://127.0.0.1:1'}}, one: {http: {url: 'http://127.0.0.1:1'}, concurrency: 1}}\ntriggers: {t: {on: a, " + keys + "}}\n"
	file, err := load("f.yaml", t.TempDir(), text, runKinds(), environment(map[string]string{"RATE": "7/m", "ON": "true"}))
	if err != nil {
		t.Fatalf("%s: %v", keys, err)
	}
	return file.Triggers[0]
}

func TestFlow(t *testing.T) {
	const half = `{"FailureRate":0.5,"Minimum":10,"Window":30000000000,"Open":30000000000}`
	flow := func(parts string) string {
		all := map[string]string{
			"PerKey": "0", "Concurrency": "null", "Rate": "null", "Debounce": "null", "Breaker": "null", "Adaptive": "false", "Ordered": "false", "Block": "false",
		}
		for part := range strings.SplitSeq(parts, "; ") {
			if key, value, found := strings.Cut(part, "="); found {
				all[key] = value
			}
		}
		var b strings.Builder
		for i, key := range []string{"PerKey", "Concurrency", "Rate", "Debounce", "Breaker", "Adaptive", "Ordered", "Block"} {
			b.WriteString(map[bool]string{true: "{", false: ","}[i == 0] + `"` + key + `":` + all[key])
		}
		return b.String() + "}"
	}
	for keys, want := range map[string]string{
		"to: w":                  "",
		"to: w, concurrency: 3":  "",
		"to: w, concurrency: {}": "",
		"to: w, concurrency: {limit: 100, key: data.tenant}":     `PerKey=1; Concurrency=[["data","tenant"]]`,
		"to: w, concurrency: {key: [type, subject], per_key: 2}": `PerKey=2; Concurrency=[["type"],["subject"]]`,
		"to: w, rate: 100/s":                                           `Rate={"Limit":100,"Per":1000000000,"Burst":1,"Key":null}`,
		"to: w, rate: \"${RATE}\"":                                     `Rate={"Limit":7,"Per":60000000000,"Burst":1,"Key":null}`,
		"to: w, rate: {limit: 5}":                                      `Rate={"Limit":5,"Per":1000000000,"Burst":1,"Key":null}`,
		"to: w, rate: {limit: 5, per: 1h, burst: 10, key: tenant}":     `Rate={"Limit":5,"Per":3600000000000,"Burst":10,"Key":[["tenant"]]}`,
		"to: w, debounce: 5s":                                          `Debounce={"Window":5000000000,"Max":0,"Key":null,"Keep":"last"}`,
		"to: w, debounce: {window: 5s, max: 1m, key: subject}":         `Debounce={"Window":5000000000,"Max":60000000000,"Key":[["subject"]],"Keep":"last"}`,
		"to: f, debounce: {window: 5s, keep: all}, batch: {}":          `Debounce={"Window":5000000000,"Max":0,"Key":null,"Keep":"all"}`,
		"to: w, breaker: true":                                         "Breaker=" + half,
		"to: w, breaker: \"${ON}\"":                                    "Breaker=" + half,
		"to: w, breaker: false":                                        "",
		"to: w, breaker: {}":                                           "Breaker=" + half,
		"to: w, breaker: {failure_rate: 12.5%, open: 1s, minimum: 20}": `Breaker={"FailureRate":0.125,"Minimum":20,"Window":30000000000,"Open":1000000000}`,
		"to: w, adaptive: true":                                        "Adaptive=true",
		"to: w, ordered: true":                                         "Ordered=true",
		"to: w, ordered: true, on_failure: dead_letter":                "Ordered=true",
		"to: w, ordered: true, on_failure: block, adaptive: true":      "Adaptive=true; Ordered=true; Block=true",
	} {
		got, err := json.Marshal(flowOf(t, keys).Flow)
		if err != nil || string(got) != flow(want) {
			t.Errorf("%s:\n got %s\nwant %s", keys, got, flow(want))
		}
	}
}

func TestConcurrencyOfFlows(t *testing.T) {
	for keys, want := range map[string]int{
		"to: w": 10, "to: w, concurrency: 3": 3, "to: w, concurrency: {limit: 7}": 7, "to: w, concurrency: {key: subject}": 10, "to: one": 1,
		"to: w, adaptive: true": 256, "to: w, adaptive: true, concurrency: 20": 20, "to: one, adaptive: true": 1, "to: f, adaptive: true": 400,
	} {
		if got := flowOf(t, keys).Concurrency; got != want {
			t.Errorf("%s: %d, want %d", keys, got, want)
		}
	}
}

func TestBatchesOfFlows(t *testing.T) {
	for keys, want := range map[string]string{
		"batch: {bytes: 1MiB, key: data.tenant}":                                            "1MiB data.tenant",
		"batch: {}, debounce: {window: 1s, keep: all, key: subject}":                        "0B subject",
		"batch: {key: type}, debounce: {window: 1s, keep: all, key: subject}":               "0B type",
		"batch: {}, debounce: {window: 1s, key: subject}":                                   "0B ",
		"batch: {key: [type, data.\"a.b\"]}, concurrency: {key: [type, 'data.\"a.b\"']}":    "0B type, data.\"a.b\"",
		"batch: {}, concurrency: {key: type}, debounce: {window: 1s, keep: all, key: type}": "0B type",
	} {
		b := flowOf(t, "to: f, "+strings.ReplaceAll(keys, `data."a.b"]}, c`, `'data."a.b"']}, c`)).Batch
		if got := b.Bytes.String() + " " + b.Key.String(); got != want {
			t.Errorf("%s: %s, want %s", keys, got, want)
		}
	}
}

func TestFields(t *testing.T) {
	for text, want := range map[string]Field{
		"subject": {"subject"}, "data": {"data"}, "tenantid9": {"tenantid9"}, "data.a": {"data", "a"}, "data.a_b.c-d.é": {"data", "a_b", "c-d", "é"},
		`data."a.b".c`: {"data", "a.b", "c"}, `data.""`: {"data", ""}, `data."say \"x\" [0]"`: {"data", `say "x" [0]`}, `"data".x`: {"data", "x"},
	} {
		if got, err := parseField(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

// FuzzField: what is read is written so that it is read as the same.
func FuzzField(f *testing.F) {
	for _, text := range []string{"subject", "data.a.b", `data."a.b"`, `data.""`, "data..a", `data."\u0000"`, `"data`, "$.a", "a[0]", `data."\ud800"`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		field, err := parseField(text)
		if err != nil {
			return
		}
		again, err := parseField(field.String())
		if err != nil && len(field.String()) <= maxFieldPath || err == nil && !slices.Equal(field, again) {
			t.Errorf("%q is %q, which is written as %q, and read as %q, %v", text, field, field.String(), again, err)
		}
	})
}

func TestPercent(t *testing.T) {
	for text, want := range map[string]Percent{"50%": 0.5, "100%": 1, "0.5%": 0.005} {
		var p Percent
		if err := p.UnmarshalText([]byte(text)); err != nil || p != want || p.String() != text {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
	for _, text := range []string{"", "50", "%", "0%", "101%", "-1%", "NaN%", "half"} {
		if p := Percent(0); p.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%s was taken for %v", text, p)
		}
	}
}
