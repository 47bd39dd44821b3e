package pattern

import "testing"

// verdicts are events and patterns with what the reference says of them.
var verdicts = []struct {
	name, event, pattern string
	match                bool
}{
	// Values.
	{"string", `{"a":"x"}`, `{"a":["x"]}`, true},
	{"string, other case", `{"a":"X"}`, `{"a":["x"]}`, false},
	{"key, other case", `{"A":"x"}`, `{"a":["x"]}`, false},
	{"one of several", `{"a":"y"}`, `{"a":["x","y"]}`, true},
	{"one of many", `{"a":"j"}`, `{"a":["a","b","c","d","e","f","g","h","i","j",{"prefix":"z"}]}`, true},
	{"none of many", `{"a":"k"}`, `{"a":["a","b","c","d","e","f","g","h","i","j",{"prefix":"z"}]}`, false},
	{"beside many", `{"a":"zz"}`, `{"a":["a","b","c","d","e","f","g","h","i","j",{"prefix":"z"}]}`, true},
	{"empty string", `{"a":""}`, `{"a":[""]}`, true},
	{"empty string is not null", `{"a":null}`, `{"a":[""]}`, false},
	{"null", `{"a":null}`, `{"a":[null]}`, true},
	{"null is not a string", `{"a":"null"}`, `{"a":[null]}`, false},
	{"null is not missing", `{}`, `{"a":[null]}`, false},
	{"null is not an empty list", `{"a":[]}`, `{"a":[null]}`, false},
	{"true", `{"a":true}`, `{"a":[true]}`, true},
	{"true is not a string", `{"a":"true"}`, `{"a":[true]}`, false},
	{"false is not true", `{"a":false}`, `{"a":[true]}`, false},
	{"all fields", `{"a":1,"b":2}`, `{"a":[1],"b":[2]}`, true},
	{"one field fails", `{"a":1,"b":3}`, `{"a":[1],"b":[2]}`, false},
	{"nested", `{"a":{"b":{"c":"x"}}}`, `{"a":{"b":{"c":["x"]}}}`, true},
	{"an object is no value", `{"a":{"b":"x"}}`, `{"a":["x"]}`, false},
	{"a value is no object", `{"a":"x"}`, `{"a":{"b":["x"]}}`, false},
	{"JSON in a string", `{"a":"{\"b\":\"x\"}"}`, `{"a":{"b":["x"]}}`, false},
	{"escapes", `{"a":"\u0041\n"}`, `{"a":["A\n"]}`, true},
	{"escaped key", `{"\u0061":"x"}`, `{"a":["x"]}`, true},
	{"not valid UTF-8", "{\"a\":\"\xff\"}", `{"a":["\ufffd"]}`, true},
	{"exactly", `{"a":"x"}`, `{"a":[{"exactly":"x"}]}`, true},
	{"empty key", `{"":"x"}`, `{"":["x"]}`, true},

	// Numbers.
	{"number", `{"a":300}`, `{"a":[300]}`, true},
	{"number by value", `{"a":300.0}`, `{"a":[300]}`, true},
	{"number by value, exponent", `{"a":3.0e2}`, `{"a":[300]}`, true},
	{"number by value, in the pattern", `{"a":300}`, `{"a":[3.0e+2]}`, true},
	{"number is not a string", `{"a":"300"}`, `{"a":[300]}`, false},
	{"string is not a number", `{"a":300}`, `{"a":["300"]}`, false},
	{"minus zero", `{"a":-0.0}`, `{"a":[0]}`, true},
	{"a large number", `{"a":123456789012}`, `{"a":[123456789012]}`, true},
	{"a large number by value", `{"a":1e12}`, `{"a":[1000000000000]}`, true},
	{"what no float holds equals its own spelling", `{"a":12345678901234567891}`, `{"a":[12345678901234567891]}`, true},
	{"what no float holds equals no neighbour", `{"a":12345678901234567892}`, `{"a":[12345678901234567891]}`, false},
	{"what no float holds equals no other spelling", `{"a":12345678901234567891.0}`, `{"a":[12345678901234567891]}`, false},
	{"what no float holds equals no rounded float", `{"a":12345678901234567891}`, `{"a":[12345678901234567000]}`, false},

	// Prefix, suffix.
	{"prefix", `{"a":"abc"}`, `{"a":[{"prefix":"ab"}]}`, true},
	{"prefix, all of it", `{"a":"ab"}`, `{"a":[{"prefix":"ab"}]}`, true},
	{"prefix, not at the start", `{"a":"cab"}`, `{"a":[{"prefix":"ab"}]}`, false},
	{"prefix of a number", `{"a":123}`, `{"a":[{"prefix":"1"}]}`, false},
	{"empty prefix", `{"a":""}`, `{"a":[{"prefix":""}]}`, true},
	{"empty prefix is for strings", `{"a":1}`, `{"a":[{"prefix":""}]}`, false},
	{"empty prefix is not for null", `{"a":null}`, `{"a":[{"prefix":""}]}`, false},
	{"suffix", `{"a":"abc"}`, `{"a":[{"suffix":"bc"}]}`, true},
	{"suffix, not at the end", `{"a":"bcd"}`, `{"a":[{"suffix":"bc"}]}`, false},
	{"empty suffix", `{"a":"x"}`, `{"a":[{"suffix":""}]}`, true},
	{"prefix, any case", `{"a":"EVENTBridge"}`, `{"a":[{"prefix":{"equals-ignore-case":"EventB"}}]}`, true},
	{"prefix, any case, fails", `{"a":"EventABridge"}`, `{"a":[{"prefix":{"equals-ignore-case":"EventB"}}]}`, false},
	{"suffix, any case", `{"a":"a.PnG"}`, `{"a":[{"suffix":{"equals-ignore-case":".png"}}]}`, true},
	{"suffix, any case, fails", `{"a":"a.png.gz"}`, `{"a":[{"suffix":{"equals-ignore-case":".png"}}]}`, false},

	// Case.
	{"any case", `{"a":"ALICE"}`, `{"a":[{"equals-ignore-case":"alice"}]}`, true},
	{"any case, longer", `{"a":"ALICES"}`, `{"a":[{"equals-ignore-case":"alice"}]}`, false},
	{"any case, empty", `{"a":""}`, `{"a":[{"equals-ignore-case":""}]}`, true},
	{"any case, empty is all", `{"a":"x"}`, `{"a":[{"equals-ignore-case":""}]}`, false},
	{"any case, umlauts", `{"a":"ÄÖ"}`, `{"a":[{"equals-ignore-case":"äö"}]}`, true},
	{"any case, other length", `{"a":"Ⱥ"}`, `{"a":[{"equals-ignore-case":"ⱥ"}]}`, true},
	{"any case, sharp s in the pattern", `{"a":"STRASSE"}`, `{"a":[{"equals-ignore-case":"straße"}]}`, true},
	{"any case, sharp s in the event", `{"a":"straße"}`, `{"a":[{"equals-ignore-case":"STRASSE"}]}`, false},
	{"any case, outside of the basic plane", `{"a":"😀"}`, `{"a":[{"equals-ignore-case":"😀"}]}`, true},
	{"any case, prefix with sharp s", `{"a":"GROSSER"}`, `{"a":[{"prefix":{"equals-ignore-case":"groß"}}]}`, true},

	// Wildcards.
	{"wildcard", `{"a":"dir/x/doc.txt"}`, `{"a":[{"wildcard":"dir/*/doc.txt"}]}`, true},
	{"wildcard for nothing", `{"a":"ab"}`, `{"a":[{"wildcard":"a*b"}]}`, true},
	{"wildcard, overlapping ends", `{"a":"aba"}`, `{"a":[{"wildcard":"ab*ba"}]}`, false},
	{"wildcard alone", `{"a":""}`, `{"a":[{"wildcard":"*"}]}`, true},
	{"wildcard is for strings", `{"a":1}`, `{"a":[{"wildcard":"*"}]}`, false},
	{"wildcard without any", `{"a":"x"}`, `{"a":[{"wildcard":"x"}]}`, true},
	{"wildcard, empty", `{"a":"x"}`, `{"a":[{"wildcard":""}]}`, false},
	{"wildcard, asterisk meant", `{"a":"a*b"}`, `{"a":[{"wildcard":"a\\*b"}]}`, true},
	{"wildcard, only the asterisk meant", `{"a":"axb"}`, `{"a":[{"wildcard":"a\\*b"}]}`, false},
	{"wildcard, backslash meant", `{"a":"a\\xb"}`, `{"a":[{"wildcard":"a\\\\*b"}]}`, true},
	{"wildcard, question mark is none", `{"a":"ab"}`, `{"a":[{"wildcard":"a?"}]}`, false},
	{"wildcard, repeating", `{"a":"/Users/x/dir/dir/dir/dir/dir/doc.txt"}`, `{"a":[{"wildcard":"/Users/*/dir/dir/dir/dir/dir/doc.txt"}]}`, true},
	{"wildcard, several", `{"a":"arn:aws:events:us-east-1:1:event-bus/my"}`, `{"a":[{"wildcard":"arn:aws:events:us-east-1:*:event-bus/*"}]}`, true},

	// Numeric.
	{"equal", `{"a":5}`, `{"a":[{"numeric":["=",5.0]}]}`, true},
	{"below", `{"a":4.999}`, `{"a":[{"numeric":["<",5]}]}`, true},
	{"not below", `{"a":5}`, `{"a":[{"numeric":["<",5]}]}`, false},
	{"at most", `{"a":5}`, `{"a":[{"numeric":["<=",5]}]}`, true},
	{"above", `{"a":5.000001}`, `{"a":[{"numeric":[">",5]}]}`, true},
	{"at least", `{"a":5}`, `{"a":[{"numeric":[">=",5]}]}`, true},
	{"within", `{"a":5}`, `{"a":[{"numeric":[">",0,"<=",5]}]}`, true},
	{"at the open end", `{"a":0}`, `{"a":[{"numeric":[">",0,"<=",5]}]}`, false},
	{"beyond", `{"a":6}`, `{"a":[{"numeric":[">",0,"<=",5]}]}`, false},
	{"a number in a string is none", `{"a":"5"}`, `{"a":[{"numeric":["=",5]}]}`, false},
	{"null is no number", `{"a":null}`, `{"a":[{"numeric":["<",5]}]}`, false},
	{"the ends of the guide's range", `{"a":-5000000000}`, `{"a":[{"numeric":[">=",-5e9,"<=",5e9]}]}`, true},
	{"beyond the guide's range", `{"a":5e15}`, `{"a":[{"numeric":[">",5e9]}]}`, true},
	{"decimals as written", `{"a":0.3}`, `{"a":[{"numeric":["<=",0.3]}]}`, true},
	{"what no float holds is in no range", `{"a":12345678901234567891}`, `{"a":[{"numeric":[">",0]}]}`, false},

	// Addresses.
	{"cidr", `{"a":"10.0.0.255"}`, `{"a":[{"cidr":"10.0.0.0/24"}]}`, true},
	{"cidr, outside", `{"a":"10.0.1.0"}`, `{"a":[{"cidr":"10.0.0.0/24"}]}`, false},
	{"cidr, bits after the mask", `{"a":"10.0.0.1"}`, `{"a":[{"cidr":"10.0.0.77/24"}]}`, true},
	{"cidr, no address", `{"a":"x"}`, `{"a":[{"cidr":"0.0.0.0/0"}]}`, false},
	{"cidr, a number", `{"a":10}`, `{"a":[{"cidr":"0.0.0.0/0"}]}`, false},
	{"cidr, zeros in front", `{"a":"010.0.0.1"}`, `{"a":[{"cidr":"10.0.0.0/8"}]}`, true},
	{"cidr v6", `{"a":"2001:db8::ff"}`, `{"a":[{"cidr":"2001:db8::/32"}]}`, true},
	{"cidr v6, outside", `{"a":"2001:db9::"}`, `{"a":[{"cidr":"2001:db8::/32"}]}`, false},
	{"cidr v6, a v4 address", `{"a":"10.0.0.1"}`, `{"a":[{"cidr":"::/0"}]}`, false},
	{"cidr v4, a v6 address", `{"a":"::1"}`, `{"a":[{"cidr":"0.0.0.0/0"}]}`, false},
	{"cidr v4, mapped into v6", `{"a":"::ffff:0a00:1"}`, `{"a":[{"cidr":"10.0.0.0/8"}]}`, true},
	{"cidr, mixed spelling", `{"a":"::ffff:10.0.0.1"}`, `{"a":[{"cidr":"10.0.0.0/8"}]}`, false},
	{"an address in another spelling", `{"a":"0:0:0:0:0:0:0:1"}`, `{"a":["::1"]}`, true},
	{"an address with zeros in front", `{"a":"010.000.000.001"}`, `{"a":["10.0.0.1"]}`, true},
	{"exactly is about the spelling", `{"a":"0:0:0:0:0:0:0:1"}`, `{"a":[{"exactly":"::1"}]}`, false},
	{"another address", `{"a":"10.0.0.2"}`, `{"a":["10.0.0.1"]}`, false},
	{"nearly an address", `{"a":"08:23"}`, `{"a":["08:23"]}`, true},
	{"anything but an address is about its spelling", `{"a":"::1"}`, `{"a":[{"anything-but":"0::1"}]}`, true},

	// Exists.
	{"exists", `{"a":"x"}`, `{"a":[{"exists":true}]}`, true},
	{"null exists", `{"a":null}`, `{"a":[{"exists":true}]}`, true},
	{"missing does not exist", `{"b":1}`, `{"a":[{"exists":true}]}`, false},
	{"an object does not exist", `{"a":{"b":1}}`, `{"a":[{"exists":true}]}`, false},
	{"an empty list does not exist", `{"a":[]}`, `{"a":[{"exists":true}]}`, false},
	{"a list of objects does not exist", `{"a":[{"b":1}]}`, `{"a":[{"exists":true}]}`, false},
	{"absent", `{"b":1}`, `{"a":[{"exists":false}]}`, true},
	{"null is not absent", `{"a":null}`, `{"a":[{"exists":false}]}`, false},
	{"an object is absent", `{"a":{"b":1}}`, `{"a":[{"exists":false}]}`, true},
	{"an empty list is absent", `{"a":[]}`, `{"a":[{"exists":false}]}`, true},
	{"absent below what is missing", `{}`, `{"a":{"b":{"c":[{"exists":false}]}}}`, true},
	{"absent below a value", `{"a":"x"}`, `{"a":{"b":[{"exists":false}]}}`, true},
	{"absent or a value, absent", `{}`, `{"a":["x",{"exists":false}]}`, true},
	{"absent or a value, the value", `{"a":"x"}`, `{"a":["x",{"exists":false}]}`, true},
	{"absent or a value, another", `{"a":"y"}`, `{"a":["x",{"exists":false}]}`, false},
	{"absent or anything but", `{}`, `{"a":[{"anything-but":["x"]},{"exists":false}]}`, true},
	{"exists beside a failing operator", `{"a":"x"}`, `{"a":[{"exists":true},{"prefix":"y"}]}`, true},

	// Anything but.
	{"anything but", `{"a":"y"}`, `{"a":[{"anything-but":"x"}]}`, true},
	{"anything but, this", `{"a":"x"}`, `{"a":[{"anything-but":"x"}]}`, false},
	{"anything but, null", `{"a":null}`, `{"a":[{"anything-but":"x"}]}`, true},
	{"anything but, missing", `{}`, `{"a":[{"anything-but":"x"}]}`, false},
	{"anything but, an object", `{"a":{"b":1}}`, `{"a":[{"anything-but":"x"}]}`, false},
	{"anything but, an empty list", `{"a":[]}`, `{"a":[{"anything-but":"x"}]}`, false},
	{"anything but, a list of strings", `{"a":"y"}`, `{"a":[{"anything-but":["x","y"]}]}`, false},
	{"anything but, a number for strings", `{"a":1}`, `{"a":[{"anything-but":["1"]}]}`, true},
	{"anything but a number", `{"a":300.0}`, `{"a":[{"anything-but":300}]}`, false},
	{"anything but a number, a string", `{"a":"300"}`, `{"a":[{"anything-but":300}]}`, true},
	{"anything but zero", `{"a":789}`, `{"a":[{"anything-but":0}]}`, true},
	{"anything but numbers", `{"a":200}`, `{"a":[{"anything-but":[100,200]}]}`, false},
	{"anything but numbers, what no float holds", `{"a":12345678901234567891}`, `{"a":[{"anything-but":[100,200]}]}`, true},
	{"anything but a prefix", `{"a":"initial"}`, `{"a":[{"anything-but":{"prefix":"init"}}]}`, false},
	{"anything but a prefix, a number", `{"a":123}`, `{"a":[{"anything-but":{"prefix":"init"}}]}`, true},
	{"anything but a prefix, null", `{"a":null}`, `{"a":[{"anything-but":{"prefix":"init"}}]}`, true},
	{"anything but prefixes", `{"a":"stop"}`, `{"a":[{"anything-but":{"prefix":["init","st"]}}]}`, false},
	{"anything but a suffix", `{"a":"a.png"}`, `{"a":[{"anything-but":{"suffix":".png"}}]}`, false},
	{"anything but suffixes", `{"a":"a.gif"}`, `{"a":[{"anything-but":{"suffix":[".png",".jpg"]}}]}`, true},
	{"anything but, any case", `{"a":"INIT"}`, `{"a":[{"anything-but":{"equals-ignore-case":"init"}}]}`, false},
	{"anything but, any case, list", `{"a":"STOPPED"}`, `{"a":[{"anything-but":{"equals-ignore-case":["init","stopped"]}}]}`, false},
	{"anything but, any case, longer", `{"a":"initial"}`, `{"a":[{"anything-but":{"equals-ignore-case":"init"}}]}`, true},
	{"anything but a wildcard", `{"a":"a/lib/b"}`, `{"a":[{"anything-but":{"wildcard":"*/lib/*"}}]}`, false},
	{"anything but wildcards", `{"a":"a/src/b"}`, `{"a":[{"anything-but":{"wildcard":["*/lib/*","*/bin/*"]}}]}`, true},
	{"anything but the empty wildcard", `{"a":"x"}`, `{"a":[{"anything-but":{"wildcard":""}}]}`, true},

	// Lists in events.
	{"in a list", `{"a":["x","y"]}`, `{"a":["y"]}`, true},
	{"not in a list", `{"a":["x","y"]}`, `{"a":["z"]}`, false},
	{"in a list of lists", `{"a":[["x"],[["y"]]]}`, `{"a":["y"]}`, true},
	{"anything but in a list needs one other", `{"a":["x","y"]}`, `{"a":[{"anything-but":"x"}]}`, true},
	{"anything but in a list of only that", `{"a":["x","x"]}`, `{"a":[{"anything-but":"x"}]}`, false},
	{"in objects in a list", `{"a":[{"b":1},{"b":2}]}`, `{"a":{"b":[2]}}`, true},
	{"both in one element", `{"a":[{"b":1,"c":1},{"b":2,"c":2}]}`, `{"a":{"b":[2],"c":[2]}}`, true},
	{"in two elements", `{"a":[{"b":1,"c":1},{"b":2,"c":2}]}`, `{"a":{"b":[1],"c":[2]}}`, false},
	{"in two elements of a list of lists", `{"a":[[{"b":1},{"c":2}],[{"b":1,"c":3}]]}`, `{"a":{"b":[1],"c":[2]}}`, false},
	{"in one element of a list of lists", `{"a":[[{"b":1,"c":2}],[{"b":1,"c":3}]]}`, `{"a":{"b":[1],"c":[2]}}`, true},
	{"in an inner list", `{"a":[{"b":[{"c":1},{"d":2}]}]}`, `{"a":{"b":{"c":[1],"d":[2]}}}`, false},
	{"one inside of a list, one outside", `{"a":[{"b":1}],"c":2}`, `{"a":{"b":[1]},"c":[2]}`, true},
	{"in two lists", `{"a":[{"b":1},{"b":2}],"c":[{"d":1},{"d":2}]}`, `{"a":{"b":[1]},"c":{"d":[2]}}`, true},
	{"values of a list are free", `{"a":[1,2],"b":2}`, `{"a":[1],"b":[2]}`, true},
	{"outer element and inner element", `{"a":[{"n":"x","t":[{"k":1},{"k":2}]},{"n":"y","t":[{"k":3}]}]}`, `{"a":{"n":["x"],"t":{"k":[2]}}}`, true},
	{"outer element with another's inner", `{"a":[{"n":"x","t":[{"k":1}]},{"n":"y","t":[{"k":3}]}]}`, `{"a":{"n":["x"],"t":{"k":[3]}}}`, false},
	{"exists in some element", `{"a":[{"b":1},{"c":2}]}`, `{"a":{"c":[{"exists":true}]}}`, true},
	{"absent from some element only", `{"a":[{"b":1},{"c":2}]}`, `{"a":{"c":[{"exists":false}]}}`, false},
	{"absent from every element", `{"a":[{"b":1},{"d":2}]}`, `{"a":{"c":[{"exists":false}]}}`, true},
	{"absent from the element that was found", `{"a":[{"b":1,"c":2},{"b":3}]}`, `{"a":{"b":[3],"c":[{"exists":false}]}}`, true},
	{"present in the element that was found", `{"a":[{"b":1,"c":2},{"b":3}]}`, `{"a":{"b":[1],"c":[{"exists":false}]}}`, false},
	{"any element where it is absent", `{"a":[{"b":1,"c":2},{"b":3}]}`, `{"a":{"b":[{"exists":true}],"c":[{"exists":false}]}}`, true},
	{"asked before the element is found", `{"a":[{"b":1,"c":2},{"c":3}]}`, `{"a":{"b":[{"exists":false}],"c":[3]}}`, false},

	{"a field below another, in one element", `{"a":[[{"b":1},2]]}`, `{"a":[2],"a.b":[1]}`, true},
	{"a field below another, in two elements", `{"a":[[{"b":1}],[2]]}`, `{"a":[2],"a.b":[1]}`, false},
	{"a field below another, absent there", `{"a":[[{"b":1}],[2]]}`, `{"a":[2],"a.b":[{"exists":false}]}`, true},

	// Dots.
	{"dot in the pattern", `{"a":{"b":"x"}}`, `{"a.b":["x"]}`, true},
	{"dot in the event", `{"a.b":"x"}`, `{"a":{"b":["x"]}}`, true},
	{"dots in both", `{"a.b":{"c":"x"}}`, `{"a":{"b.c":["x"]}}`, true},
	{"dot and one step more in the pattern", `{"a":{"b":"x"}}`, `{"a.b":{"b":["x"]}}`, false},
	{"dot and one step more in the event", `{"a.b":{"b":"x"}}`, `{"a":{"b":["x"]}}`, false},
	{"dotted beside an object", `{"a":{"b":1},"a.c":2}`, `{"a":{"b":[1],"c":[2]}}`, true},

	// Repeated keys in events: all values count.
	{"repeated, first", `{"a":1,"a":2}`, `{"a":[1]}`, true},
	{"repeated, last", `{"a":1,"a":2}`, `{"a":[2]}`, true},
	{"repeated objects", `{"a":{"b":1},"a":{"c":2}}`, `{"a":{"b":[1],"c":[2]}}`, true},
	{"repeated lists", `{"a":[{"b":1}],"a":[{"c":2}]}`, `{"a":{"b":[1],"c":[2]}}`, true},
	{"repeated lists, two elements of one", `{"a":[{"b":1},{"c":2}],"a":[]}`, `{"a":{"b":[1],"c":[2]}}`, false},
	{"repeated, a value and an object", `{"a":1,"a":{"b":2}}`, `{"a":[{"exists":false}]}`, false},

	// Repeated fields in patterns: the last counts.
	{"field twice, last", `{"a":2}`, `{"a":[1],"a":[2]}`, true},
	{"field twice, first", `{"a":1}`, `{"a":[1],"a":[2]}`, false},
	{"field twice by a dot", `{"a":{"b":1}}`, `{"a":{"b":[1]},"a.b":[2]}`, false},

	// $or.
	{"or, first", `{"a":1}`, `{"$or":[{"a":[1]},{"b":[2]}]}`, true},
	{"or, second", `{"b":2}`, `{"$or":[{"a":[1]},{"b":[2]}]}`, true},
	{"or, neither", `{"a":2,"b":1}`, `{"$or":[{"a":[1]},{"b":[2]}]}`, false},
	{"or beside a field", `{"a":1,"c":3}`, `{"c":[3],"$or":[{"a":[1]},{"b":[2]}]}`, true},
	{"or beside a failing field", `{"a":1,"c":4}`, `{"c":[3],"$or":[{"a":[1]},{"b":[2]}]}`, false},
	{"or with and", `{"a":1,"b":1}`, `{"$or":[{"a":[1],"b":[2]},{"c":[3]}]}`, false},
	{"or below", `{"d":{"b":2}}`, `{"d":{"$or":[{"a":[1]},{"b":[2]}]}}`, true},
	{"or below, looked for above", `{"b":2}`, `{"d":{"$or":[{"a":[1]},{"b":[2]}]}}`, false},
	{"or in or", `{"a":1,"c":3}`, `{"$or":[{"a":[1],"$or":[{"b":[2]},{"c":[3]}]},{"d":[4]}]}`, true},
	{"two ors", `{"a":1,"d":4}`, `{"$or":[{"a":[1]},{"b":[2]}],"x":{"$or":[{"a":[1]},{"b":[2]}]}}`, false},
	{"or and lists", `{"d":[{"a":1},{"b":2}]}`, `{"d":{"a":[1],"$or":[{"b":[2]},{"c":[3]}]}}`, false},
	{"or replaces the field before", `{"a":2}`, `{"a":[1],"$or":[{"a":[2]},{"b":[3]}]}`, true},
	{"or replaces it only in its branch", `{"a":1,"b":3}`, `{"a":[1],"$or":[{"a":[2]},{"b":[3]}]}`, true},
	{"the field after replaces the or's", `{"a":2}`, `{"$or":[{"a":[2]},{"b":[3]}],"a":[1]}`, false},
	{"the field after", `{"a":1}`, `{"$or":[{"a":[2]},{"b":[3]}],"a":[1]}`, true},
	{"or that is a field, with values", `{"$or":"x"}`, `{"$or":["x","y"]}`, true},
	{"or that is a field, with operators", `{"$or":"10.0.0.1"}`, `{"$or":[{"numeric":[">",5]},{"cidr":"10.0.0.0/8"}]}`, true},
	{"or that is a field, with fields", `{"$or":{"a":1}}`, `{"$or":{"a":[1]}}`, true},

	// Limits of depth.
	{"deep in lists", `{"a":[[[[[[[[[[[[[[[[[[[["x"]]]]]]]]]]]]]]]]]]]]}`, `{"a":["x"]}`, true},
}

func TestVerdicts(t *testing.T) {
	for _, test := range verdicts {
		t.Run(test.name, func(t *testing.T) {
			p, err := Compile([]byte(test.pattern))
			if err != nil {
				t.Fatalf("%s: %v", test.pattern, err)
			}
			doc, err := FromJSON([]byte(test.event))
			if err != nil {
				t.Fatalf("%s: %v", test.event, err)
			}
			if got := p.Matches(doc); got != test.match {
				t.Errorf("event %s\npattern %s\ngot %v, want %v\n%s", test.event, test.pattern, got, test.match, p.Explain(doc))
			}
		})
	}
}
