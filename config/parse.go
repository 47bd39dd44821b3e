package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The bounds of a file.
const (
	maxFile  = 1 << 20 // bytes
	maxDepth = 64      // collections in one another
	// maxEntries bounds the work of the parser, which grows with the square of
	// the entries of a collection.
	maxEntries = 20_000
	// maxWeight bounds what a file grows to with all aliases followed, so that
	// a small file cannot become a large configuration.
	maxWeight = 1 << 20
)

// parse reads text and returns its tree, or nil when it has none; what is
// wrong is in the collector.
func parse(c *collector, text string, lookup func(string) (string, bool)) *Node {
	if pos, message := unreadable(text); message != "" {
		c.problem(pos, nil, message)
		return nil
	}
	// The parser loses count of the lines of other systems.
	body := c.document(strings.ReplaceAll(text, "\r\n", "\n"))
	if body == nil {
		return nil
	}
	b := &builder{c: c, lookup: lookup, anchors: map[string]*Node{}, open: map[string]bool{}}
	root := b.node(body, &path{pos: Pos{1, 1}})
	if b.tooLarge {
		return nil
	}
	return root
}

// unreadable finds what no text editor should have written.
func unreadable(text string) (Pos, string) {
	switch {
	case len(text) > maxFile:
		return Pos{}, fmt.Sprintf("the file is larger than %s", Size(maxFile))
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return Pos{1, 1}, "the file is in UTF-16: save it as UTF-8"
	case strings.HasPrefix(text, "\ufeff"):
		return Pos{1, 1}, "the file begins with a byte order mark: save it as UTF-8 without one"
	}
	line, start := 1, 0
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd") {
			return Pos{line, utf8.RuneCountInString(text[start:i]) + 1}, fmt.Sprintf("the byte 0x%02x is not UTF-8: save the file as UTF-8", text[i])
		}
		if r == '\r' && !strings.HasPrefix(text[i+1:], "\n") {
			return Pos{line, utf8.RuneCountInString(text[start:i]) + 1}, "a carriage return without a line feed ends no line: save the file with Unix line ends"
		}
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f {
			return Pos{line, utf8.RuneCountInString(text[start:i]) + 1}, fmt.Sprintf("the control character %U cannot stand here: in double quotes write \\x%02x", r, r)
		}
		if r == '\n' {
			line, start = line+1, i+1
		}
	}
	return Pos{}, ""
}

// document returns the body of the one document.
func (c *collector) document(text string) ast.Node {
	file, err := parseYAML(text)
	if err != nil {
		c.syntax(err)
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.DirectiveType || doc.Body.Type() == ast.CommentType:
		case body != nil:
			c.problem(posOf(doc.Body, Pos{}), nil, "a second document begins here: a file has one, remove the --- above")
			return nil
		default:
			body = doc.Body
		}
	}
	if body == nil {
		c.problem(Pos{}, nil, "the file is empty: it needs at least sources")
	}
	return body
}

// parseYAML parses text. The parser recurses, so what is nested too deep or
// too long is refused before; and should it fail on some odd input, that is an error.
func parseYAML(text string) (file *ast.File, err error) {
	defer func() {
		if failure := recover(); failure != nil {
			file, err = nil, errors.New("it cannot be read as YAML")
		}
	}()
	tokens := lexer.Tokenize(text)
	if tooMuch, why := excess(tokens); tooMuch != nil {
		return nil, &Problem{Line: tooMuch.Position.Line, Column: tooMuch.Position.Column, Message: why}
	}
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// A gauge measures tokens before they are parsed: how deep they nest, and how
// much work their collections are.
type gauge struct {
	brackets int
	levels   []level // rising columns of block style
	work     int
}

// A level is a column at which things stand one below the other.
type level struct{ column, entries int }

// excess returns the first token that is too much, and why. Brackets are
// counted; in block style a level stands further right than the one around it,
// and what is not a collection of its own (a tag, an anchor) is counted too.
func excess(tokens token.Tokens) (*token.Token, string) {
	var g gauge
	for _, t := range tokens {
		g.add(t)
		switch {
		// A column of a mapping has the key and what follows in the line.
		case g.brackets+len(g.levels)/2 > maxDepth:
			return t, fmt.Sprintf("this is nested more than %d levels deep", maxDepth)
		case g.work > maxEntries*maxEntries/2:
			return t, fmt.Sprintf("there are too many entries: about %d fit into one mapping or list", maxEntries)
		}
	}
	return nil, ""
}

func (g *gauge) add(t *token.Token) {
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		g.brackets++
	case token.SequenceEndType, token.MappingEndType:
		g.brackets = max(0, g.brackets-1)
	default:
	}
	if g.brackets == 0 {
		g.indent(t.Position.Column)
	}
}

// indent moves to column. The parser's work on an entry grows with the number
// of those before it.
func (g *gauge) indent(column int) {
	for len(g.levels) > 0 && g.levels[len(g.levels)-1].column > column {
		g.levels = g.levels[:len(g.levels)-1]
	}
	if len(g.levels) == 0 || g.levels[len(g.levels)-1].column < column {
		g.levels = append(g.levels, level{column: column})
	}
	top := &g.levels[len(g.levels)-1]
	top.entries++
	g.work += top.entries
}

// syntax notes a syntax error, with advice for the usual ones.
func (c *collector) syntax(err error) {
	if excess, ok := errors.AsType[*Problem](err); ok {
		c.problem(Pos{excess.Line, excess.Column}, nil, excess.Message)
		return
	}
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) || syntax.Token == nil || syntax.Token.Position == nil {
		c.problem(Pos{}, nil, "not valid YAML: "+printable(firstLine(err.Error())))
		return
	}
	pos := Pos{syntax.Token.Position.Line, max(1, syntax.Token.Position.Column)}
	if at, ok := c.tabBefore(pos.Line); ok {
		c.problem(at, nil, "not valid YAML: a tab cannot indent, use spaces")
		return
	}
	message := "not valid YAML: " + printable(firstLine(syntax.Message))
	if line := c.line(pos.Line); bareVariable(line) {
		message += `; a ${VARIABLE} between brackets is written in quotes: "${VARIABLE}"`
	}
	c.problem(pos, nil, message)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// tabBefore finds a tab that indents the line, or the one before it.
func (c *collector) tabBefore(line int) (Pos, bool) {
	for _, number := range []int{line - 1, line, line + 1} {
		if number < 1 || number > len(c.lines) {
			continue
		}
		text := c.lines[number-1]
		blank := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		if i := strings.IndexByte(blank, '\t'); i >= 0 && strings.TrimSpace(text) != "" {
			return Pos{number, i + 1}, true
		}
	}
	return Pos{}, false
}

// bareVariable tells whether an unquoted variable stands in brackets.
func bareVariable(line string) bool {
	i := strings.Index(line, "${")
	return i > 0 && strings.ContainsAny(line[:i], "{[") && !strings.ContainsAny(line[i-1:i], `"'`)
}

// posOf returns where a node begins.
func posOf(n ast.Node, otherwise Pos) Pos {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return posOf(m.Values[0].Key, otherwise)
	}
	if v, ok := n.(*ast.MappingValueNode); ok {
		return posOf(v.Key, otherwise)
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return otherwise
	}
	return Pos{t.Position.Line, max(1, t.Position.Column)}
}
