package pattern

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// A wildcard is a text in which * stands for any characters, also for none.
type wildcard struct {
	// tokens are the bytes between quotes, and star for each *. The quotes count
	// in the complexity, as they do for the reference.
	tokens []int16
	// parts are the texts between the stars; with one part there is no star.
	parts []string
}

const star = -1

// parseWildcard reads a wildcard: \* and \\ stand for * and \ themselves.
func parseWildcard(text string) (*wildcard, error) {
	w := &wildcard{tokens: []int16{'"'}}
	var part strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '*' && strings.HasPrefix(text[i+1:], "*"):
			return nil, fmt.Errorf("%q has two wildcards in a row at character %d: one * already matches any text", shorten(text), i+1)
		case c == '*':
			w.tokens = append(w.tokens, star)
			w.parts = append(w.parts, part.String())
			part.Reset()
			continue
		case c == '\\':
			i++
			if i == len(text) || text[i] != '*' && text[i] != '\\' {
				return nil, fmt.Errorf(`%q has a backslash at character %d that escapes nothing: write \* for an asterisk and \\ for a backslash`, shorten(text), i)
			}
			c = text[i]
		}
		w.tokens = append(w.tokens, int16(c))
		part.WriteByte(c)
	}
	w.tokens = append(w.tokens, '"')
	w.parts = append(w.parts, part.String())
	return w, nil
}

// match takes time in proportion to the lengths of text and wildcard: the
// leftmost place for each part is always a right one.
func (w *wildcard) match(text string) bool {
	first, last := w.parts[0], w.parts[len(w.parts)-1]
	if len(w.parts) == 1 {
		return text == first
	}
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range w.parts[1 : len(w.parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}

// maxComplexity is the bound at which wildcards are refused, and searchBudget
// bounds the searches that find it out, for one pattern.
const (
	maxComplexity = 10
	searchBudget  = 1_000_000
)

// wildcards are those that look at one field.
type wildcards struct {
	all   []*wildcard
	texts []string
}

// add adds those of a clause, and tells whether there were new ones.
func (g *wildcards) add(c *clause) bool {
	before := len(g.all)
	for i := range c.operands {
		o := &c.operands[i]
		if o.wild != nil && !slices.Contains(g.texts, o.text) && len(g.all) < maxComplexity {
			g.texts = append(g.texts, o.text)
			g.all = append(g.all, o.wild)
		}
	}
	return len(g.all) > before
}

// checkWildcards refuses wildcards that together are too complex. They count
// together if they look at the same field after the same fields before it.
func (p *Pattern) checkWildcards() error {
	groups := map[string]*wildcards{}
	budget := searchBudget
	for _, b := range p.branches {
		before := ""
		for _, f := range b.fields {
			name := before + f.path
			if groups[name] == nil {
				groups[name] = &wildcards{}
			}
			if err := groups[name].check(f, &budget); err != nil {
				return err
			}
			sum := sha256.Sum256([]byte(before + f.canonical))
			before = string(sum[:])
		}
	}
	return nil
}

func (g *wildcards) check(f *field, budget *int) error {
	var last *clause
	for i := range f.clauses {
		if c := &f.clauses[i]; (c.op == opWildcard) && g.add(c) {
			last = c
		}
	}
	if last == nil || complexity(g.all, budget) < maxComplexity {
		return nil
	}
	return &Error{path: last.path, offset: last.offset, message: "too complex: the wildcards of this field have ten or more beginnings that one text can match at the same time; use fewer *, or fewer repetitions after a *"}
}

// complexity is the highest number of beginnings of the wildcards that one text
// can match at the same time, or maxComplexity if it is at least that. "*aa" has
// complexity 3: the text aa matches *, *a and *aa.
func complexity(wildcards []*wildcard, budget *int) int {
	s := &search{wildcards: wildcards, seen: map[string]bool{}, budget: budget}
	var start []place
	for i := range wildcards {
		start = s.enter(start, place{i, 0})
	}
	s.visit(start)
	for len(s.pending) > 0 && s.highest < maxComplexity {
		set := s.pending[len(s.pending)-1]
		s.pending = s.pending[:len(s.pending)-1]
		for _, b := range s.nextBytes(set) {
			s.visit(s.step(set, b))
		}
	}
	return min(s.highest, maxComplexity)
}

// A place is after the first position tokens of a wildcard.
type place struct{ wildcard, position int }

// A search walks through all sets of places that texts can lead to.
type search struct {
	wildcards []*wildcard
	seen      map[string]bool
	pending   [][]place
	highest   int
	budget    *int
}

func (s *search) token(p place) (int16, bool) {
	tokens := s.wildcards[p.wildcard].tokens
	if p.position == len(tokens) {
		return 0, false
	}
	return tokens[p.position], true
}

// enter adds a place, and the one behind a star that follows it.
func (s *search) enter(set []place, p place) []place {
	if slices.Contains(set, p) {
		return set
	}
	set = append(set, p)
	if token, ok := s.token(p); ok && token == star {
		return s.enter(set, place{p.wildcard, p.position + 1})
	}
	return set
}

// nextBytes are the bytes that make a difference in set; 256 is any other byte.
func (s *search) nextBytes(set []place) []int16 {
	next := []int16{256}
	for _, p := range set {
		if token, ok := s.token(p); ok && token != star && !slices.Contains(next, token) {
			next = append(next, token)
		}
	}
	return next
}

func (s *search) step(set []place, b int16) []place {
	var next []place
	for _, p := range set {
		*s.budget--
		if p.position > 0 && s.wildcards[p.wildcard].tokens[p.position-1] == star {
			next = s.enter(next, p)
		}
		if token, ok := s.token(p); ok && token == b {
			next = s.enter(next, place{p.wildcard, p.position + 1})
		}
	}
	return next
}

func (s *search) visit(set []place) {
	slices.SortFunc(set, func(a, b place) int {
		if a.wildcard != b.wildcard {
			return a.wildcard - b.wildcard
		}
		return a.position - b.position
	})
	count := 0
	for _, p := range set {
		if p.position > 0 {
			count++
		}
	}
	s.highest = max(s.highest, count)
	if *s.budget <= 0 {
		s.highest = maxComplexity
	}
	if s.highest >= maxComplexity || len(set) == 0 {
		return
	}
	key := setKey(set)
	if s.seen[key] {
		return
	}
	s.seen[key] = true
	s.pending = append(s.pending, set)
}

func setKey(set []place) string {
	key := make([]byte, 0, 5*len(set))
	for _, p := range set {
		key = append(key, byte(p.wildcard))
		key = binary.LittleEndian.AppendUint32(key, uint32(p.position))
	}
	return string(key)
}
