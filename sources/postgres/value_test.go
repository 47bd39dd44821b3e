package postgres

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestValues(t *testing.T) {
	for _, test := range []struct {
		form       form
		text, want string
	}{
		{formText, `a"b`, `"a\"b"`},
		{formBool, "t", "true"},
		{formBool, "f", "false"},
		{formNumber, "-12", "-12"},
		{formNumber, "1e+300", "1e+300"},
		{formNumber, "NaN", `"NaN"`},
		{formNumber, "-Infinity", `"-Infinity"`},
		{formBig, "1.10", "1.10"},
		{formBig, strings.Repeat("1", 1001), `"` + strings.Repeat("1", 1001) + `"`},
		{formJSON, `{"a": 1.0}`, `{"a": 1.0}`},
		{formJSON, "\"\xff\"", `"\"�\""`},
		{formBytes, `\x00ff`, `"AP8="`},
		{formBytes, `\x0`, `"\\x0"`},
		{formTime, "2026-01-02 03:04:05.678901+00", `"2026-01-02T03:04:05.678901Z"`},
		{formTime, "2026-01-02 03:04:05+02", `"2026-01-02 03:04:05+02"`},
		{formTime, "infinity", `"infinity"`},
		{formTime, "0044-03-15 00:00:00+00 BC", `"0044-03-15 00:00:00+00 BC"`},
		{formTime, "12026-01-02 03:04:05+00", `"12026-01-02 03:04:05+00"`},
		{formLocalTime, "2026-01-02 03:04:05", `"2026-01-02T03:04:05"`},
		{formLocalTime, "0044-03-15 00:00:00 BC", `"0044-03-15 00:00:00 BC"`},
	} {
		got := string(column{form: test.form}.appendValue(nil, []byte(test.text), false))
		if got != test.want || !json.Valid([]byte(got)) {
			t.Errorf("%d %q became %s, want %s", test.form, test.text, got, test.want)
		}
	}
	if got := string(column{form: formBig}.appendValue(nil, []byte("1.10"), true)); got != `"1.10"` {
		t.Errorf("a number as text became %s", got)
	}
}

func TestArrays(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: `[]`, `{1,NULL}`: `["1",null]`, `{"a,b","NULL","q\"\\",""}`: `["a,b","NULL","q\"\\",""]`,
		`{{1,2},{3,4}}`: `[["1","2"],["3","4"]]`, `[0:1]={a,b}`: `["a","b"]`,
		`{`: `"{"`, `{1`: `"{1"`, `1 2`: `"1 2"`, `{1}}`: `"{1}}"`, `{,}`: `"{,}"`, `{"a`: `"{\"a"`, `{{{{{{{1}}}}}}}`: `"{{{{{{{1}}}}}}}"`,
	} {
		if got := string(column{array: true, delimiter: ','}.appendValue(nil, []byte(text), false)); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}

// TestArraysComeBack writes arrays as the server does (array_out), and reads them.
func TestArraysComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		elements := rapid.SliceOf(rapid.Ptr(rapid.String(), true)).Draw(t, "elements")
		parts := make([]string, len(elements))
		for i, e := range elements {
			parts[i] = "NULL"
			if e != nil {
				parts[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(*e) + `"`
			}
		}
		got := column{array: true, delimiter: ','}.appendValue(nil, []byte("{"+strings.Join(parts, ",")+"}"), false)
		var read []*string
		if err := json.Unmarshal(got, &read); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		if len(read) != len(elements) || len(read) > 0 && !reflect.DeepEqual(read, elements) {
			t.Errorf("%q came back as %s", parts, got)
		}
	})
}

// FuzzValues gives any text as a value of any type: what comes out is JSON.
func FuzzValues(f *testing.F) {
	for _, text := range []string{"", "t", "1e", "-", "01", `\x0g`, "2026-01-02 03:04:05+00", `{"a":`, `{1,"\`, "{{},{}}", "[1:1]={1}", "\xff"} {
		f.Add([]byte(text), byte(0), false)
		f.Add([]byte(text), byte(4), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, kind byte, array bool) {
		c := column{form: form(kind % (byte(formLocalTime) + 1)), array: array, delimiter: ','}
		if got := c.appendValue(nil, text, false); !json.Valid(got) {
			t.Errorf("%+v: %q became %s", c, text, got)
		}
	})
}
