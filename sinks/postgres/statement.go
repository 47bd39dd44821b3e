package postgres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	maxStatement  = 64 << 10 // bytes
	maxParameters = 1000
)

// A statement is one of the file with $1, $2 … in place of names.
type statement struct {
	sql        string
	parameters []parameter // that of $1 first
}

// A parameter is a value of the event: an attribute by its name; data, or what
// stands at a path in it; event, the whole of it; sluicedelivery, sluiceattempt,
// sluicetrigger; or one of params.
type parameter struct {
	name string // as it is written, without the colon
	root string
	path []string
}

// parse finds the names in a statement: a colon and a name, outside of strings,
// quoted names and comments (PostgreSQL documentation, section 4.1, lexical
// structure). A second colon is a cast.
func parse(text string) (*statement, error) {
	switch {
	case strings.Trim(text, "; \t\r\n") == "":
		return nil, errors.New("it is missing; write one such as INSERT INTO orders (id, body) VALUES (:id, :data)")
	case len(text) > maxStatement:
		return nil, fmt.Errorf("it has %d bytes; at most %d", len(text), maxStatement)
	case strings.ContainsRune(text, 0):
		return nil, errors.New("it has a NUL in it")
	}
	p := &parser{rest: text}
	for p.rest != "" {
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	if len(p.parameters) > maxParameters {
		return nil, fmt.Errorf("it has %d parameters; at most %d", len(p.parameters), maxParameters)
	}
	return &statement{sql: p.sql.String(), parameters: p.parameters}, nil
}

type parser struct {
	rest       string
	sql        strings.Builder
	parameters []parameter
	ended      bool // by a semicolon
}

// next takes one token, or one character of what is no token of interest.
func (p *parser) next() error {
	c := p.rest[0]
	length, err := p.length()
	if err != nil {
		return err
	}
	blank := strings.TrimSpace(p.rest[:length]) == "" || strings.HasPrefix(p.rest, "--") || strings.HasPrefix(p.rest, "/*")
	switch {
	case p.ended && !blank && c != ';':
		return errors.New("there is more behind a semicolon: write one statement")
	case c == ';':
		p.ended = true
		p.rest = p.rest[1:]
		return nil
	case c == ':' && length == 1 && len(p.rest) > 1 && isLetter(p.rest[1]):
		return p.parameter()
	}
	p.sql.WriteString(p.rest[:length])
	p.rest = p.rest[length:]
	return nil
}

// length returns how long the token is that comes next.
func (p *parser) length() (int, error) {
	switch c := p.rest[0]; {
	case isLetter(c) || c >= 0x80:
		word := wordLength(p.rest)
		if word == 1 && (c == 'e' || c == 'E') && strings.HasPrefix(p.rest[1:], "'") {
			return p.until("'", 2, true)
		}
		return word, nil
	case c >= '0' && c <= '9':
		return wordLength(p.rest), nil
	case c == '\'':
		return p.until("'", 1, false)
	case c == '"':
		return p.until(`"`, 1, false)
	case strings.HasPrefix(p.rest, "--"):
		if end := strings.IndexAny(p.rest, "\r\n"); end >= 0 {
			return end, nil
		}
		return len(p.rest), nil
	case strings.HasPrefix(p.rest, "/*"):
		return p.comment()
	case c == '$':
		return p.dollar()
	case strings.HasPrefix(p.rest, "::") || strings.HasPrefix(p.rest, ":="):
		return 2, nil
	}
	return 1, nil
}

// until finds the end of what is quoted: twice the quote is one in it, and so is
// one behind a backslash where those escape.
func (p *parser) until(quote string, from int, escapes bool) (int, error) {
	for i := from; i < len(p.rest); i++ {
		switch {
		case escapes && p.rest[i] == '\\':
			i++
		case p.rest[i] != quote[0]:
		case i+1 < len(p.rest) && p.rest[i+1] == quote[0]:
			i++
		default:
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("found %s and no other one that ends what it begins", quote)
}

// comment finds the end of a comment; there may be comments in it.
func (p *parser) comment() (int, error) {
	depth := 0
	for i := 0; i+1 < len(p.rest); i++ {
		switch p.rest[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1, nil
			}
		}
	}
	return 0, errors.New("found /* and no */ that ends it")
}

// dollar finds the end of a string between dollars.
func (p *parser) dollar() (int, error) {
	tag := 1
	for tag < len(p.rest) && (isLetter(p.rest[tag]) || p.rest[tag] >= 0x80 || tag > 1 && p.rest[tag] >= '0' && p.rest[tag] <= '9') {
		tag++
	}
	switch {
	case tag < len(p.rest) && p.rest[tag] == '$':
		quote := p.rest[:tag+1]
		end := strings.Index(p.rest[len(quote):], quote)
		if end < 0 {
			return 0, fmt.Errorf("found %s and no other one that ends what it begins", quote)
		}
		return end + 2*len(quote), nil
	case len(p.rest) > 1 && p.rest[1] >= '0' && p.rest[1] <= '9':
		return 0, errors.New("found a parameter with a number: write names, such as :id or :data.total")
	}
	return 1, nil
}

func (p *parser) parameter() error {
	root, rest := cutName(p.rest[1:])
	var path []string
	for strings.HasPrefix(rest, ".") {
		length := wordLength(rest[1:])
		if length == 0 {
			break
		}
		path = append(path, rest[1:1+length])
		rest = rest[1+length:]
	}
	name := p.rest[1 : len(p.rest)-len(rest)]
	if len(path) > 0 && root != "data" {
		return fmt.Errorf(":%s has a path, and only data has one: write :%s, or :data.…", name, root)
	}
	p.rest = rest
	// Each has its own number, as the type is that of the place. With spaces, it is a
	// token whatever stands beside it.
	p.parameters = append(p.parameters, parameter{name: name, root: root, path: path})
	p.sql.WriteString(" $" + strconv.Itoa(len(p.parameters)) + " ")
	return nil
}

// cutName takes a name from the beginning of a text.
func cutName(text string) (name, rest string) {
	if text == "" || !isLetter(text[0]) {
		return "", text
	}
	n := 0
	for n < len(text) && (isLetter(text[n]) || text[n] >= '0' && text[n] <= '9') {
		n++
	}
	return text[:n], text[n:]
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

// wordLength returns how many bytes of a name there are: letters, digits, _, and
// whatever is not ASCII. A dollar belongs to it, as in the server's own names.
func wordLength(text string) int {
	n := 0
	for n < len(text) && (isLetter(text[n]) || text[n] >= '0' && text[n] <= '9' || text[n] >= 0x80 || text[n] == '$' && n > 0) {
		n++
	}
	return n
}
