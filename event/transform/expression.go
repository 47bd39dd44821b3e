package transform

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// An Expression is a compiled expression of jq. It may be used by many
// goroutines at once.
type Expression struct {
	source string
	code   *gojq.Code
}

// A SyntaxError says what is wrong with an expression, and where: line and
// column count from 1, the column in characters. They are 0 when it has no
// place.
type SyntaxError struct {
	Line, Column int
	Message      string

	template bool // the place is in a template
}

func (e *SyntaxError) Error() string {
	of := "expression"
	if e.template {
		of = "template"
	}
	switch e.Line {
	case 0:
		return e.Message
	case 1:
		return fmt.Sprintf("at character %d of the %s: %s", e.Column, of, e.Message)
	}
	return fmt.Sprintf("at line %d, character %d of the %s: %s", e.Line, e.Column, of, e.Message)
}

// Compile reads an expression. Its error is a *SyntaxError.
func Compile(source string) (*Expression, error) {
	if strings.TrimSpace(source) == "" {
		return nil, &SyntaxError{Message: "found no expression; write jq such as .data"}
	}
	if len(source) > MaxExpression {
		return nil, &SyntaxError{Message: fmt.Sprintf("the expression has %d bytes; at most %d", len(source), MaxExpression)}
	}
	if i := strings.Index(source, "$__"); i >= 0 {
		return nil, syntaxAt(source, i, "names that begin with $__ are taken")
	}
	query, err := gojq.Parse(source)
	if err != nil {
		return nil, parseError(source, err)
	}
	if len(query.Imports) == 0 && query.Term == nil && query.Op == 0 {
		return nil, &SyntaxError{Message: "found definitions and no expression after them"}
	}
	code, err := compile(query)
	if err != nil {
		return nil, compileError(source, err)
	}
	return &Expression{source: source, code: code}, nil
}

func compile(query *gojq.Query) (*gojq.Code, error) {
	g := &guard{prices: prices()}
	if err := g.query(query); err != nil {
		return nil, err
	}
	return gojq.Compile(query, options(g.regexps)...)
}

// String returns the expression as it was written.
func (x *Expression) String() string { return x.source }

func syntaxAt(source string, offset int, message string) *SyntaxError {
	before := source[:min(offset, len(source))]
	line := strings.Count(before, "\n") + 1
	return &SyntaxError{Line: line, Column: utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1, Message: message}
}

// parseError is what gojq's parser has found, at the token that it did not
// expect.
func parseError(source string, err error) error {
	var at *gojq.ParseError
	if !errors.As(err, &at) {
		return &SyntaxError{Message: err.Error()}
	}
	if at.Token == "" {
		return syntaxAt(source, len(strings.TrimRight(source, " \t\r\n")), "it ends too early: "+at.Error())
	}
	start := at.Offset - len(at.Token)
	if start < 0 || start > len(source) {
		start = max(0, min(at.Offset, len(source)))
	}
	return syntaxAt(source, start, fmt.Sprintf("found %q, which cannot stand here", shorten(at.Token)))
}

// compileError finds the name that an error is about.
func compileError(source string, err error) error {
	if no, ok := errors.AsType[*refusedError](err); ok {
		return syntaxNamed(source, no.name, no.Error())
	}
	message := err.Error()
	if rest, ok := strings.CutPrefix(message, "function not defined: "); ok {
		name, args, _ := strings.Cut(rest, "/")
		return syntaxNamed(source, name, fmt.Sprintf("%s: it does not take %s arguments", name, args))
	}
	if name, ok := strings.CutPrefix(message, "variable not defined: "); ok {
		return syntaxNamed(source, name, name+": no variable of this name is defined here")
	}
	return &SyntaxError{Message: message}
}

func syntaxNamed(source, name, message string) error {
	word, err := regexp.Compile(`(?:^|[^A-Za-z0-9_$.])(` + regexp.QuoteMeta(name) + `)(?:$|[^A-Za-z0-9_])`)
	if err == nil {
		if found := word.FindStringSubmatchIndex(source); found != nil {
			return syntaxAt(source, found[2], message)
		}
	}
	return &SyntaxError{Message: message}
}

// ErrNothing means that an expression yields no result, such as empty does.
var ErrNothing = errors.New("it yields nothing")

// Run evaluates the expression, which is to yield exactly one result. It
// returns ErrNothing when there is none, and otherwise an *EvalError, or ctx's.
func (x *Expression) Run(ctx context.Context, in *Input) (any, error) {
	m := newMeter(ctx, in.size)
	results := x.code.RunWithContext(m, in.value, m) //nolint:contextcheck // m is made of ctx
	result, found := results.Next()
	if !found {
		return nil, ErrNothing
	}
	if err, failed := result.(error); failed {
		return nil, x.failed(ctx, in, err)
	}
	switch second, more := results.Next(); err := second.(type) {
	case error:
		return nil, x.failed(ctx, in, err)
	default:
		if more {
			return nil, &EvalError{Expression: x.source, Err: errors.New("it yields several results: put them into an array, as in [ … ]")}
		}
	}
	if err := m.payDeep(result, 4); err != nil { // whoever takes it goes through it
		return nil, x.failed(ctx, in, err)
	}
	return result, nil
}

// An EvalError is why an expression has failed for an event.
type EvalError struct {
	Expression string
	// Stage is the part of a | b | c in which it was; empty when it is not known.
	Stage string
	// Input is the path of what the part was given, as in .data.items[3]; empty when
	// it is not known.
	Input string
	Err   error
}

// Unwrap returns the reason.
func (e *EvalError) Unwrap() error { return e.Err }

func (e *EvalError) Error() string {
	text := "the expression " + quote(e.Expression)
	if e.Stage != "" {
		text += ", in " + quote(e.Stage)
	}
	if e.Input != "" {
		text += " of " + e.Input
	}
	return text + ": " + strings.ToValidUTF8(e.Err.Error(), "\uFFFD")
}

func (x *Expression) failed(ctx context.Context, in *Input, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := &EvalError{Expression: x.source, Err: err}
	if !errors.Is(err, ErrHungry) && !errors.Is(err, ErrSlow) {
		e.Stage, e.Input = place(ctx, x.source, in)
	}
	return e
}

// quoteLength is how much of an expression an error quotes.
const quoteLength = 120

func quote(text string) string { return "`" + shorten(strings.Join(strings.Fields(text), " ")) + "`" }

func shorten(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= quoteLength {
		return text
	}
	cut := quoteLength
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
