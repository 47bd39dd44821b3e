package transform

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/itchyny/gojq"
)

// A pattern is a regular expression that stands in an expression, and what
// matching it costs.
type pattern struct {
	compiled *regexp.Regexp
	size     int64 // of its program, in instructions
	global   bool  // it is matched as often as it can be
}

// matched has a call with a regular expression paid for. The regular expression
// and its flags are to be written out, so that they can be checked when the
// file is loaded, and so that gojq, which keeps each one that it has seen,
// keeps no more than there are in the file.
func (g *guard) matched(t *gojq.Term) error {
	f := t.Func
	key, flags, err := patternOf(f)
	if err != nil {
		return &refusedError{f.Name, err.Error()}
	}
	compiled, err := newPattern(key, flags, f)
	if err != nil {
		return &refusedError{f.Name, err.Error()}
	}
	n := len(g.regexps)
	g.regexps = append(g.regexps, compiled)
	for i, arg := range f.Args {
		if _, ok := literal(arg); !ok {
			f.Args[i] = pipe(arg, pay(callDeep, 4))
		}
	}
	itself := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: f}}
	*t = *groupTerm(pipe(pay(callMatch, int64(n)), itself))
	return nil
}

// patternOf returns the regular expression of a call, and its flags.
func patternOf(f *gojq.Func) (text, flags string, err error) {
	at := 1 // where the flags are
	if strings.HasSuffix(f.Name, "sub") {
		at = 2
	}
	text, ok := literal(f.Args[0])
	if ok && len(f.Args) > at && !isNull(f.Args[at]) {
		flags, ok = literal(f.Args[at])
	}
	if !ok {
		return "", "", fmt.Errorf("its regular expression, and its flags, are to be written out as plain texts")
	}
	if strings.Trim(flags, "gim") != "" {
		return "", "", fmt.Errorf("found the flags %q; there are g, i and m", shorten(flags))
	}
	return text, flags, nil
}

func newPattern(text, flags string, f *gojq.Func) (*pattern, error) {
	if strings.Contains(flags, "i") {
		text = "(?i)" + text
	}
	if strings.Contains(flags, "m") {
		text = "(?s)" + text
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("its regular expression: %w", err)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("its regular expression: %w", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, fmt.Errorf("its regular expression: %w", err)
	}
	global := strings.Contains(flags, "g") || f.Name == "gsub" || f.Name == "scan" || f.Name == "splits" || f.Name == "split"
	return &pattern{compiled: compiled, size: int64(len(program.Inst)), global: global && f.Name != "test"}, nil
}

// payMatch pays for matching a text. gojq counts characters from the beginning
// of the text for each match, so that many matches in a long text are dear.
func (m *meter) payMatch(in any, p *pattern) error {
	text, ok := in.(string)
	if !ok {
		return nil // jq says what is wrong
	}
	length := int64(len(text))
	if err := m.pay(length * (16 + p.size/4)); err != nil || !p.global {
		return err
	}
	each := 600 + length*(1+int64(p.compiled.NumSubexp())+p.size/4)/8
	most := int(m.left/each) + 1 // one more than can be paid for
	return m.pay(int64(len(p.compiled.FindAllStringIndex(text, most))) * each)
}
