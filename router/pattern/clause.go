package pattern

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

type op uint8

const (
	opString op = iota
	opNumber
	opLiteral // true, false or null
	opPrefix
	opSuffix
	opFold
	opPrefixFold
	opSuffixFold
	opWildcard
	opNumeric
	opCIDR
	opExists
	opAbsent
)

// A clause is one entry of a field's list: one way in which the field matches.
// It holds if one of its operands does; negated (anything-but), if none does.
type clause struct {
	op       op
	negate   bool
	operands []operand
	path     []any // where it stands in the pattern
	offset   int
}

// An operand is what a clause compares with; op says which parts are set.
type operand struct {
	text    string     // as written
	number  float64    // if exact
	exact   bool       // a float holds the number
	address netip.Addr // valid if the text is an IP address
	block   netip.Prefix
	fold    *fold
	wild    *wildcard
	span    span
}

// A span is a stretch of the number line.
type span struct {
	low, high         float64
	hasLow, hasHigh   bool
	openLow, openHigh bool
}

func (s *span) contains(n float64) bool {
	if s.hasLow && (n < s.low || s.openLow && n == s.low) {
		return false
	}
	return !s.hasHigh || n < s.high || !s.openHigh && n == s.high
}

// A leaf is a value of an event that is no object and no list.
type leaf struct {
	kind   kind
	exact  bool // number is the value
	text   string
	number float64
}

func newLeaf(kind kind, text string) leaf {
	l := leaf{kind: kind, text: text}
	if kind == kindNumber {
		l.number, l.exact = comparable64(text)
	}
	return l
}

func (c *clause) matches(l *leaf) bool {
	for i := range c.operands {
		if c.operands[i].matches(c.op, c.negate, l) {
			return !c.negate
		}
	}
	return c.negate
}

func (o *operand) matches(op op, negate bool, l *leaf) bool {
	switch op {
	case opNumber:
		return l.kind == kindNumber && o.equalsNumber(l)
	case opNumeric:
		return l.kind == kindNumber && l.exact && o.span.contains(l.number)
	case opLiteral:
		return (l.kind == kindNull || l.kind == kindBool) && l.text == o.text
	case opExists:
		return true
	case opAbsent:
		return false
	default:
		return l.kind == kindString && o.matchesText(op, negate, l)
	}
}

func (o *operand) equalsNumber(l *leaf) bool {
	if o.exact && l.exact {
		return o.number == l.number
	}
	return o.text == l.text
}

func (o *operand) matchesText(op op, negate bool, l *leaf) bool {
	switch op {
	case opString:
		return o.text == l.text || !negate && o.address.IsValid() && o.sameAddress(l.text)
	case opPrefix:
		return strings.HasPrefix(l.text, o.text)
	case opSuffix:
		return strings.HasSuffix(l.text, o.text)
	case opFold:
		return o.fold.equal(l.text)
	case opPrefixFold:
		_, ok := o.fold.prefix(l.text)
		return ok
	case opSuffixFold:
		return o.fold.suffix(l.text)
	case opWildcard:
		return o.wild.match(l.text)
	default:
		address, ok := parseAddress(l.text)
		return ok && o.block.Contains(address)
	}
}

func (o *operand) sameAddress(text string) bool {
	address, ok := parseAddress(text)
	return ok && address == o.address
}

// String writes the clause as a pattern does.
func (c *clause) String() string {
	inner := c.operandString()
	if c.op == opString || c.op == opNumber || c.op == opLiteral {
		if c.negate {
			return `{"anything-but":` + inner + "}"
		}
		return inner
	}
	name := map[op]string{
		opPrefix: "prefix", opSuffix: "suffix", opFold: foldName, opPrefixFold: "prefix", opSuffixFold: "suffix",
		opWildcard: "wildcard", opNumeric: "numeric", opCIDR: "cidr", opExists: "exists", opAbsent: "exists",
	}[c.op]
	if c.op == opPrefixFold || c.op == opSuffixFold {
		inner = `{"` + foldName + `":` + inner + "}"
	}
	inner = `{"` + name + `":` + inner + "}"
	if c.negate {
		return `{"anything-but":` + inner + "}"
	}
	return inner
}

func (c *clause) operandString() string {
	texts := make([]string, len(c.operands))
	for i := range c.operands {
		texts[i] = c.operands[i].string(c.op)
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if len(texts) == 1 {
		return texts[0]
	}
	return "[" + strings.Join(texts, ",") + "]"
}

func (o *operand) string(op op) string {
	switch op {
	case opNumber:
		return o.numberString()
	case opLiteral:
		return o.text
	case opExists:
		return "true"
	case opAbsent:
		return "false"
	case opNumeric:
		return o.span.String()
	case opCIDR:
		return strconv.Quote(o.block.String())
	default:
		return jsonString(o.text)
	}
}

func (o *operand) numberString() string {
	if o.exact {
		return formatFloat(o.number)
	}
	return o.text
}

func (s *span) String() string {
	if s.hasLow && s.hasHigh && s.low == s.high {
		return `["=",` + formatFloat(s.low) + "]"
	}
	var parts []string
	add := func(sign string, open bool, n float64) {
		if !open {
			sign += "="
		}
		parts = append(parts, `"`+sign+`"`, formatFloat(n))
	}
	if s.hasLow {
		add(">", s.openLow, s.low)
	}
	if s.hasHigh {
		add("<", s.openHigh, s.high)
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func formatFloat(n float64) string {
	if n == 0 {
		return "0"
	}
	format := byte('f')
	if n >= 1e21 || n <= -1e21 || n < 1e-6 && n > -1e-6 {
		format = 'e'
	}
	return strconv.FormatFloat(n, format, -1, 64)
}
