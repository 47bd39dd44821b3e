package pattern

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The examples are those by which the reference defines the measure; the
// quotes around the texts are left out in them.
func TestComplexity(t *testing.T) {
	for _, test := range []struct {
		wildcards []string
		want      int
	}{
		{[]string{"*"}, 1},
		{[]string{"abc"}, 1},
		{[]string{"*ab"}, 2},
		{[]string{"*aa"}, 3},
		{[]string{"a*b"}, 2},
		{[]string{"aa*"}, 2},
		{[]string{"a*bcb"}, 3},
		{[]string{"a*bbb"}, 4},
		{[]string{"*ab*ad"}, 4},
		{[]string{"*ab*d"}, 3},
		{[]string{"*aba*"}, 4},
		{[]string{"a*b*bb"}, 5},
		{[]string{"a*b*cb"}, 4},
		{[]string{"a*b*cd"}, 3},
		{[]string{"ab*b*"}, 3},
		{[]string{"*", "ab*c"}, 3},
		{[]string{"ab*c", "x*xx"}, 3},
		{[]string{"*abc", "*abcde"}, 4},
		{[]string{"a*aaa", "aa*aa"}, 7},
		{[]string{"a*aax", "aaa*x"}, 5},
		{[]string{"abc*", "abcde*"}, 3},
		{[]string{"ab*cd", "ab*wx", "ab*yz"}, 6},
		{[]string{"*ab*b*b*"}, 7},
		{[]string{"*a*a*a*a*a*a*a*a*"}, maxComplexity},
	} {
		var wildcards []*wildcard
		for _, text := range test.wildcards {
			w, err := parseWildcard(text)
			if err != nil {
				t.Fatal(err)
			}
			w.tokens = w.tokens[1 : len(w.tokens)-1]
			wildcards = append(wildcards, w)
		}
		budget := searchBudget
		if got := complexity(wildcards, &budget); got != test.want {
			t.Errorf("%q: got %d, want %d", test.wildcards, got, test.want)
		}
	}
}

// Four endings may be looked for in one field; three with two wildcards may not.
func TestComplexityAllowsWhatTheServiceAllows(t *testing.T) {
	mustCompile(t, `{"key":[{"wildcard":"*.bif"},{"wildcard":"*.tiff"},{"wildcard":"*.tif"},{"wildcard":"*.svs"}]}`)
	mustCompile(t, `{"key":[{"wildcard":"*/datasync/*.bif"},{"wildcard":"*/datasync/*.tif"}]}`)
}

func TestWildcardsMatchAsNaively(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([ab]|\*[ab]|\\\*|\\\\|\*$){0,8}`).Draw(t, "wildcard")
		if strings.Contains(strings.NewReplacer(`\\`, "", `\*`, "").Replace(text), "**") {
			t.Skip("two in a row")
		}
		value := rapid.StringMatching(`[ab*\\\n]{0,12}`).Draw(t, "value")
		w, err := parseWildcard(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got, want := w.match(value), naiveWildcard(text).MatchString(value); got != want {
			t.Errorf("%q on %q: got %v, want %v", text, value, got, want)
		}
	})
}

func TestComparable(t *testing.T) {
	for text, want := range map[string]bool{
		"0": true, "-0": true, "0.0": true, "-0e7": true, "300": true, "300.0": true, "3.0e2": true, "0.000033": true,
		"-4e-6": true, "1E-320": true, "1e308": true, "123456789012": true, "9007199254740993": false,
		"9007199254740992": true, "0.1": true, "1.7976931348623157e308": true, "0.30000000000000004": true,
		"1E309": false, "-1e309": false, "1E-325": false, "2.0e422": false, "0.1000000000000000055511151231257827": false,
		"1e99999999999999999999": false, "0e99999999999999999999": true, "12345678901234567890": false,
		"100000000000000000000": true, "0.00000000000000000000000012": true, "1000.00100": true,
	} {
		if _, got := comparable64(text); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

// Two spellings are the same number exactly when they have the same value.
func TestSameDecimal(t *testing.T) {
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,3}0{0,3})(\.0{0,3}[0-9]{1,3}0{0,2})?([eE][+-]?[0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		ra, _ := new(big.Rat).SetString(a)
		rb, _ := new(big.Rat).SetString(b)
		if got, want := sameDecimal(a, b), ra.Cmp(rb) == 0; got != want {
			t.Errorf("%s and %s: got %v", a, b, got)
		}
		exponent := rapid.IntRange(-5, 5).Draw(t, "exponent")
		shifted := new(big.Rat).Set(ra)
		ten := big.NewRat(10, 1)
		for range max(exponent, -exponent) {
			if exponent > 0 {
				shifted.Quo(shifted, ten)
			} else {
				shifted.Mul(shifted, ten)
			}
		}
		same := shifted.FloatString(20) + "e" + big.NewInt(int64(exponent)).String()
		if !sameDecimal(a, same) {
			t.Errorf("%s and %s should be the same", a, same)
		}
	})
}

// The tree holds what encoding/json reads.
func TestTreeAgreesWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		raw, err := json.Marshal(map[string]any{"k": []any{text, 1.5, nil}})
		if err != nil {
			t.Fatal(err)
		}
		doc, err := FromJSON(raw)
		if err != nil {
			t.Fatal(err)
		}
		found, _ := doc.find([]string{"k"})
		if len(found) != 3 || found[0].text != text || found[1].text != "1.5" || found[2].kind != kindNull {
			t.Errorf("%s: found %+v", raw, found)
		}
	})
}

func TestLargeObjects(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"k0":[{"x":1}]`)
	for i := range 100 {
		b.WriteString(`,"k` + strings.Repeat("k", i) + `":` + big.NewInt(int64(i)).String())
	}
	b.WriteString(`,"kk":"twice","k0":"again"}`)
	doc, err := FromJSON([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string]bool{
		`{"k":[0]}`: true, `{"kk":[1]}`: true, `{"kk":["twice"]}`: true, `{"kkk":[2]}`: true, `{"k0":["again"]}`: true,
		`{"k0":{"x":[1]}}`: true, `{"` + strings.Repeat("k", 100) + `":[99]}`: true, `{"` + strings.Repeat("k", 101) + `":[{"exists":true}]}`: false,
	} {
		if got := mustCompile(t, pattern).Matches(doc); got != want {
			t.Errorf("%s: got %v", pattern, got)
		}
	}
}

func TestFromJSONRefusals(t *testing.T) {
	for _, test := range []struct{ event, want string }{
		{``, `not JSON: line 1, column 1: unexpected end of JSON input`},
		{`[]`, `an event must be a JSON object, not a list`},
		{`"x"`, `an event must be a JSON object, not the string "x"`},
		{`7`, `an event must be a JSON object, not the number 7`},
		{`null`, `an event must be a JSON object, not null`},
		{"{\"a\":1,\n}", `not JSON: line 2, column 1: invalid character '}' looking for beginning of object key string`},
		{"{\"a\":01}", `not JSON: line 1, column 7: invalid character '1' after object key:value pair`},
		{`{"a":1}{}`, `not JSON: line 1, column 8: invalid character '{' after top-level value`},
		{`{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, `not JSON: line 1, column 10005: invalid character '[' exceeded max depth`},
	} {
		if _, err := FromJSON([]byte(test.event)); err == nil || err.Error() != test.want {
			t.Errorf("%.20s: got %v\nwant %s", test.event, err, test.want)
		}
	}
}
