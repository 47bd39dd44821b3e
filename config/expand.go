package config

import (
	"fmt"
	"regexp"
	"strings"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`)

// An expander replaces variables in scalars:
//
//	${VAR}           its value; a problem when it is not set
//	${VAR:-default}  the default when it is not set or empty
//	${VAR:?message}  the message as a problem when it is not set or empty
//	$$               a dollar
//
// Any other dollar stands for itself. What comes out is not read again.
type expander struct {
	lookup func(string) (string, bool)
	// problem takes what is wrong with the variable that is written so.
	problem func(written, message string)
	// value takes what a variable from outside was replaced with.
	value func(written, value string)
}

// expand returns text with the variables replaced, and whether there was one.
func (e *expander) expand(text string) (expanded string, any bool) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), any
		case strings.HasPrefix(after, "$"):
			b.WriteByte('$')
			text = after[1:]
		case strings.HasPrefix(after, "{"):
			value, rest := e.variable(after[1:])
			b.WriteString(value)
			any, text = true, rest
		default:
			b.WriteByte('$')
			text = after
		}
	}
}

// variable reads one variable after its ${ and returns its value and the text
// after it.
func (e *expander) variable(text string) (value, rest string) {
	body, rest, closed := strings.Cut(text, "}")
	written := "${" + body + "}"
	name := variableName.FindString(body)
	switch {
	case !closed:
		e.problem("${"+body, "a variable is not closed: write ${NAME}, or $$ for a dollar")
		return "", ""
	case name == "":
		e.problem(written, quoteShort(written)+" is not a variable: write ${NAME}, with letters, digits and _ in the name, or $$ for a dollar")
		return "", rest
	}
	value, message := e.resolve(name, body[len(name):])
	if message != "" {
		e.problem(written, message)
	}
	return value, rest
}

// resolve returns the value of a variable, or what is wrong.
func (e *expander) resolve(name, modifier string) (value, message string) {
	fallback, hasFallback := strings.CutPrefix(modifier, ":-")
	complaint, required := strings.CutPrefix(modifier, ":?")
	value, set := e.lookup(name)
	switch {
	case !hasFallback && !required && modifier != "":
		return "", fmt.Sprintf("%q cannot follow the name of a variable: write ${%s}, ${%s:-default} or ${%s:?message}", modifier, name, name, name)
	case strings.Contains(modifier, "${"):
		return "", fmt.Sprintf("the variable %s has another variable in it: that is not possible", name)
	case set && (value != "" || modifier == ""):
		e.value("${"+name+modifier+"}", value)
		return value, ""
	case hasFallback:
		return fallback, ""
	case required && complaint != "":
		return "", fmt.Sprintf("the variable %s is not set: %s", name, printable(complaint))
	case required:
		return "", fmt.Sprintf("the variable %s is not set or empty", name)
	default:
		return "", fmt.Sprintf("the variable %s is not set: set it, or write ${%s:-default}", name, name)
	}
}
