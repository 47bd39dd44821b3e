package transform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/itchyny/gojq"
)

// A Template is a text with expressions between {{ and }}. Outside of them
// everything stands for itself; {{ is written {{ "{{" }}.
type Template struct {
	source string
	parts  []templatePart
}

// A templatePart is a plain text, or an expression when there is one.
type templatePart struct {
	text       string
	expression *Expression
}

// IsTemplate tells whether a text has anything between {{ and }}, or should.
func IsTemplate(text string) bool { return strings.Contains(text, "{{") }

// mostEnds bounds how many }} are tried as the end of one expression.
const mostEnds = 64

// ParseTemplate reads a template. Its error is a *SyntaxError, whose place is in
// the whole text.
func ParseTemplate(text string) (*Template, error) {
	if len(text) > MaxExpression {
		return nil, &SyntaxError{Message: fmt.Sprintf("the template has %d bytes; at most %d", len(text), MaxExpression)}
	}
	t := &Template{source: text}
	for at := 0; at < len(text); {
		plain, rest, found := strings.Cut(text[at:], "{{")
		if plain != "" {
			t.parts = append(t.parts, templatePart{text: plain})
		}
		if !found {
			break
		}
		at += len(plain) + len("{{")
		expression, length, err := parsePart(text, at, rest)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, templatePart{expression: expression})
		at += length + len("}}")
	}
	return t, nil
}

// parsePart reads one expression that begins at an offset. As jq may have }} in
// it, its end is the first one before which there is a whole expression.
func parsePart(text string, at int, rest string) (x *Expression, length int, err error) {
	var problem error
	for range mostEnds {
		next := strings.Index(rest[length:], "}}")
		if next < 0 {
			break
		}
		length += next
		if _, err := gojq.Parse(rest[:length]); err == nil || strings.TrimSpace(rest[:length]) == "" {
			if x, err = Compile(rest[:length]); err != nil {
				return nil, 0, placed(text, at, err)
			}
			return x, length, nil
		} else if problem == nil {
			problem = parseError(rest[:length], err)
		}
		length++
	}
	if problem == nil {
		problem := syntaxAt(text, at-len("{{"), "found {{ and no }} after it")
		problem.template = true
		return nil, 0, problem
	}
	return nil, 0, placed(text, at, problem)
}

// placed moves an error to where the expression is in the template.
func placed(text string, at int, err error) error {
	var e *SyntaxError
	if !errors.As(err, &e) {
		return err
	}
	begin := syntaxAt(text, at, e.Message)
	switch {
	case e.Line > 1:
		begin.Line, begin.Column = begin.Line+e.Line-1, e.Column
	case e.Line == 1:
		begin.Column += e.Column - 1
	}
	begin.template = true
	return begin
}

// String returns the template as it was written.
func (t *Template) String() string { return t.source }

// Parts calls text for each plain part, and expression for each expression, in
// their order.
func (t *Template) Parts(text func(string), expression func(*Expression)) {
	for _, p := range t.parts {
		if p.expression != nil {
			expression(p.expression)
		} else {
			text(p.text)
		}
	}
}

// Text fills the template. What an expression yields stands in the text as it
// is when it is a text, as nothing when it is null, and else as JSON; escape,
// when it is not nil, has the last word on each.
func (t *Template) Text(ctx context.Context, in *Input, escape func(string) (string, error)) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expression == nil {
			b.WriteString(p.text)
			continue
		}
		text, err := p.expression.Text(ctx, in)
		if err == nil && escape != nil {
			if text, err = escape(text); err != nil {
				err = &EvalError{Expression: p.expression.source, Err: err}
			}
		}
		if err != nil {
			return "", err
		}
		if b.Len()+len(text) > MaxSize {
			return "", &EvalError{Expression: p.expression.source, Err: fmt.Errorf("the text is over %d bytes", MaxSize)}
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// Value fills the template where any value may stand: one that is an expression
// and nothing else gives what that yields, with its type.
func (t *Template) Value(ctx context.Context, in *Input) (any, error) {
	if len(t.parts) == 1 && t.parts[0].expression != nil {
		x := t.parts[0].expression
		v, err := x.Run(ctx, in)
		if errors.Is(err, ErrNothing) {
			err = &EvalError{Expression: x.source, Err: err}
		}
		return v, err
	}
	return t.Text(ctx, in, nil)
}

// Text evaluates the expression for a text, as Template.Text has it.
func (x *Expression) Text(ctx context.Context, in *Input) (string, error) {
	v, err := x.Run(ctx, in)
	if errors.Is(err, ErrNothing) {
		err = &EvalError{Expression: x.source, Err: err}
	}
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case *big.Int:
		return v.String(), nil
	}
	text, err := gojq.Marshal(v)
	return string(text), err
}
