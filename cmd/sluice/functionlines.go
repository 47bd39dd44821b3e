package main

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"sluice/functions"
)

// colorSequence is one by which text sets colors, and nothing else.
var colorSequence = regexp.MustCompile(`\x1b\[[0-9;]{0,32}m`)

// A linePrinter shows lines of functions, as they are: an observer of a pool.
type linePrinter struct {
	mu sync.Mutex
	w  io.Writer
	p  paint
}

func newLinePrinter(a *app) *linePrinter {
	return &linePrinter{w: a.stderr, p: a.newPaint(a.stderr)}
}

// Line is for functions.Observer.
func (l *linePrinter) Line(line functions.Line) { l.print(line.Text, line.Platform) }

// Report is for functions.Observer: the REPORT line says it.
func (l *linePrinter) Report(functions.Report) {}

func (l *linePrinter) print(text string, platform bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintln(l.w, l.p.logText(text, platform))
}

// logText is a line of a function as it may be shown: without control characters,
// but with the function's own colors where there are colors.
func (p paint) logText(text string, platform bool) string {
	if platform {
		return p.dim(escaped(text))
	}
	if !p.on {
		return escaped(text)
	}
	var shown strings.Builder
	at := 0
	for _, found := range colorSequence.FindAllStringIndex(text, -1) {
		shown.WriteString(escaped(text[at:found[0]]) + text[found[0]:found[1]])
		at = found[1]
	}
	shown.WriteString(escaped(text[at:]))
	if at > 0 {
		shown.WriteString("\x1b[0m") // what follows is not the function's
	}
	return shown.String()
}

// escaped writes control characters, but for tabs, as they are written in Go.
func escaped(text string) string {
	hidden := func(r rune) bool { return r != '\t' && r != ' ' && !unicode.IsPrint(r) }
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var shown strings.Builder
	for _, r := range text {
		if hidden(r) {
			quoted := strconv.QuoteRune(r)
			shown.WriteString(quoted[1 : len(quoted)-1])
		} else {
			shown.WriteRune(r)
		}
	}
	return shown.String()
}

// platformLine tells whether a line is about the function rather than by it,
// where nothing else tells.
func platformLine(text string) bool {
	for _, word := range []string{"START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "INIT_REPORT ", "INIT_START "} {
		if strings.HasPrefix(text, word) {
			return true
		}
	}
	return false
}
