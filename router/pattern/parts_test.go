package pattern

import (
	"encoding/json"
	"maps"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
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

// A number of up to 15 digits is always the shortest for its float.
func TestComparableShortNumbers(t *testing.T) {
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,13})\.[0-9]{1,14}`)
	rapid.Check(t, func(t *rapid.T) {
		text := number.Draw(t, "text")
		n, exact := comparable64(text)
		shortest := strconv.FormatFloat(n, 'e', -1, 64)
		if len(text) <= 16 && (!exact || !sameDecimal(text, shortest)) {
			t.Errorf("%s: %v, %s", text, exact, shortest)
		}
	})
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

// A text is an address when netip says so, but for what is refused on purpose.
func TestAddressesAsNetip(t *testing.T) {
	groups := rapid.StringMatching(`(:|::)?([0-9a-fA-F]{0,5}(:|::)?){0,9}`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(groups, rapid.StringMatching(`[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}`), rapid.StringMatching(`::|1::|::1|1:2::3|1::2:3`)).Draw(t, "text")
		got, ok := parseAddress(text)
		want, err := netip.ParseAddr(text)
		if ok != (err == nil) || ok && got != want.Unmap() {
			t.Errorf("%q: got %v %v, want %v %v", text, got, ok, want, err)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`(0|[1-9][0-9]{0,2}|[a-f+-]|)(\.(0|[1-9][0-9]{0,2}|)){2,4}`).Draw(t, "text")
		got, ok := parseAddress(text)
		if want, err := netip.ParseAddr(text); ok != (err == nil) || ok && got != want {
			t.Errorf("%q: got %v %v, want %v %v", text, got, ok, want, err)
		}
	})
}

// A radix is a map that also knows beginnings and endings.
func TestRadix(t *testing.T) {
	text := rapid.StringMatching(`[ab]{0,5}|a{3}[a-f]`)
	rapid.Check(t, func(t *rapid.T) {
		var r *radix[string]
		want := map[string]string{}
		for range rapid.IntRange(1, 40).Draw(t, "changes") {
			before, old := r, maps.Clone(want)
			key := text.Draw(t, "key")
			if rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
				r = r.with(key, func(*string) *string { return nil })
				delete(want, key)
			} else {
				r = r.with(key, func(*string) *string { return &key })
				want[key] = key
			}
			checkRadix(t, before, old)
		}
		checkRadix(t, r, want)
		sought := text.Draw(t, "sought")
		for at, rest := r, sought; at != nil; at, rest = at.step(rest) {
			if at.value != nil && !strings.HasPrefix(sought, *at.value) {
				t.Errorf("%q does not begin with %q", sought, *at.value)
			}
			if at.value != nil {
				delete(want, *at.value)
			}
		}
		for key := range want {
			if strings.HasPrefix(sought, key) {
				t.Errorf("%q begins with %q", sought, key)
			}
		}
	})
}

func checkRadix(t *rapid.T, r *radix[string], want map[string]string) {
	t.Helper()
	var all []string
	r.each(func(value *string) { all = append(all, *value) })
	if keys := slices.Sorted(maps.Keys(want)); !slices.Equal(all, keys) {
		t.Fatalf("got %q, want %q", all, keys)
	}
	for key := range want {
		if got := r.get(key); got == nil || *got != key {
			t.Fatalf("%q: got %v", key, got)
		}
	}
	if len(want) == 0 && r != nil {
		t.Fatal("an empty radix is not nil")
	}
}

// A spans finds all stretches that hold a number, and stays balanced.
func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s *spans
		want := map[span]*stage{}
		for range rapid.IntRange(1, 60).Draw(t, "changes") {
			low := rapid.IntRange(0, 6).Draw(t, "low")
			sp := span{hasLow: rapid.Bool().Draw(t, "hasLow"), hasHigh: rapid.Bool().Draw(t, "hasHigh")}
			if sp.hasLow {
				sp.low, sp.openLow = float64(low), rapid.Bool().Draw(t, "openLow")
			}
			if sp.hasHigh {
				sp.high, sp.openHigh = float64(low+rapid.IntRange(0, 4).Draw(t, "length")), rapid.Bool().Draw(t, "openHigh")
			}
			own := &stage{}
			if rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
				own = nil
				delete(want, sp)
			} else {
				want[sp] = own
			}
			s = s.with(&sp, func(*stage) *stage { return own })
		}
		number := float64(rapid.IntRange(0, 20).Draw(t, "number")) / 2
		found := map[*stage]bool{}
		s.holding(number, func(n *stage) { found[n] = true })
		for sp, n := range want {
			if found[n] != sp.contains(number) {
				t.Errorf("%v in %v: found %v", number, sp, found[n])
			}
			delete(found, n)
		}
		if len(found) > 0 {
			t.Error("found what is not there")
		}
	})
	var deep *spans
	for i := range 10_000 {
		deep = deep.with(&span{low: float64(i), hasLow: true}, func(*stage) *stage { return &stage{} })
	}
	if depth := deep.depth(); depth > 60 {
		t.Errorf("10,000 rising stretches are %d deep", depth)
	}
	for i := range 5_000 {
		deep = deep.with(&span{low: float64(2 * i), hasLow: true}, func(*stage) *stage { return nil })
	}
	if depth := deep.depth(); depth > 60 {
		t.Errorf("the 5,000 that are left are %d deep", depth)
	}
}

func (t *spans) depth() int {
	if t == nil {
		return 0
	}
	return 1 + max(t.left.depth(), t.right.depth())
}

// Whatever a fold allows for a character is folded alike, or the fold is known
// not to be so: there are few.
func TestFoldable(t *testing.T) {
	others := 0
	for r := range rune(0x20000) {
		f := newFold(string(r))
		if !f.foldable() {
			others++
		}
		if r < 0x80 && !f.foldable() {
			t.Errorf("%q is not foldable", r)
		}
	}
	if others > 200 {
		t.Errorf("%d characters are not foldable", others)
	}
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
	b.WriteString(`,"kk":"twice","k0":"again","o":{"n0":0`)
	for i := 1; i < 20; i++ {
		b.WriteString(`,"n` + strconv.Itoa(i) + `":` + strconv.Itoa(i))
	}
	b.WriteString(`},"o":"another"}`)
	doc, err := FromJSON([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string]bool{
		`{"o":{"n19":[19]}}`: true, `{"o":{"n19":[18]}}`: false, `{"o":["another"]}`: true,
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
