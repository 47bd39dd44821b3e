package pattern

import (
	"slices"
	"strings"
)

const foldName = "equals-ignore-case"

// operators are the names that a clause may have, as they are suggested.
var operators = []string{"prefix", "suffix", foldName, "wildcard", "numeric", "exists", "cidr", "anything-but", "exactly"}

// reserved are the names that may not be those of fields within "$or": the
// operators, the signs of numeric, and words that the reference keeps for later.
var reserved = append([]string{
	"=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case",
	"date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range",
	"ip-address-in-range", "ip-address-not-in-range",
}, operators...)

// clause reads one entry of a list.
func (c *compiler) clause(v *value) (clause, error) {
	plain := clause{path: slices.Clone(c.path), offset: v.offset, operands: []operand{{text: v.text}}}
	o := &plain.operands[0]
	switch v.kind {
	case kindObject:
		return c.operator(v)
	case kindArray:
		return clause{}, c.fail(v.offset, "a list inside of a list is not allowed; write the values, or objects with one operator")
	case kindString:
		plain.op = opString
		o.address, _ = parseAddress(v.text)
	case kindNumber:
		plain.op = opNumber
		o.number, o.exact = comparable64(v.text)
	case kindNull:
		plain.op, o.text = opLiteral, "null"
	default:
		plain.op = opLiteral
	}
	return plain, nil
}

// operator reads an object with one operator.
func (c *compiler) operator(v *value) (clause, error) {
	m, err := c.single(v, "an operator", operators)
	if err != nil {
		return clause{}, err
	}
	made := clause{path: slices.Clone(append(c.path, m.key)), offset: m.value.offset}
	c.path = append(c.path, m.key)
	defer func() { c.path = c.path[:len(c.path)-1] }()
	switch m.key {
	case "anything-but":
		err = c.anythingBut(&made, &m.value)
	case "prefix", "suffix":
		err = c.affix(&made, m.key, &m.value)
	case "numeric":
		made.op = opNumeric
		err = c.numeric(&made, &m.value)
	case "exists":
		err = c.exists(&made, &m.value)
	case "cidr":
		made.op = opCIDR
		err = c.cidr(&made, &m.value)
	default:
		made.op = map[string]op{"exactly": opString, foldName: opFold, "wildcard": opWildcard}[m.key]
		err = c.add(&made, m.key, &m.value)
	}
	if err == nil && len(v.members) > 1 {
		second := v.members[1]
		c.path[len(c.path)-1] = second.key
		err = c.fail(second.offset, "only one operator is allowed in an object, found %q and %q; two objects in the list mean that either may match", m.key, second.key)
	}
	return made, err
}

// single returns the first key of an object, which must be a known one.
func (c *compiler) single(v *value, what string, known []string) (*member, error) {
	if len(v.members) == 0 {
		return nil, c.fail(v.offset, "an empty object where %s should be: one of %s", what, strings.Join(known, ", "))
	}
	m := &v.members[0]
	if !slices.Contains(known, m.key) {
		c.path = append(c.path, m.key)
		return nil, c.fail(m.offset, "unknown operator %q%s", m.key, hint(m.key, known))
	}
	return m, nil
}

func hint(word string, known []string) string {
	if s := suggest(word, known); s != "" {
		return s
	}
	return "; known here: " + strings.Join(known, ", ")
}

// add reads the text of one operand.
func (c *compiler) add(made *clause, name string, v *value) error {
	if v.kind != kindString {
		return c.fail(v.offset, "%s needs a string, not %s", name, v.describe())
	}
	o := operand{text: v.text}
	switch made.op {
	case opFold, opPrefixFold, opSuffixFold:
		o.fold = newFold(v.text)
	case opWildcard:
		w, err := parseWildcard(v.text)
		if err != nil {
			return c.fail(v.offset, "%s", err)
		}
		o.wild = w
	default:
	}
	made.operands = append(made.operands, o)
	return nil
}

// affix reads a prefix or suffix: a string, or {"equals-ignore-case": string}.
func (c *compiler) affix(made *clause, name string, v *value) error {
	made.op = map[string]op{"prefix": opPrefix, "suffix": opSuffix}[name]
	if v.kind != kindObject {
		return c.add(made, name, v)
	}
	m, err := c.single(v, foldName, []string{foldName})
	if err != nil {
		return err
	}
	made.op = map[string]op{"prefix": opPrefixFold, "suffix": opSuffixFold}[name]
	c.path = append(c.path, m.key)
	defer func() { c.path = c.path[:len(c.path)-1] }()
	if err := c.add(made, foldName, &m.value); err != nil {
		return err
	}
	return c.alone(v)
}

// alone refuses a second key beside the operator of an operator.
func (c *compiler) alone(v *value) error {
	if len(v.members) > 1 {
		return c.fail(v.members[1].offset, "only one operator is allowed in an object, found %q and %q", v.members[0].key, v.members[1].key)
	}
	return nil
}

func (c *compiler) exists(made *clause, v *value) error {
	if v.kind != kindBool {
		return c.fail(v.offset, "exists needs true or false, not %s", v.describe())
	}
	made.op = opExists
	if v.text == "false" {
		made.op = opAbsent
	}
	made.operands = []operand{{}}
	return nil
}

func (c *compiler) cidr(made *clause, v *value) error {
	if v.kind != kindString {
		return c.fail(v.offset, "cidr needs a string such as \"10.0.0.0/8\", not %s", v.describe())
	}
	block, err := parseCIDR(v.text)
	if err != nil {
		return c.fail(v.offset, "%s", err)
	}
	made.operands = []operand{{text: v.text, block: block}}
	return nil
}

// numeric reads a comparison, or a range with the lower bound first.
func (c *compiler) numeric(made *clause, v *value) error {
	if v.kind != kindArray {
		return c.fail(v.offset, "numeric needs a list such as [\">\", 0, \"<=\", 5], not %s", v.describe())
	}
	var s span
	for i := 0; i < len(v.items) || i == 0; i += 2 {
		sign, err := c.sign(v, i)
		if err != nil {
			return err
		}
		n, err := c.threshold(v, i+1, sign)
		if err != nil {
			return err
		}
		switch sign {
		case "=":
			s = span{low: n, high: n, hasLow: true, hasHigh: true}
		case ">", ">=":
			s.low, s.hasLow, s.openLow = n, true, sign == ">"
		default:
			s.high, s.hasHigh, s.openHigh = n, true, sign == "<"
		}
	}
	if len(v.items) == 4 && s.low >= s.high {
		return c.fail(v.offset, "the range is empty: its lower bound %s is not below its upper bound %s", v.items[1].text, v.items[3].text)
	}
	made.operands = []operand{{span: s}}
	return nil
}

// sign reads the comparison at position i of numeric.
func (c *compiler) sign(v *value, i int) (string, error) {
	allowed := []string{"=", "<", "<=", ">", ">="}
	if i == 2 {
		allowed = []string{"<", "<="}
	}
	if i >= len(v.items) {
		return "", c.fail(v.offset, "numeric needs a comparison and a number, such as [\">\", 0]; the list is empty")
	}
	item := &v.items[i]
	c.path = append(c.path, i)
	lower := i == 0 || v.items[0].text == ">" || v.items[0].text == ">="
	switch {
	case i > 2 || !lower:
		return "", c.fail(item.offset, "too many entries: numeric takes one comparison, or a lower bound (> or >=) and then an upper one (< or <=)")
	case item.kind != kindString:
		return "", c.fail(item.offset, "a comparison must stand here, one of %s, not %s", strings.Join(allowed, " "), item.describe())
	case !slices.Contains(allowed, item.text):
		return "", c.fail(item.offset, "unknown comparison %q; allowed here: %s", item.text, strings.Join(allowed, " "))
	}
	c.path = c.path[:len(c.path)-1]
	return item.text, nil
}

func (c *compiler) threshold(v *value, i int, sign string) (float64, error) {
	if i >= len(v.items) {
		return 0, c.fail(v.items[i-1].offset, "the number after %q is missing", sign)
	}
	c.path = append(c.path, i)
	defer func() { c.path = c.path[:len(c.path)-1] }()
	item := &v.items[i]
	if item.kind != kindNumber {
		return 0, c.fail(item.offset, "a number must follow %q, not %s", sign, item.describe())
	}
	return c.number(item)
}

func (c *compiler) number(v *value) (float64, error) {
	n, exact := comparable64(v.text)
	if !exact {
		return 0, c.fail(v.offset, "%s cannot be compared: a 64-bit float does not hold it exactly; use fewer digits", shorten(v.text))
	}
	return n, nil
}

// negatable are the operators that anything-but can turn round.
var negatable = []string{"prefix", "suffix", foldName, "wildcard"}

// anythingBut reads a value, a list of values of one type, or an operator with
// a string or a list of strings.
func (c *compiler) anythingBut(made *clause, v *value) error {
	made.negate = true
	if v.kind != kindObject {
		return c.excluded(made, v)
	}
	m, err := c.single(v, "an operator", negatable)
	if err != nil {
		return err
	}
	c.path = append(c.path, m.key)
	made.op = map[string]op{"prefix": opPrefix, "suffix": opSuffix, foldName: opFold, "wildcard": opWildcard}[m.key]
	for i, item := range c.list(&m.value) {
		err := c.excludedText(made, m.key, i, m.value.kind == kindArray, item)
		if err != nil {
			return err
		}
	}
	if len(made.operands) == 0 {
		return c.fail(m.value.offset, "an empty list excludes nothing; write at least one string")
	}
	c.path = c.path[:len(c.path)-1]
	return c.alone(v)
}

// list returns the items of a list, or a single value as a list of one.
func (c *compiler) list(v *value) []*value {
	if v.kind != kindArray {
		return []*value{v}
	}
	items := make([]*value, len(v.items))
	for i := range v.items {
		items[i] = &v.items[i]
	}
	return items
}

func (c *compiler) excludedText(made *clause, name string, i int, listed bool, v *value) error {
	if listed {
		c.path = append(c.path, i)
		defer func() { c.path = c.path[:len(c.path)-1] }()
	}
	if v.kind == kindString && v.text == "" && (name == "prefix" || name == "suffix") {
		return c.fail(v.offset, "an empty %s would exclude every string; write at least one character", name)
	}
	return c.add(made, name, v)
}

// excluded reads the values of anything-but.
func (c *compiler) excluded(made *clause, v *value) error {
	items := c.list(v)
	if len(items) == 0 {
		return c.fail(v.offset, "an empty list excludes nothing; write strings or numbers")
	}
	for i, item := range items {
		if v.kind == kindArray {
			c.path = append(c.path, i)
		}
		if err := c.exclude(made, item, items[0].kind); err != nil {
			return err
		}
		if v.kind == kindArray {
			c.path = c.path[:len(c.path)-1]
		}
	}
	return nil
}

func (c *compiler) exclude(made *clause, v *value, first kind) error {
	switch {
	case v.kind != kindString && v.kind != kindNumber:
		return c.fail(v.offset, "anything-but needs strings, numbers, or an operator (%s), not %s", strings.Join(negatable, ", "), v.describe())
	case v.kind != first:
		return c.fail(v.offset, "anything-but needs a list of strings or a list of numbers, not both")
	}
	o := operand{text: v.text}
	made.op = opString
	if v.kind == kindNumber {
		n, err := c.number(v)
		if err != nil {
			return err
		}
		made.op, o.number, o.exact = opNumber, n, true
	}
	made.operands = append(made.operands, o)
	return nil
}
