package transform

import (
	"strings"

	"github.com/itchyny/gojq"
)

// A price says what a function of jq is paid for with.
type price struct {
	kind   priceKind
	factor int64
}

type priceKind uint8

const (
	// free is for what costs its steps only.
	free priceKind = iota + 1
	// byLength is for what goes through its input, but not into what is in it.
	byLength
	// byContent is for what goes through its input and its arguments.
	byContent
	// byPairs is for what may compare each part of its input with each of its
	// argument.
	byPairs
	// byResult is for what may give much more than it is given, byDigits for what
	// makes a number.
	byResult
	byDigits
	// byPattern is for regular expressions.
	byPattern
	// bySetting and byPicking are for what may make arrays long.
	bySetting
	byPicking
)

// prices are the functions that there are, by the names that they have for each
// price.
func prices() map[string]price {
	known := map[string]price{}
	for _, group := range []struct {
		price price
		names string
	}{
		{price{free, 0}, `empty not select recurse while until repeat range first last nth limit skip isempty type has in
			arrays objects iterables booleans numbers finites normals strings nulls values scalars path getpath
			sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh floor round nearbyint rint ceil trunc significand
			fabs sqrt cbrt exp exp10 exp2 expm1 frexp modf log log10 log1p log2 logb gamma tgamma lgamma erf erfc j0 j1 y0 y1
			atan2 copysign drem fdim fmax fmin fmod hypot nextafter nexttoward remainder ldexp scalb scalbln pow fma
			infinite isfinite isinfinite nan isnan isnormal abs toboolean gmtime mktime todate fromdate todateiso8601 fromdateiso8601`},
		{price{byLength, 1}, `length utf8bytelength reverse map any all startswith endswith`},
		{price{byLength, 4}, `del delpaths map_values`},
		{price{byLength, 8}, `keys`},
		{price{byLength, 16}, `to_entries with_entries`},
		{price{byContent, 1}, `add error ltrimstr rtrimstr trimstr ltrim rtrim trim ascii_downcase ascii_upcase walk IN bsearch`},
		{price{byContent, 4}, `from_entries flatten min max min_by max_by sort sort_by group_by unique unique_by implode INDEX`},
		{price{byContent, 8}, `tojson tostring`},
		{price{byContent, 16}, `paths strftime strptime`},
		{price{byContent, 32}, `explode`},
		{price{byContent, 48}, `split`},
		{price{byPairs, 1}, `contains inside indices index rindex join`},
		{price{byResult, 32}, `fromjson`},
		{price{byDigits, 1}, `tonumber`},
		{price{byPattern, 1}, `test capture match sub scan splits gsub`},
		{price{bySetting, 1}, `setpath`},
		{price{byPicking, 4}, `pick`},
	} {
		for name := range strings.FieldsSeq(group.names) {
			known[name] = group.price
		}
	}
	return known
}

// refused says why functions are refused that jq has.
func refused(name string) string {
	switch name {
	case "now", "localtime", "strflocaltime":
		return "it would give something else with each attempt: take .time of the event"
	case "env", "$ENV":
		return "an expression does not see the environment: write ${NAME} where the file may have it, outside of jq"
	case "input", "inputs", "debug", "stderr", "input_filename", "input_line_number", "halt", "halt_error", "modulemeta", "get_search_list", "builtins":
		return "an expression has its event and nothing else"
	case "combinations", "transpose", "tostream", "fromstream", "truncate_stream", "JOIN", "jn", "yn":
		return "what it takes cannot be bounded"
	}
	return "there is no such function"
}

// literal returns the text of a query that is a text and nothing else.
func literal(q *gojq.Query) (string, bool) {
	t := q.Term
	if t == nil || len(q.FuncDefs) > 0 || t.Type != gojq.TermTypeString || t.Str == nil || t.Str.Queries != nil || len(t.SuffixList) > 0 {
		return "", false
	}
	return t.Str.Str, true
}

func isNull(q *gojq.Query) bool {
	return q.Term != nil && q.Term.Type == gojq.TermTypeNull && len(q.Term.SuffixList) == 0
}

// isScalar tells whether a query is a number, a text or a word like null, so that
// comparing with it costs nothing.
func isScalar(q *gojq.Query) bool {
	if _, ok := literal(q); ok || isNull(q) {
		return true
	}
	return isNumber(q) || q.Term != nil && len(q.Term.SuffixList) == 0 && (q.Term.Type == gojq.TermTypeTrue || q.Term.Type == gojq.TermTypeFalse)
}

func isNumber(q *gojq.Query) bool {
	t := q.Term
	if t != nil && t.Type == gojq.TermTypeUnary {
		t = t.Unary.Term
	}
	return t != nil && t.Type == gojq.TermTypeNumber && len(t.SuffixList) == 0
}
