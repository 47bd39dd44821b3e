package transform

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/itchyny/gojq"
)

// The names that rewritten expressions use. No expression can have them itself.
const (
	varMeter = "$__meter"
	varLeft  = "$__left"
	varRight = "$__right"
	varValue = "$__value"

	callShallow = "__shallow"
	callDeep    = "__deep"
	callPair    = "__pair"
	callEach    = "__each"
	callGrow    = "__grow"
	callKey     = "__key"
	callMatch   = "__match"
	callFixed   = "__fixed"
	callDigits  = "__digits"
)

// A guard rewrites a parsed expression in place, so that all that can be large
// is paid for before it is done. What it adds gives its input on as it is, so
// that it may stand in paths too.
type guard struct {
	prices map[string]price
	scope  []string // the functions that the expression defines itself, as name/arity

	regexps []*pattern // the regular expressions, by their numbers
}

// A refusedError is a part of an expression that is not allowed, or has no
// meaning.
type refusedError struct {
	name   string // to find it by
	reason string
}

func (e *refusedError) Error() string { return e.name + ": " + e.reason }

func (g *guard) queries(all ...*gojq.Query) error {
	for _, q := range all {
		if err := g.query(q); err != nil {
			return err
		}
	}
	return nil
}

func (g *guard) query(q *gojq.Query) error {
	if q == nil {
		return nil
	}
	if len(q.Imports) > 0 || q.Meta != nil {
		return &refusedError{"import", "an expression has no modules"}
	}
	defer func(n int) { g.scope = g.scope[:n] }(len(g.scope))
	for _, def := range q.FuncDefs {
		if err := g.define(def); err != nil {
			return err
		}
	}
	if q.Term != nil {
		return g.term(q.Term)
	}
	return g.operation(q)
}

// define rewrites a function; it and its parameters are no builtins.
func (g *guard) define(def *gojq.FuncDef) error {
	g.scope = append(g.scope, signature(def.Name, len(def.Args)))
	n := len(g.scope)
	for _, arg := range def.Args {
		g.scope = append(g.scope, signature(arg, 0))
	}
	err := g.query(def.Body)
	g.scope = g.scope[:n]
	return err
}

func signature(name string, args int) string { return name + "/" + strconv.Itoa(args) }

func (g *guard) operation(q *gojq.Query) error {
	switch q.Op { //nolint:exhaustive // those that are left need nothing
	case gojq.OpAssign, gojq.OpModify:
		return g.update(q)
	case gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
		spell(q)
		return g.operation(q)
	}
	if err := errors.Join(g.patterns(q.Patterns), g.queries(q.Left, q.Right)); err != nil {
		return err
	}
	switch q.Op { //nolint:exhaustive // as above
	case gojq.OpAdd:
		if !isNumber(q.Left) && !isNumber(q.Right) {
			q.Left, q.Right = pipe(q.Left, pay(callShallow, 1)), pipe(q.Right, pay(callShallow, 1))
		}
	case gojq.OpEq, gojq.OpNe, gojq.OpGt, gojq.OpLt, gojq.OpGe, gojq.OpLe:
		if !isScalar(q.Left) && !isScalar(q.Right) {
			q.Left, q.Right = pipe(q.Left, pay(callDeep, 1)), pipe(q.Right, pay(callDeep, 1))
		}
	case gojq.OpSub, gojq.OpDiv, gojq.OpMod:
		if !isNumber(q.Left) && !isNumber(q.Right) {
			pair(q)
		}
	case gojq.OpMul:
		pair(q)
	}
	return nil
}

// pair has both sides of an operator computed, and paid for together.
func pair(q *gojq.Query) {
	applied := &gojq.Query{Left: variable(varLeft), Op: q.Op, Right: variable(varRight)}
	paid := call(callPair, variable(varMeter), text(q.Op.String()), variable(varLeft), variable(varRight))
	replace(q, bind(q.Right, varRight, bind(q.Left, varLeft, pipe(paid, applied))))
}

// replace puts another query where q is, with the functions that q defines.
func replace(q, by *gojq.Query) {
	by.FuncDefs = q.FuncDefs
	*q = *by
}

// spell writes an operator such as += as jq defines it.
func spell(q *gojq.Query) {
	plain := map[gojq.Operator]gojq.Operator{
		gojq.OpUpdateAdd: gojq.OpAdd, gojq.OpUpdateSub: gojq.OpSub, gojq.OpUpdateMul: gojq.OpMul,
		gojq.OpUpdateDiv: gojq.OpDiv, gojq.OpUpdateMod: gojq.OpMod, gojq.OpUpdateAlt: gojq.OpAlt,
	}
	value := &gojq.Query{Left: identity(), Op: plain[q.Op], Right: variable(varValue)}
	replace(q, bind(q.Right, varValue, &gojq.Query{Left: q.Left, Op: gojq.OpModify, Right: group(value)}))
}

// update has what an assignment adds to arrays paid for. Paths of names only
// add nothing.
func (g *guard) update(q *gojq.Query) error {
	byName := onlyNames(q.Left)
	again, err := gojq.Parse(q.Left.String())
	if err != nil {
		return fmt.Errorf("the path %s cannot be read again: %w", q.Left, err)
	}
	if err := g.queries(q.Left, q.Right, again); err != nil {
		return err
	}
	if !byName {
		paths := call(callGrow, variable(varMeter), array(call("path", again)))
		replace(q, pipe(paths, &gojq.Query{Left: q.Left, Op: q.Op, Right: q.Right}))
	}
	return nil
}

// onlyNames tells whether a path is one like .a.b.
func onlyNames(q *gojq.Query) bool {
	t := q.Term
	if t == nil || len(q.FuncDefs) > 0 || t.Type != gojq.TermTypeIdentity && (t.Type != gojq.TermTypeIndex || t.Index.Name == "") {
		return false
	}
	return !slices.ContainsFunc(t.SuffixList, func(s *gojq.Suffix) bool { return s.Index == nil || s.Index.Name == "" })
}

func (g *guard) patterns(all []*gojq.Pattern) error {
	for _, p := range all {
		if err := g.patterns(p.Array); err != nil {
			return err
		}
		for _, o := range p.Object {
			if err := errors.Join(g.text(o.KeyString), g.query(o.KeyQuery)); err != nil {
				return err
			}
			if o.Val != nil {
				if err := g.patterns([]*gojq.Pattern{o.Val}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// term rewrites a term, and then what follows it, piece by piece.
func (g *guard) term(t *gojq.Term) error {
	suffixes := t.SuffixList
	t.SuffixList = nil
	if err := g.base(t); err != nil {
		return err
	}
	for i := 0; i < len(suffixes); i++ {
		s := suffixes[i]
		switch {
		case s.Iter:
			all := &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: []*gojq.Suffix{s}}
			if i+1 < len(suffixes) && suffixes[i+1].Optional {
				i++
				all.SuffixList = append(all.SuffixList, suffixes[i])
			}
			before := *t
			*t = *groupTerm(pipe(pipe(&gojq.Query{Term: &before}, pay(callShallow, 1)), &gojq.Query{Term: all}))
		case s.Index != nil:
			if err := g.index(s.Index); err != nil {
				return err
			}
			if s.Index.IsSlice {
				before := *t
				*t = *groupTerm(pipe(&gojq.Query{Term: &before}, pay(callShallow, 1)))
			}
			t.SuffixList = append(t.SuffixList, s)
		default:
			t.SuffixList = append(t.SuffixList, s)
		}
	}
	return nil
}

func (g *guard) base(t *gojq.Term) error {
	switch t.Type { //nolint:exhaustive // those that are left hold nothing
	case gojq.TermTypeRecurse:
		*t = *groupTerm(pipe(pay(callDeep, 4), &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeRecurse}}))
	case gojq.TermTypeIndex:
		if err := g.index(t.Index); err != nil {
			return err
		}
		if t.Index.IsSlice {
			*t = gojq.Term{Type: gojq.TermTypeQuery, Query: pay(callShallow, 1), SuffixList: []*gojq.Suffix{{Index: t.Index}}}
		}
	case gojq.TermTypeFunc:
		return g.call(t)
	case gojq.TermTypeObject:
		return g.object(t.Object)
	case gojq.TermTypeArray:
		return g.query(t.Array.Query)
	case gojq.TermTypeUnary:
		return g.term(t.Unary.Term)
	case gojq.TermTypeFormat:
		if t.Str != nil {
			return g.text(t.Str)
		}
		before := *t
		*t = *groupTerm(pipe(pay(callDeep, 8), &gojq.Query{Term: &before}))
	case gojq.TermTypeString:
		return g.text(t.Str)
	case gojq.TermTypeQuery:
		return g.query(t.Query)
	default:
		return g.control(t)
	}
	return nil
}

func (g *guard) control(t *gojq.Term) error {
	switch t.Type { //nolint:exhaustive // those that are left hold nothing
	case gojq.TermTypeIf:
		all := []*gojq.Query{t.If.Cond, t.If.Then, t.If.Else}
		for _, other := range t.If.Elif {
			all = append(all, other.Cond, other.Then)
		}
		return g.queries(all...)
	case gojq.TermTypeTry:
		return g.queries(t.Try.Body, t.Try.Catch)
	case gojq.TermTypeReduce:
		return errors.Join(g.patterns(t.Reduce.Patterns), g.queries(t.Reduce.Query, t.Reduce.Start, t.Reduce.Update))
	case gojq.TermTypeForeach:
		f := t.Foreach
		return errors.Join(g.patterns(f.Patterns), g.queries(f.Query, f.Start, f.Update, f.Extract))
	case gojq.TermTypeLabel:
		if err := g.query(t.Label.Body); err != nil {
			return err
		}
		t.Label.Body = pipe(pay(callFixed, 1024), t.Label.Body)
	}
	return nil
}

// index rewrites the key of .[key], which may be no array and no object: looking
// for one array in another cannot be bounded.
func (g *guard) index(x *gojq.Index) error {
	if err := errors.Join(g.text(x.Str), g.queries(x.Start, x.End)); err != nil {
		return err
	}
	if !x.IsSlice && x.Start != nil && !isScalar(x.Start) {
		x.Start = pipe(x.Start, call(callKey))
	}
	return nil
}

func (g *guard) object(o *gojq.Object) error {
	for _, kv := range o.KeyVals {
		if err := errors.Join(g.text(kv.KeyString), g.queries(kv.KeyQuery, kv.Val)); err != nil {
			return err
		}
	}
	return nil
}

// text rewrites what stands inside of a text.
func (g *guard) text(s *gojq.String) error {
	if s == nil {
		return nil
	}
	for i, q := range s.Queries {
		if q.Term != nil && q.Term.Str != nil {
			continue // a plain piece
		}
		if err := g.query(q); err != nil {
			return err
		}
		s.Queries[i] = group(pipe(q, pay(callDeep, 8)))
	}
	return nil
}

// call rewrites the call of a function.
func (g *guard) call(t *gojq.Term) error {
	f := t.Func
	if f.Name == "$ENV" {
		return &refusedError{f.Name, refused(f.Name)}
	}
	own := f.Name[0] == '$' || slices.Contains(g.scope, signature(f.Name, len(f.Args)))
	p, known := g.prices[f.Name]
	switch {
	case own:
		return g.queries(f.Args...)
	case !known:
		return &refusedError{f.Name, refused(f.Name)}
	case p.kind == byPicking && len(f.Args) == 1:
		return g.pick(t, p.factor)
	}
	if err := g.queries(f.Args...); err != nil {
		return err
	}
	if (p.kind == byPattern || f.Name == "split" && len(f.Args) == 2) && len(f.Args) > 0 {
		return g.matched(t)
	}
	p.apply(t)
	return nil
}

// apply has a call paid for.
func (p price) apply(t *gojq.Term) {
	f := t.Func
	itself := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: f}}
	switch p.kind {
	case byLength:
		*t = *groupTerm(pipe(pay(callShallow, p.factor), itself))
	case byContent:
		f.Args = payAll(f.Args, p.factor)
		*t = *groupTerm(pipe(pay(callDeep, p.factor), itself))
	case byDigits:
		*t = *groupTerm(pipe(pay(callDigits, p.factor), itself))
	case byResult:
		*t = *groupTerm(pipe(pay(callDeep, p.factor), pipe(itself, pay(callDeep, 1))))
	case byPairs:
		if len(f.Args) != 1 {
			return // there is none such
		}
		arg := f.Args[0]
		f.Args = []*gojq.Query{variable(varValue)}
		*t = *groupTerm(bind(arg, varValue, pipe(call(callEach, variable(varMeter), variable(varValue)), itself)))
	case bySetting:
		if len(f.Args) != 2 {
			return // there is none such
		}
		arg := f.Args[0]
		f.Args[0] = variable(varValue)
		*t = *groupTerm(bind(arg, varValue, pipe(call(callGrow, variable(varMeter), array(variable(varValue))), itself)))
	case free, byPicking, byPattern:
	}
}

// pick has the arrays paid for that pick makes, from nothing.
func (g *guard) pick(t *gojq.Term, factor int64) error {
	f := t.Func
	again, err := gojq.Parse(f.Args[0].String())
	if err != nil {
		return fmt.Errorf("the path %s cannot be read again: %w", f.Args[0], err)
	}
	if err := g.queries(f.Args[0], again); err != nil {
		return err
	}
	itself := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: f}}
	grown := pipe(&gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeNull}}, call(callGrow, variable(varMeter), variable(varValue)))
	paid := bind(array(call("path", again)), varValue, bind(grown, varLeft, itself))
	*t = *groupTerm(pipe(pay(callShallow, factor), paid))
	return nil
}

func payAll(args []*gojq.Query, factor int64) []*gojq.Query {
	paid := make([]*gojq.Query, len(args))
	for i, arg := range args {
		paid[i] = pipe(arg, pay(callDeep, factor))
	}
	return paid
}

func call(name string, args ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}}}
}

func pay(name string, factor int64) *gojq.Query {
	number := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeNumber, Number: strconv.FormatInt(factor, 10)}}
	return call(name, variable(varMeter), number)
}

func variable(name string) *gojq.Query { return call(name) }

func text(s string) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeString, Str: &gojq.String{Str: s}}}
}

func identity() *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}}
}

func array(q *gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeArray, Array: &gojq.Array{Query: q}}}
}

func pipe(left, right *gojq.Query) *gojq.Query {
	return &gojq.Query{Left: left, Op: gojq.OpPipe, Right: right}
}

// bind is left as $name | right.
func bind(left *gojq.Query, name string, right *gojq.Query) *gojq.Query {
	return &gojq.Query{Left: group(left), Op: gojq.OpPipe, Patterns: []*gojq.Pattern{{Name: name}}, Right: right}
}

func group(q *gojq.Query) *gojq.Query { return &gojq.Query{Term: groupTerm(q)} }

func groupTerm(q *gojq.Query) *gojq.Term {
	return &gojq.Term{Type: gojq.TermTypeQuery, Query: q}
}
