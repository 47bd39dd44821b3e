package pattern

import (
	"cmp"
	"net/netip"
	"slices"
	"unicode"
	"unicode/utf8"
)

// A form is how a key says which values it holds for.
type form uint8

const (
	formExact      form = iota // strings that are the text
	formPrefix                 // strings that begin with the text
	formSuffix                 // strings that end with it; the text is backwards
	formWithin                 // strings that have it somewhere
	formFold                   // formExact, of folded texts
	formFoldPrefix             // formPrefix, of folded texts
	formFoldSuffix             // formSuffix, of folded texts
	formAddress                // addresses whose bits begin with the text
	formWord                   // true, false, null, and numbers that no float holds
	textForms                  // how many forms look texts up

	formSpan   form = iota - 1 // numbers within the span
	formTest                   // whatever the clause matches: it is asked
	formAny                    // all values
	formAbsent                 // no value
)

// A key is what an index looks up a value by. If a clause matches a value, one
// of the clause's keys holds for it; the other way round it need not be so.
type key struct {
	form   form
	text   string
	span   span
	clause *clause // of formTest
}

func (k *key) same(other key) bool {
	return k.form == other.form && k.text == other.text && k.span == other.span
}

// costs say how much an index would rather not look up keys of a form: those
// that hold for few values come first, those that hold for nearly all last.
var costs = [...]int{
	formExact: 1, formPrefix: 2, formSuffix: 2, formWithin: 4, formFold: 1, formFoldPrefix: 2, formFoldSuffix: 2,
	formAddress: 2, formWord: 2, formSpan: 2, formTest: 1000, formAny: 1000, formAbsent: 1000,
}

// dataCost is how much more it costs to look into the data.
const dataCost = 4

// An ask is a condition that an event meets if a branch matches it: that of the
// values at a path one has one of the keys, or none is there.
type ask struct {
	field *field
	keys  []key
}

// cost is the least for what holds for few values.
func (a *ask) cost() int {
	cost := 0
	for i := range a.keys {
		k := &a.keys[i]
		if k.form < textForms && k.form != formExact && k.text == "" {
			cost += costs[formAny]
		}
		cost += costs[k.form]
	}
	if isData(a.field.steps[0]) {
		cost *= dataCost
	}
	return cost
}

func isData(name string) bool { return name == "data" || name == "data_base64" }

// maxPlaces bounds in how many places of an index a branch stands for its
// second and further asks, which multiply.
const maxPlaces = 64

// asks are the conditions by which an index finds the branch: the most
// selective first.
func (b *branch) asks() []ask {
	var all []ask
	for _, f := range b.fields {
		all = append(all, f.asks()...)
	}
	slices.SortStableFunc(all, func(x, y ask) int { return cmp.Compare(x.cost(), y.cost()) })
	chosen, places := all[:0], 1
	for _, a := range all {
		if len(chosen) == 0 || places*len(a.keys) <= maxPlaces {
			chosen, places = append(chosen, a), places*len(a.keys)
		}
	}
	return slices.Clip(chosen)
}

// asks are one condition, and for a single wildcard one for each of its texts.
func (f *field) asks() []ask {
	a := ask{field: f}
	for i := range f.clauses {
		for _, k := range f.clauses[i].keys() {
			if !slices.ContainsFunc(a.keys, k.same) {
				a.keys = append(a.keys, k)
			}
		}
	}
	all := []ask{a}
	if c := &f.clauses[0]; len(f.clauses) == 1 && c.op == opWildcard && !c.negate {
		for _, k := range c.operands[0].wild.keys()[1:] {
			all = append(all, ask{field: f, keys: []key{k}})
		}
	}
	return all
}

// keys are what the clause is looked up by.
func (c *clause) keys() []key {
	o := &c.operands[0]
	if c.negate {
		return []key{c.test()}
	}
	switch c.op {
	case opString:
		keys := []key{{form: formExact, text: o.text}}
		if o.address.IsValid() {
			keys = append(keys, key{form: formAddress, text: string(appendBits(nil, whole(o.address)))})
		}
		return keys
	case opNumber:
		if !o.exact {
			return []key{{form: formWord, text: o.text}}
		}
		return []key{{form: formSpan, span: span{low: o.number, high: o.number, hasLow: true, hasHigh: true}}}
	case opLiteral:
		return []key{{form: formWord, text: o.text}}
	case opPrefix:
		return []key{{form: formPrefix, text: o.text}}
	case opSuffix:
		return []key{{form: formSuffix, text: backwards(o.text)}}
	case opFold, opPrefixFold, opSuffixFold:
		return []key{c.folded()}
	case opWildcard:
		return o.wild.keys()[:1]
	case opNumeric:
		return []key{{form: formSpan, span: o.span}}
	case opCIDR:
		return []key{{form: formAddress, text: string(appendBits(nil, o.block))}}
	case opExists:
		return []key{{form: formAny}}
	default:
		return []key{{form: formAbsent}}
	}
}

// test is the key of a clause that must be asked. Clauses that are written alike
// share it.
func (c *clause) test() key { return key{form: formTest, text: c.String(), clause: c} }

// folded is the key of a clause that matches whatever the case.
func (c *clause) folded() key {
	o := &c.operands[0]
	if !o.fold.foldable() {
		return c.test()
	}
	text := string(appendFolded(nil, o.text))
	switch c.op {
	case opFold:
		return key{form: formFold, text: text}
	case opPrefixFold:
		return key{form: formFoldPrefix, text: text}
	default:
		return key{form: formFoldSuffix, text: backwards(text)}
	}
}

// foldable tells whether whatever f allows at a place is folded to the same.
func (f *fold) foldable() bool {
	for _, forms := range f.places {
		first := string(appendFolded(nil, forms[0]))
		for _, other := range forms[1:] {
			if string(appendFolded(nil, other)) != first {
				return false
			}
		}
	}
	return true
}

// appendFolded writes for each character of the text the least of those that
// differ from it in case only.
func appendFolded(dst []byte, text string) []byte {
	for _, r := range text {
		if r < utf8.RuneSelf {
			if r >= 'a' && r <= 'z' {
				r -= 'a' - 'A'
			}
			dst = append(dst, byte(r))
			continue
		}
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		dst = utf8.AppendRune(dst, least)
	}
	return dst
}

// maxWithin is how much of a text is looked for at each place of a string.
const maxWithin = 64

// keys are what the texts of the wildcard are looked up by, the longest first.
func (w *wildcard) keys() []key {
	first, last := w.parts[0], w.parts[len(w.parts)-1]
	if len(w.parts) == 1 {
		return []key{{form: formExact, text: first}}
	}
	keys := []key{{form: formPrefix, text: first}}
	if last != "" {
		keys = append(keys, key{form: formSuffix, text: backwards(last)})
	}
	for _, part := range w.parts[1 : len(w.parts)-1] {
		keys = append(keys, key{form: formWithin, text: part[:min(len(part), maxWithin)]})
	}
	slices.SortStableFunc(keys, func(a, b key) int { return len(b.text) - len(a.text) })
	if len(keys) > 1 && keys[len(keys)-1].text == "" {
		keys = keys[:len(keys)-1]
	}
	return keys
}

// whole is the block of one address.
func whole(address netip.Addr) netip.Prefix { return netip.PrefixFrom(address, address.BitLen()) }

// appendBits writes the length of addresses of this kind and then the bits
// before the mask, a byte each.
func appendBits(dst []byte, block netip.Prefix) []byte {
	bytes, start := block.Addr().As16(), 128-block.Addr().BitLen()
	dst = append(dst, byte(block.Addr().BitLen()))
	for i := start; i < start+block.Bits(); i++ {
		dst = append(dst, bytes[i/8]>>(7-i%8)&1)
	}
	return dst
}
