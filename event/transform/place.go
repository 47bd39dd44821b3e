package transform

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

// placeTime bounds how long the search for a place may take.
const placeTime = time.Second

// place finds the part of an expression that fails for an event, and the path of
// what the part was given: the stage of a | b | c, and within it the value of an
// object. It evaluates the parts one after the other, each within the same
// limits as any evaluation.
func place(ctx context.Context, source string, in *Input) (part, input string) {
	ctx, cancel := context.WithTimeout(ctx, placeTime)
	defer cancel()
	before := "."
	for parts := []string{source}; len(parts) > 0; {
		failing := ""
		for _, candidate := range parts {
			stages, stage, n := failingStage(ctx, before, candidate, in)
			if stage == "" {
				continue
			}
			before, failing = strings.Join(append([]string{before}, stages...), " | "), stage
			input = nthPath(ctx, before, n, in)
			break
		}
		if failing == "" {
			break
		}
		part, parts = failing, open(failing)
	}
	if len(split(source)) < 2 && part == whole(source) {
		part = "" // it is all of the expression
	}
	return part, input
}

// whole returns an expression in the form that its parts have.
func whole(source string) string {
	if query, err := gojq.Parse(source); err == nil {
		return query.String()
	}
	return source
}

// failingStage returns the stage of an expression that fails for one of the
// results of what is before, the stages before it, and for which result; an
// empty stage when none does.
func failingStage(ctx context.Context, before, source string, in *Input) (stages []string, stage string, n int) {
	stages = split(source)
	for i := range stages {
		if n, fails := failingInput(ctx, strings.Join(append([]string{before}, stages[:i]...), " | "), stages[i], in); fails {
			return stages[:i], stages[i], n
		}
	}
	return nil, "", 0
}

// open returns the parts of an expression that are evaluated for the same input:
// what is in brackets, or the values of an object.
func open(source string) []string {
	query, err := gojq.Parse(source)
	if err != nil || query.Term == nil || len(query.FuncDefs) > 0 || len(query.Term.SuffixList) > 0 {
		return nil
	}
	switch t := query.Term; {
	case t.Query != nil:
		return []string{t.Query.String()}
	case t.Array != nil && t.Array.Query != nil:
		return []string{t.Array.Query.String()}
	case t.Object != nil:
		var values []string
		for _, kv := range t.Object.KeyVals {
			if kv.Val != nil {
				values = append(values, kv.Val.String())
			}
		}
		return values
	}
	return nil
}

// split returns the stages of an expression; none where one depends on what
// another has defined.
func split(source string) []string {
	query, err := gojq.Parse(source)
	if err != nil {
		return nil
	}
	var stages []string
	for query.Op == gojq.OpPipe && len(query.Patterns) == 0 && len(query.FuncDefs) == 0 {
		stages = append(stages, query.Left.String())
		query = query.Right
	}
	stages = append(stages, query.String())
	for _, stage := range stages {
		if parsed, err := gojq.Parse(stage); err != nil || len(parsed.FuncDefs) > 0 && len(stages) > 1 {
			return nil
		}
	}
	return stages
}

// failingInput tells which of the results of one expression makes another fail.
func failingInput(ctx context.Context, before, stage string, in *Input) (n int, fails bool) {
	each := fmt.Sprintf("[%s] | to_entries[] | .key as $n | .value | try ([%s] | empty) catch $n", before, stage)
	result, found := first(ctx, each, in)
	n, isInt := result.(int)
	return n, found && isInt
}

// nthPath returns the path of the nth result of an expression, when it is one.
func nthPath(ctx context.Context, expression string, n int, in *Input) string {
	result, found := first(ctx, fmt.Sprintf("[path(%s)][%d]", expression, n), in)
	keys, isPath := result.([]any)
	if !found || !isPath || len(keys) == 0 {
		return ""
	}
	var b strings.Builder
	for _, key := range keys {
		switch key := key.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", key)
		case string:
			b.WriteString(pathKey(key))
		default:
			return ""
		}
	}
	return shorten(b.String())
}

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func pathKey(key string) string {
	if plainKey.MatchString(key) {
		return "." + key
	}
	return ".[" + strconv.Quote(key) + "]"
}

func first(ctx context.Context, expression string, in *Input) (any, bool) {
	query, err := gojq.Parse(expression)
	if err != nil {
		return nil, false
	}
	code, err := compile(query)
	if err != nil {
		return nil, false
	}
	m := newMeter(ctx, in.size)
	result, found := code.RunWithContext(m, in.value, m).Next() //nolint:contextcheck // m is made of ctx
	if _, failed := result.(error); failed {
		return nil, false
	}
	return result, found
}
