// Package transform changes events on their way to a sink: by jq, as gojq has
// it, and by texts with jq in them, which are called templates.
//
// An expression sees the event as CloudEvents JSON and is given nothing else: no
// clock, no environment, no file, so that every attempt of a delivery gives the
// same. It may not take more than its share. gojq bounds neither memory nor the
// work of one call, so that each expression is rewritten before it is compiled:
// whatever can be large in one step is paid for before it is done, from a budget
// that also the steps are paid from, and functions are known by name with what
// they cost, or refused. It is below package event, as routers and sinks both
// use it.
package transform

import "time"

// The limits of one evaluation.
const (
	// MaxExpression is the most bytes of one expression, or template.
	MaxExpression = 16 << 10
	// MaxSize is the most bytes of an event as CloudEvents JSON that is transformed,
	// and of what comes out.
	MaxSize = 8 << 20
	// MaxTime is how long one evaluation may take.
	MaxTime = 5 * time.Second

	// budget is what an evaluation may spend, about in bytes that it allocates,
	// and budgetPerByte what it may for each byte of its input beyond.
	budget        = 64 << 20
	budgetPerByte = 32
	// stepCost is what one instruction of gojq costs.
	stepCost = 32
	// maxDepth is how deep values may be nested that a function goes through.
	maxDepth = 10_000
)
