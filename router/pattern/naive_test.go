package pattern

import (
	"fmt"
	"maps"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strings"
)

// This file evaluates patterns a second time, in the plainest way: an event is
// flattened to fields with the list elements they are in, and every choice of
// fields is tried. It shares no code with the package.

// A naiveEntry is an entry of a pattern's list: JSON, and what it means.
type naiveEntry struct {
	json   string
	absent bool
	holds  func(kind, text string) bool
}

// A naivePattern is an object of a pattern: keys with objects or lists, or $or.
type naivePattern []naiveMember

type naiveMember struct {
	key    string
	object naivePattern
	list   []naiveEntry
	or     []naivePattern
}

func (p naivePattern) json() string {
	var parts []string
	for _, m := range p {
		parts = append(parts, fmt.Sprintf("%q:%s", m.key, m.json()))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (m naiveMember) json() string {
	var parts []string
	switch {
	case m.object != nil:
		return m.object.json()
	case m.or != nil:
		for _, p := range m.or {
			parts = append(parts, p.json())
		}
	default:
		for _, e := range m.list {
			parts = append(parts, e.json)
		}
	}
	return "[" + strings.Join(parts, ",") + "]"
}

type naiveRule map[string][]naiveEntry

// expand writes the fields of p below path into all rules.
func (p naivePattern) expand(rules []naiveRule, path string) []naiveRule {
	for _, m := range p {
		name := strings.TrimPrefix(path+"."+m.key, ".")
		switch {
		case m.object != nil:
			rules = m.object.expand(rules, name)
		case m.or != nil:
			var all []naiveRule
			for _, branch := range m.or {
				var copied []naiveRule
				for _, rule := range rules {
					c := naiveRule{}
					maps.Copy(c, rule)
					copied = append(copied, c)
				}
				all = append(all, branch.expand(copied, path)...)
			}
			rules = all
		default:
			for _, rule := range rules {
				rule[name] = m.list
			}
		}
	}
	return rules
}

// A naiveField is a leaf of an event, and in which element of which list it is.
type naiveField struct {
	path, kind, text string
	in               map[int]int
}

// A naiveNode is a value of an event: an object, a list, or a leaf.
type naiveNode struct {
	keys       []string
	values     []naiveNode
	kind, text string // "object", "array", or that of a leaf
}

func (n naiveNode) json() string {
	var parts []string
	switch n.kind {
	case "object":
		for i, key := range n.keys {
			parts = append(parts, fmt.Sprintf("%q:%s", key, n.values[i].json()))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case "array":
		for _, v := range n.values {
			parts = append(parts, v.json())
		}
		return "[" + strings.Join(parts, ",") + "]"
	case "string":
		return fmt.Sprintf("%q", n.text)
	default:
		return n.text
	}
}

type naiveFlattener struct {
	fields []naiveField
	lists  int
}

func (f *naiveFlattener) walk(n naiveNode, path string, in map[int]int) {
	switch n.kind {
	case "object":
		for i, key := range n.keys {
			f.walk(n.values[i], strings.TrimPrefix(path+"."+key, "."), in)
		}
	case "array":
		f.lists++
		id := f.lists
		for i, v := range n.values {
			inside := in
			if v.kind == "object" || v.kind == "array" {
				inside = map[int]int{id: i}
				maps.Copy(inside, in)
			}
			f.walk(v, path, inside)
		}
	default:
		f.fields = append(f.fields, naiveField{path, n.kind, n.text, in})
	}
}

func naiveMatch(p naivePattern, event naiveNode) bool {
	var f naiveFlattener
	f.walk(event, "", map[int]int{})
	for _, rule := range p.expand([]naiveRule{{}}, "") {
		var paths []string
		for path := range rule {
			paths = append(paths, path)
		}
		slices.Sort(paths)
		if rule.satisfied(paths, f.fields, map[int]int{}) {
			return true
		}
	}
	return false
}

// satisfied tries every choice for the first path, then for the others.
func (r naiveRule) satisfied(paths []string, fields []naiveField, chosen map[int]int) bool {
	if len(paths) == 0 {
		return true
	}
	present := false
	for _, field := range fields {
		if field.path != paths[0] {
			continue
		}
		union, ok := naiveUnion(chosen, field.in)
		if !ok {
			continue
		}
		present = true
		for _, e := range r[paths[0]] {
			if !e.absent && e.holds(field.kind, field.text) && r.satisfied(paths[1:], fields, union) {
				return true
			}
		}
	}
	for _, e := range r[paths[0]] {
		if e.absent && !present && r.satisfied(paths[1:], fields, chosen) {
			return true
		}
	}
	return false
}

func naiveUnion(a, b map[int]int) (map[int]int, bool) {
	union := maps.Clone(a)
	for k, v := range b {
		if old, found := union[k]; found && old != v {
			return nil, false
		}
		union[k] = v
	}
	return union, true
}

// naiveText makes an entry that holds for some strings.
func naiveText(json string, holds func(text string) bool) naiveEntry {
	return naiveEntry{json: json, holds: func(kind, text string) bool { return kind == "string" && holds(text) }}
}

// naiveBut turns an entry round, json being that of the operand.
func naiveBut(json string, e naiveEntry) naiveEntry {
	return naiveEntry{json: `{"anything-but":` + json + "}", holds: func(kind, text string) bool { return !e.holds(kind, text) }}
}

func naiveNumber(json string, holds func(comparison int) bool, threshold string) naiveEntry {
	want, _ := new(big.Rat).SetString(threshold)
	return naiveEntry{json: json, holds: func(kind, text string) bool {
		got, ok := new(big.Rat).SetString(text)
		return kind == "number" && ok && holds(got.Cmp(want))
	}}
}

func naiveWildcard(text string) *regexp.Regexp {
	expression := ""
	for literal := false; text != ""; text = text[1:] {
		switch c := text[:1]; {
		case literal:
			expression, literal = expression+regexp.QuoteMeta(c), false
		case c == `\`:
			literal = true
		case c == "*":
			expression += `(?s:.*)`
		default:
			expression += regexp.QuoteMeta(c)
		}
	}
	return regexp.MustCompile(`\A` + expression + `\z`)
}

func naiveInBlock(block, text string) bool {
	_, network, err := net.ParseCIDR(block)
	ip := net.ParseIP(text)
	return err == nil && ip != nil && network.Contains(ip)
}
