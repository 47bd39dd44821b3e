package config

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// mostProblems bounds what is said of one file.
const mostProblems = 500

// A collector gathers the problems and warnings of one file.
type collector struct {
	file     string
	lines    []string
	problems []*Problem
	warnings []*Problem
	seen     map[Problem]bool
	// masks are where literal secrets stand: they are not shown.
	masks map[Pos]bool
	// values are those of the variables, by what was written for them.
	values []variable
	left   int // problems beyond the bound
	spent  int // on suggestions, in comparisons of letters
}

type variable struct{ written, value string }

func newCollector(file, text string) *collector {
	return &collector{
		file: file, lines: strings.Split(text, "\n"),
		seen: map[Problem]bool{}, masks: map[Pos]bool{},
	}
}

// problem notes what is wrong with the value that at leads to.
func (c *collector) problem(pos Pos, at *path, message string) {
	c.suggest(pos, at.String(), message, "")
}

// suggest notes a problem and what was probably meant.
func (c *collector) suggest(pos Pos, key, message, suggestion string) {
	if len(c.problems) >= mostProblems {
		c.left++
		return
	}
	if p := c.fresh(pos, key, message, suggestion); p != nil {
		c.problems = append(c.problems, p)
	}
}

func (c *collector) warn(pos Pos, at *path, message string) {
	if p := c.fresh(pos, at.String(), message, ""); p != nil {
		c.warnings = append(c.warnings, p)
	}
}

// fresh makes a Problem, or nil when the same has been said of the same place:
// a value that several aliases use is decoded several times.
func (c *collector) fresh(pos Pos, key, message, suggestion string) *Problem {
	id := Problem{Line: pos.Line, Column: pos.Column, Message: message}
	if pos.Line == 0 {
		id.Key = key
	}
	if c.seen[id] {
		return nil
	}
	c.seen[id] = true
	return &Problem{
		File: c.file, Line: pos.Line, Column: pos.Column,
		Key: key, Message: message, Suggestion: suggestion,
	}
}

// line returns a line of the file, its literal secrets masked.
func (c *collector) line(number int) string {
	if number < 1 || number > len(c.lines) {
		return ""
	}
	line := []rune(strings.TrimSuffix(c.lines[number-1], "\r"))
	for pos := range c.masks {
		if pos.Line == number && pos.Column <= len(line) {
			maskScalar(line[pos.Column-1:])
		}
	}
	return userInfo.ReplaceAllString(string(line), "://****@")
}

// userInfo is the user and password of a URL.
var userInfo = regexp.MustCompile(`://[^/@\s"'\x60]+@`)

// maskScalar hides the scalar that line begins with.
func maskScalar(line []rune) {
	quote, from := line[0], 1
	if quote != '"' && quote != '\'' {
		quote, from = 0, 0
	}
	for i := from; i < len(line); i++ {
		switch {
		case quote == '"' && line[i] == '\\' && i+1 < len(line):
			line[i] = '*'
			i++
		case quote != 0 && line[i] == quote, quote == 0 && endsPlain(line, i):
			return
		}
		line[i] = '*'
	}
}

// endsPlain tells whether an unquoted scalar may end before line[i]. It is
// generous: a little too much hidden does no harm.
func endsPlain(line []rune, i int) bool {
	return line[i] == ',' || line[i] == '}' || line[i] == ']' || line[i] == '#' && line[i-1] == ' '
}

// finish sorts what was found, adds the lines, and returns the error, if any.
func (c *collector) finish() error {
	order := func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	}
	for _, list := range [][]*Problem{c.problems, c.warnings} {
		slices.SortStableFunc(list, order)
		for i, p := range list {
			if i > 0 && list[i-1].Line == p.Line {
				p.Source = list[i-1].Source
				continue
			}
			p.Source = c.line(p.Line)
		}
	}
	if len(c.problems) == 0 {
		return nil
	}
	if c.left > 0 {
		more := &Problem{File: c.file, Message: "there are more problems: these are the first that were found"}
		c.problems = append(c.problems, more)
	}
	return &Problems{List: c.problems}
}

// hide makes a message about n, which may be nil, fit to be shown: variables as
// they were written, control characters escaped.
func (c *collector) hide(n *Node, message string) string {
	if n != nil && n.vars && n.text != "" {
		message = replaceWhole(message, n.text, n.raw)
	}
	return c.redact(printable(message))
}

// replaceWhole replaces old where it is not a part of a longer word or number.
func replaceWhole(text, old, with string) string {
	var b strings.Builder
	for from := 0; ; {
		i := strings.Index(text[from:], old)
		if i < 0 {
			return b.String() + text[from:]
		}
		start, end := from+i, from+i+len(old)
		b.WriteString(text[from:start])
		if joins(text, start) || joins(text, end) {
			b.WriteString(old)
		} else {
			b.WriteString(with)
		}
		from = end
	}
}

// joins tells whether a word goes on from text[i-1] to text[i].
func joins(text string, i int) bool {
	inWord := func(b byte) bool {
		return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
	}
	return i > 0 && i < len(text) && inWord(text[i-1]) && inWord(text[i])
}

// redact replaces the values of variables in a message by what was written.
// Values of fewer than six characters are left: they would be found in words.
func (c *collector) redact(message string) string {
	for _, v := range c.values {
		if len(v.value) >= 6 {
			message = strings.ReplaceAll(message, v.value, v.written)
		}
	}
	return message
}

// nearest returns the candidate that was probably meant, or an empty text. It
// stops to help a file in which nearly everything is wrong.
func (c *collector) nearest(word string, candidates []string) string {
	const most = 5_000_000
	for _, candidate := range candidates {
		c.spent += 16 + len(word)*len(candidate)
	}
	if c.spent > most || len(c.problems) >= mostProblems {
		return ""
	}
	return nearest(word, candidates)
}
