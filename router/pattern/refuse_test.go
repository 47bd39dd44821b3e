package pattern

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

const complexMessage = `too complex: the wildcards of this field have ten or more beginnings that one text can match at the same time; use fewer *, or fewer repetitions after a *`

// refusals are patterns that are wrong, with the whole message.
var refusals = []struct{ pattern, want string }{
	// Not a pattern at all.
	{``, `line 1, column 1: not JSON: unexpected end of JSON input`},
	{`{"a":[1]`, `line 1, column 8: not JSON: unexpected end of JSON input`},
	{"{\"a\":\n [1,]}", `line 2, column 5: not JSON: invalid character ']' looking for beginning of value`},
	{`{"a":[1]} {}`, `line 1, column 11: not JSON: invalid character '{' after top-level value`},
	{`[1]`, `line 1, column 1: a pattern must be an object, not a list`},
	{`"x"`, `line 1, column 1: a pattern must be an object, not the string "x"`},
	{`null`, `line 1, column 1: a pattern must be an object, not null`},
	{`{}`, `line 1, column 1: an empty object matches nothing; write the fields to match, or leave it out`},

	// Fields.
	{`{"a":{}}`, `line 1, column 6: a: an empty object matches nothing; write the fields to match, or leave it out`},
	{`{"a":[]}`, `line 1, column 6: a: an empty list matches nothing; write at least one value, or leave the field out`},
	{`{"a":42}`, `line 1, column 6: a: "a" must be an object or a list, not the number 42; to match it, write [42]`},
	{`{"a":"x"}`, `line 1, column 6: a: "a" must be an object or a list, not the string "x"; to match it, write ["x"]`},
	{`{"a":null}`, `line 1, column 6: a: "a" must be an object or a list, not null`},
	{`{"a b":{"\u001b":true}}`, `line 1, column 18: "a b"."\x1b": "\x1b" must be an object or a list, not true; to match it, write [true]`},
	{`{"a":[1,[2]]}`, `line 1, column 9: a[1]: a list inside of a list is not allowed; write the values, or objects with one operator`},

	// Operators.
	{`{"a":[{}]}`, `line 1, column 7: a[0]: an empty object where an operator should be: one of prefix, suffix, equals-ignore-case, wildcard, numeric, exists, cidr, anything-but, exactly`},
	{`{"a":[{"prefx":"x"}]}`, `line 1, column 8: a[0].prefx: unknown operator "prefx"; did you mean "prefix"?`},
	{`{"a":[{"EXISTS":true}]}`, `line 1, column 8: a[0].EXISTS: unknown operator "EXISTS"; did you mean "exists"?`},
	{`{"a":[{"regex":"x"}]}`, `line 1, column 8: a[0].regex: unknown operator "regex"; known here: prefix, suffix, equals-ignore-case, wildcard, numeric, exists, cidr, anything-but, exactly`},
	{`{"a":[{"between":"x"}]}`, `line 1, column 8: a[0].between: unknown operator "between"; known here: prefix, suffix, equals-ignore-case, wildcard, numeric, exists, cidr, anything-but, exactly`},
	{`{"a":[{"prefix":"x","suffix":"y"}]}`, `line 1, column 21: a[0].suffix: only one operator is allowed in an object, found "prefix" and "suffix"; two objects in the list mean that either may match`},
	{`{"a":[{"prefix":3}]}`, `line 1, column 17: a[0].prefix: prefix needs a string, not the number 3`},
	{`{"a":[{"suffix":["x"]}]}`, `line 1, column 17: a[0].suffix: suffix needs a string, not a list`},
	{`{"a":[{"prefix":{}}]}`, `line 1, column 17: a[0].prefix: an empty object where equals-ignore-case should be: one of equals-ignore-case`},
	{`{"a":[{"prefix":{"equals-ignorecase":"x"}}]}`, `line 1, column 18: a[0].prefix.equals-ignorecase: unknown operator "equals-ignorecase"; did you mean "equals-ignore-case"?`},
	{`{"a":[{"prefix":{"equals-ignore-case":5}}]}`, `line 1, column 39: a[0].prefix.equals-ignore-case: equals-ignore-case needs a string, not the number 5`},
	{`{"a":[{"suffix":{"equals-ignore-case":"x","b":1}}]}`, `line 1, column 43: a[0].suffix.equals-ignore-case: only one operator is allowed in an object, found "equals-ignore-case" and "b"`},
	{`{"a":[{"equals-ignore-case":["x"]}]}`, `line 1, column 29: a[0].equals-ignore-case: equals-ignore-case needs a string, not a list`},
	{`{"a":[{"exactly":33}]}`, `line 1, column 18: a[0].exactly: exactly needs a string, not the number 33`},
	{`{"a":[{"exists":"true"}]}`, `line 1, column 17: a[0].exists: exists needs true or false, not the string "true"`},
	{`{"a":[{"exists":true,"b":1}]}`, `line 1, column 22: a[0].b: only one operator is allowed in an object, found "exists" and "b"; two objects in the list mean that either may match`},

	// Wildcards.
	{`{"a":[{"wildcard":5}]}`, `line 1, column 19: a[0].wildcard: wildcard needs a string, not the number 5`},
	{`{"a":[{"wildcard":"abc**d"}]}`, `line 1, column 19: a[0].wildcard: "abc**d" has two wildcards in a row at character 4: one * already matches any text`},
	{`{"a":[{"wildcard":"a*c\\def"}]}`, `line 1, column 19: a[0].wildcard: "a*c\\def" has a backslash at character 4 that escapes nothing: write \* for an asterisk and \\ for a backslash`},
	{`{"a":[{"wildcard":"a\\"}]}`, `line 1, column 19: a[0].wildcard: "a\\" has a backslash at character 2 that escapes nothing: write \* for an asterisk and \\ for a backslash`},
	{`{"a":[{"wildcard":"*:*:*:*:*:event-bus/*"}]}`, `line 1, column 19: a[0].wildcard: ` + complexMessage},
	{`{"a":[{"wildcard":"*/datasync/*.a"},{"wildcard":"*/datasync/*.b"},{"wildcard":"*/datasync/*.c"}]}`, `line 1, column 79: a[2].wildcard: ` + complexMessage},
	{`{"a":[{"anything-but":{"wildcard":["*a*a*a*a*a*a"]}}]}`, `line 1, column 23: a[0].anything-but: ` + complexMessage},

	// Numeric.
	{`{"a":[{"numeric":5}]}`, `line 1, column 18: a[0].numeric: numeric needs a list such as [">", 0, "<=", 5], not the number 5`},
	{`{"a":[{"numeric":[]}]}`, `line 1, column 18: a[0].numeric: numeric needs a comparison and a number, such as [">", 0]; the list is empty`},
	{`{"a":[{"numeric":[5]}]}`, `line 1, column 19: a[0].numeric[0]: a comparison must stand here, one of = < <= > >=, not the number 5`},
	{`{"a":[{"numeric":["="]}]}`, `line 1, column 19: a[0].numeric: the number after "=" is missing`},
	{`{"a":[{"numeric":["=",true]}]}`, `line 1, column 23: a[0].numeric[1]: a number must follow "=", not true`},
	{`{"a":[{"numeric":["=","5"]}]}`, `line 1, column 23: a[0].numeric[1]: a number must follow "=", not the string "5"`},
	{`{"a":[{"numeric":["!=",5]}]}`, `line 1, column 19: a[0].numeric[0]: unknown comparison "!="; allowed here: = < <= > >=`},
	{`{"a":[{"numeric":["==",5]}]}`, `line 1, column 19: a[0].numeric[0]: unknown comparison "=="; allowed here: = < <= > >=`},
	{`{"a":[{"numeric":["<",1,">",0]}]}`, `line 1, column 25: a[0].numeric[2]: too many entries: numeric takes one comparison, or a lower bound (> or >=) and then an upper one (< or <=)`},
	{`{"a":[{"numeric":["=",1,"<",2]}]}`, `line 1, column 25: a[0].numeric[2]: too many entries: numeric takes one comparison, or a lower bound (> or >=) and then an upper one (< or <=)`},
	{`{"a":[{"numeric":[">",0,">",1]}]}`, `line 1, column 25: a[0].numeric[2]: unknown comparison ">"; allowed here: < <=`},
	{`{"a":[{"numeric":[">",0,"<"]}]}`, `line 1, column 25: a[0].numeric: the number after "<" is missing`},
	{`{"a":[{"numeric":[">",1,"<",30,false]}]}`, `line 1, column 32: a[0].numeric[4]: too many entries: numeric takes one comparison, or a lower bound (> or >=) and then an upper one (< or <=)`},
	{`{"a":[{"numeric":[">",1,"<",1]}]}`, `line 1, column 18: a[0].numeric: the range is empty: its lower bound 1 is not below its upper bound 1`},
	{`{"a":[{"numeric":[">=",30,"<",1]}]}`, `line 1, column 18: a[0].numeric: the range is empty: its lower bound 30 is not below its upper bound 1`},
	{`{"a":[{"numeric":["=",1e309]}]}`, `line 1, column 23: a[0].numeric[1]: 1e309 cannot be compared: a 64-bit float does not hold it exactly; use fewer digits`},
	{`{"a":[{"numeric":["=",1e-325]}]}`, `line 1, column 23: a[0].numeric[1]: 1e-325 cannot be compared: a 64-bit float does not hold it exactly; use fewer digits`},
	{`{"a":[{"numeric":["=",12345678901234567891]}]}`, `line 1, column 23: a[0].numeric[1]: 12345678901234567891 cannot be compared: a 64-bit float does not hold it exactly; use fewer digits`},

	// Addresses.
	{`{"a":[{"cidr":7}]}`, `line 1, column 15: a[0].cidr: cidr needs a string such as "10.0.0.0/8", not the number 7`},
	{`{"a":[{"cidr":"10.0.0.1"}]}`, `line 1, column 15: a[0].cidr: "10.0.0.1" is not a CIDR block: write an address, one slash and the bits of the mask, such as 10.0.0.0/8`},
	{`{"a":[{"cidr":"10.0.0.1/"}]}`, `line 1, column 15: a[0].cidr: "10.0.0.1/" is not a CIDR block: write an address, one slash and the bits of the mask, such as 10.0.0.0/8`},
	{`{"a":[{"cidr":"foo/bar/baz"}]}`, `line 1, column 15: a[0].cidr: "foo/bar/baz" is not a CIDR block: write an address, one slash and the bits of the mask, such as 10.0.0.0/8`},
	{`{"a":[{"cidr":"192.168.0.1/foo"}]}`, `line 1, column 15: a[0].cidr: the mask "foo" is not a number of bits, such as the 8 in 10.0.0.0/8`},
	{`{"a":[{"cidr":"192.168.0.1/-1"}]}`, `line 1, column 15: a[0].cidr: the mask "-1" is not a number of bits, such as the 8 in 10.0.0.0/8`},
	{`{"a":[{"cidr":"10.10.10.10.10/3"}]}`, `line 1, column 15: a[0].cidr: "10.10.10.10.10" is not an IPv4 or IPv6 address`},
	{`{"a":[{"cidr":"256.0.0.1/3"}]}`, `line 1, column 15: a[0].cidr: "256.0.0.1" is not an IPv4 or IPv6 address`},
	{`{"a":[{"cidr":"fe80::1%eth0/10"}]}`, `line 1, column 15: a[0].cidr: "fe80::1%eth0" is not an IPv4 or IPv6 address`},
	{`{"a":[{"cidr":"10.0.0.1/32"}]}`, `line 1, column 15: a[0].cidr: the mask /32 is too long: it must be below /32; to match one address, write it as a plain value: "10.0.0.1"`},
	{`{"a":[{"cidr":"::1/128"}]}`, `line 1, column 15: a[0].cidr: the mask /128 is too long: it must be below /128; to match one address, write it as a plain value: "::1"`},

	// Anything but.
	{`{"a":[{"anything-but":true}]}`, `line 1, column 23: a[0].anything-but: anything-but needs strings, numbers, or an operator (prefix, suffix, equals-ignore-case, wildcard), not true`},
	{`{"a":[{"anything-but":null}]}`, `line 1, column 23: a[0].anything-but: anything-but needs strings, numbers, or an operator (prefix, suffix, equals-ignore-case, wildcard), not null`},
	{`{"a":[{"anything-but":[]}]}`, `line 1, column 23: a[0].anything-but: an empty list excludes nothing; write strings or numbers`},
	{`{"a":[{"anything-but":["x",null]}]}`, `line 1, column 28: a[0].anything-but[1]: anything-but needs strings, numbers, or an operator (prefix, suffix, equals-ignore-case, wildcard), not null`},
	{`{"a":[{"anything-but":["x",1]}]}`, `line 1, column 28: a[0].anything-but[1]: anything-but needs a list of strings or a list of numbers, not both`},
	{`{"a":[{"anything-but":1e400}]}`, `line 1, column 23: a[0].anything-but: 1e400 cannot be compared: a 64-bit float does not hold it exactly; use fewer digits`},
	{`{"a":[{"anything-but":{}}]}`, `line 1, column 23: a[0].anything-but: an empty object where an operator should be: one of prefix, suffix, equals-ignore-case, wildcard`},
	{`{"a":[{"anything-but":{"numeric":["=",1]}}]}`, `line 1, column 24: a[0].anything-but.numeric: unknown operator "numeric"; known here: prefix, suffix, equals-ignore-case, wildcard`},
	{`{"a":[{"anything-but":{"prefix":27}}]}`, `line 1, column 33: a[0].anything-but.prefix: prefix needs a string, not the number 27`},
	{`{"a":[{"anything-but":{"prefix":""}}]}`, `line 1, column 33: a[0].anything-but.prefix: an empty prefix would exclude every string; write at least one character`},
	{`{"a":[{"anything-but":{"suffix":["x",""]}}]}`, `line 1, column 38: a[0].anything-but.suffix[1]: an empty suffix would exclude every string; write at least one character`},
	{`{"a":[{"anything-but":{"suffix":["x",1]}}]}`, `line 1, column 38: a[0].anything-but.suffix[1]: suffix needs a string, not the number 1`},
	{`{"a":[{"anything-but":{"prefix":[]}}]}`, `line 1, column 33: a[0].anything-but.prefix: an empty list excludes nothing; write at least one string`},
	{`{"a":[{"anything-but":{"prefix":{"equals-ignore-case":"x"}}}]}`, `line 1, column 33: a[0].anything-but.prefix: prefix needs a string, not an object`},
	{`{"a":[{"anything-but":{"prefix":"x","suffix":"y"}}]}`, `line 1, column 37: a[0].anything-but: only one operator is allowed in an object, found "prefix" and "suffix"`},
	{`{"a":[{"anything-but":{"wildcard":"a**b"}}]}`, `line 1, column 35: a[0].anything-but.wildcard: "a**b" has two wildcards in a row at character 2: one * already matches any text`},
	{`{"a":[{"anything-but":"x","b":1}]}`, `line 1, column 27: a[0].b: only one operator is allowed in an object, found "anything-but" and "b"; two objects in the list mean that either may match`},

	// $or.
	{`{"$or":[{"a":[1]}]}`, `line 1, column 8: $or: "$or" needs two objects or more, found 1`},
	{`{"$or":[]}`, `line 1, column 8: $or: "$or" needs two objects or more, found 0`},
	{`{"$or":"x"}`, `line 1, column 8: $or: "$or" must be a list of two or more objects, not the string "x"`},
	{`{"d":{"$or":[{"a":[1]},{"b":[2]},[{"c":[3]}]]}}`, `line 1, column 34: d.$or[2]: "$or" must be a list of objects, not of a list`},
	{`{"$or":[{"a":[1]},{}]}`, `line 1, column 19: $or[1]: an empty object matches nothing; write the fields to match, or leave it out`},
	{`{"$or":[{"prefix":["a"]},{"a":[1]}]}`, `line 1, column 10: $or[0].prefix: "prefix" is an operator; in a "$or" only fields may stand here: {"field": [{"prefix": …}]}`},
	{`{"$or":[{"a":{"numeric":["x"]}},{"b":[1]}]}`, `line 1, column 15: $or[0].a.numeric: "numeric" is an operator; in a "$or" only fields may stand here: {"field": [{"numeric": …}]}`},
}

func TestRefusals(t *testing.T) {
	for _, test := range refusals {
		t.Run(test.pattern, func(t *testing.T) {
			_, err := Compile([]byte(test.pattern))
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("got %v, want an *Error", err)
			}
			if err.Error() != test.want {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
		})
	}
}

func TestRefusedLimits(t *testing.T) {
	or := func(n int, name string) string {
		objects := make([]string, n)
		for i := range objects {
			objects[i] = fmt.Sprintf(`{"%s%d":[1]}`, name, i)
		}
		return `"$or":[` + strings.Join(objects, ",") + "]"
	}
	ten := make([]string, 10)
	for i := range ten {
		ten[i] = fmt.Sprintf(`{"wildcard":"%c*"}`, 'a'+i)
	}
	for _, test := range []struct{ name, pattern, want string }{
		{"size", `{"a":["` + strings.Repeat("x", maxSize) + `"]}`, `the pattern has 262154 bytes; 262144 is the most`},
		{"depth", strings.Repeat(`{"a":`, 101) + `[1]` + strings.Repeat("}", 101), `nested more than 100 levels deep`},
		{"combinations", `{` + or(32, "a") + `,"b":{` + or(32, "c") + `}}`, `the "$or" lists make more than 1000 combinations; use fewer of them, or more triggers`},
		{"fields", `{"x":{` + fields(257) + `}}`, `line 1, column 2720: x.f256: the pattern asks for more than 256 fields; ask for fewer`},
		{"wildcards of one field", `{"a":[` + strings.Join(ten, ",") + `]}`, `too complex: the wildcards of this field`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Compile([]byte(test.pattern))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	if _, err := Compile([]byte(`{` + or(31, "a") + `,"b":{` + or(32, "c") + `}}`)); err != nil {
		t.Errorf("992 combinations: %v", err)
	}
}

func fields(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`"f%d":[1]`, i)
	}
	return strings.Join(all, ",")
}

// The largest patterns are compiled or refused in little time.
func TestLargePatterns(t *testing.T) {
	or := make([]string, 1000)
	for i := range or {
		or[i] = fmt.Sprintf(`{"w%d":[{"wildcard":"*a%d*b*c"}]}`, i, i)
	}
	list := make([]string, 15000)
	for i := range list {
		list[i] = fmt.Sprintf(`"text %d"`, i)
	}
	for name, raw := range map[string]string{
		"branches":        `{"x":{` + fields(255) + `},"$or":[` + strings.Join(or, ",") + `]}`,
		"values":          `{"x":[` + strings.Join(list, ",") + `]}`,
		"a long wildcard": `{"x":[{"wildcard":"*` + strings.ReplaceAll(strings.Join(list[:2000], ","), `"`, "") + `"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			if _, err := Compile([]byte(raw)); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestErrorPath(t *testing.T) {
	_, err := Compile([]byte("{\n\"data\": {\"key\": [\n{\"prefx\": \"a\"}]}}"))
	problem, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatal(err)
	}
	if want := []any{"data", "key", 0, "prefx"}; !reflect.DeepEqual(problem.Path(), want) {
		t.Errorf("path %v, want %v", problem.Path(), want)
	}
	if problem.Line() != 3 || problem.Column() != 2 {
		t.Errorf("line %d, column %d, want 3 and 2", problem.Line(), problem.Column())
	}
	if want := `unknown operator "prefx"; did you mean "prefix"?`; problem.Message() != want {
		t.Errorf("message %q, want %q", problem.Message(), want)
	}
}

func TestFromValue(t *testing.T) {
	p, err := FromValue(map[string]any{
		"type": []any{map[string]any{"prefix": "s3."}},
		"data": map[string]any{"size": []any{12, uint8(3), 1.5, float32(2.5), nil, true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[string]bool{"12": true, "3": true, "1.5": true, "2.5": true, "null": true, "true": true, "4": false} {
		doc, err := FromJSON([]byte(`{"type":"s3.x","data":{"size":` + size + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Matches(doc); got != want {
			t.Errorf("size %s: got %v", size, got)
		}
	}
}

func TestFromValueRefusals(t *testing.T) {
	for _, test := range []struct {
		name, want string
		value      any
	}{
		{"nothing", `a pattern must be an object, not null`, nil},
		{"typo", `data.key[0].prefx: unknown operator "prefx"; did you mean "prefix"?`, map[string]any{"data": map[string]any{"key": []any{map[string]any{"prefx": "a"}}}}},
		{"scalar", `type: "type" must be an object or a list, not the string "a"; to match it, write ["a"]`, map[string]any{"type": "a"}},
		{"strange type", `a[0]: a struct {} is not allowed in a pattern; use strings, numbers, booleans, null, lists and objects`, map[string]any{"a": []any{struct{}{}}}},
		{"infinite", `a[0]: not a number that an event can hold; write a finite number`, map[string]any{"a": []any{math.Inf(1)}}},
		{"twice", `"a.b": the field a.b is asked for twice, here and at a.b; ask for it once`, map[string]any{"a": map[string]any{"b": []any{1}}, "a.b": []any{2}}},
		{"twice by or", `a: the field a is asked for twice, here and at $or[0].a; ask for it once`, map[string]any{"a": []any{1}, "$or": []any{map[string]any{"a": []any{2}}, map[string]any{"b": []any{2}}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := FromValue(test.value)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}
