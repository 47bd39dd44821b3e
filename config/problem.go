package config

import (
	"fmt"
	"io"
	"strings"
)

// A Problem is something wrong with one key. An adapter's Validate makes it
// with Invalid; Load adds the place.
//
//nolint:errname // it is as often data as it is an error
type Problem struct {
	// File is the path of the file as it was given.
	File string `json:"file,omitempty"`
	// Line and Column count from 1, the column in characters; 0 when the
	// problem has no place.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Key is the path of the key, such as "triggers.resize.retry.max" or
	// "headers[2]"; from Invalid, below the section. It is empty for the file,
	// or section, itself.
	Key string `json:"key,omitempty"`
	// Message says what was found and what would be right.
	Message string `json:"message"`
	// Suggestion is what was probably meant, or empty.
	Suggestion string `json:"suggestion,omitempty"`
	// Source is the line of the file, with literal secrets masked.
	Source string `json:"source,omitempty"`
}

// Error returns the problem on one line: file:line:column: key: message.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(printable(p.File) + ":")
		if p.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", p.Line, p.Column)
		}
		b.WriteByte(' ')
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Message)
	if p.Suggestion != "" {
		fmt.Fprintf(&b, "; did you mean %q?", p.Suggestion)
	}
	return b.String()
}

// Invalid returns a Problem. Join several with errors.Join: the file's position
// is added to each.
func Invalid(key, format string, args ...any) error {
	return &Problem{Key: key, Message: fmt.Sprintf(format, args...)}
}

// Problems are all that is wrong with a file, in the order of the file. It is
// the error of Load.
//
//nolint:errname // it holds what is called a Problem everywhere
type Problems struct{ List []*Problem }

// Error returns the problems, each with its line of the file.
func (p *Problems) Error() string {
	var b strings.Builder
	p.Print(&b)
	return strings.TrimSuffix(b.String(), "\n")
}

// Unwrap returns the single problems.
func (p *Problems) Unwrap() []error {
	all := make([]error, len(p.List))
	for i, problem := range p.List {
		all[i] = problem
	}
	return all
}

// Print writes every problem as people read it: the place and the message,
// then the line itself with a caret beneath. What w cannot take is lost.
func (p *Problems) Print(w io.Writer) {
	for _, problem := range p.List {
		problem.Print(w)
	}
}

// Print writes one problem with its line of the file.
func (p *Problem) Print(w io.Writer) {
	_, _ = fmt.Fprintln(w, p.Error())
	if p.Source == "" || p.Line == 0 {
		return
	}
	text, caret := excerpt(p.Source, p.Column)
	_, _ = fmt.Fprintf(w, "%5d | %s\n      | %s^\n", p.Line, text, strings.Repeat(" ", caret))
}

// eachError calls fn with the errors that err was joined from.
func eachError(err error, fn func(error)) {
	if many, ok := any(err).(interface{ Unwrap() []error }); ok {
		for _, one := range many.Unwrap() {
			eachError(one, fn)
		}
		return
	}
	if err != nil {
		fn(err)
	}
}
