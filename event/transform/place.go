package transform

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"
)

// place finds the stage of a | b | c in which an expression fails for an event,
// and the path of what the stage was given. It evaluates the stages one after
// the other, within the same limits as any evaluation.
func place(ctx context.Context, source string, in *Input) (stage, input string) {
	stages := split(source)
	if len(stages) == 0 {
		return "", ""
	}
	for i := range stages {
		before := "."
		if i > 0 {
			before = strings.Join(stages[:i], " | ")
		}
		if n, fails := failingInput(ctx, before, stages[i], in); fails {
			input = nthPath(ctx, before, n, in)
			if len(stages) > 1 {
				stage = stages[i]
			}
			return stage, input
		}
	}
	return "", ""
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
	if expression == "." {
		return ""
	}
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
