package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// A Function is a sink with a name. Timeout and Concurrency, when set, are the
// defaults of the triggers that deliver to it.
type Function struct {
	Name        string
	Sink        Sink
	Timeout     Duration // 0: not set
	Concurrency int      // 0: not set
	// Run is set for a function that sluice runs itself. Timeout and Concurrency
	// are set then, and hold for its triggers: Timeout bounds one attempt with all
	// that belongs to it.
	Run *Run
	Pos Pos
}

// A Run is what a function has that sluice runs itself.
type Run struct {
	// OnSuccess and OnFailure say where the records go of deliveries that were
	// done, and of those that became letters; the zero To is nowhere.
	OnSuccess, OnFailure To
	// Async says how asynchronous invocations are tried again.
	Async Async
}

// A FunctionKind is the kind of functions that sluice runs itself.
type FunctionKind struct {
	// Keys are those of which a function of this kind has one: handler.
	Keys []string
	// Section makes a new section, with its defaults: the whole mapping of a
	// function.
	Section func() FunctionSection
}

// A FunctionSection is the Section of a function that sluice runs itself. It
// embeds Results.
type FunctionSection interface {
	// Limits returns how many attempts may be under way at the same time, and how
	// long one may take with all that belongs to it.
	Limits() (concurrency int, attempt Duration)
	results() *Results
}

// Results are keys of a function that sluice runs itself: its section embeds
// them, and the File has what they mean.
type Results struct {
	OnSuccess raw   `yaml:"on_success"`
	OnFailure raw   `yaml:"on_failure"`
	Async     Async `yaml:"async"`
}

func (r *Results) results() *Results { return r }

// Async says how often an asynchronous invocation is tried again.
type Async struct {
	// Attempts is the number of all attempts, the first included. Default: 3. The
	// waits between them are one minute, then two, then four, and so on up to five.
	Attempts int `yaml:"attempts"`
	// MaxAge is how long after its first attempt an invocation may be attempted
	// again. Default: 6h.
	MaxAge Duration `yaml:"max_age"`
}

// DefaultResults are those of a function that has none of its own.
func DefaultResults() Results {
	return Results{Async: Async{Attempts: 3, MaxAge: Duration(6 * time.Hour)}}
}

// The waits of asynchronous invocations.
const (
	asyncInitial = Duration(time.Minute)
	asyncMax     = Duration(5 * time.Minute)
)

func (a *Async) validate() error {
	policy := a.retry()
	var all []error
	eachError(policy.Validate(), func(err error) {
		if problem, ok := errors.AsType[*Problem](err); ok {
			err = Invalid("async."+problem.Key, "%s", problem.Message)
		}
		all = append(all, err)
	})
	return errors.Join(all...)
}

func (a *Async) retry() Retry {
	return Retry{Attempts: a.Attempts, Initial: asyncInitial, Max: asyncMax, MaxAge: a.MaxAge, Steady: true}
}

// The names of the triggers that a function brings with it begin with its own,
// and end so.
const (
	SuffixAsync     = "-async"
	SuffixOnSuccess = "-on-success"
	SuffixOnFailure = "-on-failure"
)

// Implied returns the triggers that the functions bring with them. They are on
// no source: what they deliver is directed to them.
func (f *File) Implied() []Trigger {
	var all []Trigger
	for i := range f.Functions {
		all = append(all, f.Functions[i].implied(f)...)
	}
	return all
}

func (f *Function) implied(file *File) []Trigger {
	if f.Run == nil {
		return nil
	}
	all := []Trigger{{Name: f.Name + SuffixAsync, To: To{Function: f.Name}, Retry: f.Run.Async.retry()}}
	for _, result := range f.Run.results() {
		all = append(all, Trigger{Name: f.Name + result.suffix, To: *result.to, Retry: DefaultRetry()})
	}
	for i := range all {
		t := &all[i]
		t.Pos, t.Concurrency, t.Timeout = f.Pos, defaultConcurrency, defaultTimeout
		at := slices.IndexFunc(file.Functions, func(f Function) bool { return f.Name == t.Function })
		if at >= 0 {
			limits := file.Functions[at].limits()
			t.Concurrency, t.Timeout = or(t.Concurrency, limits.concurrency), or(t.Timeout, limits.timeout)
		}
	}
	return all
}

type result struct {
	key, suffix string
	to          *To
}

// results are those that go somewhere.
func (r *Run) results() []result {
	all := []result{{"on_success", SuffixOnSuccess, &r.OnSuccess}, {"on_failure", SuffixOnFailure, &r.OnFailure}}
	return slices.DeleteFunc(all, func(one result) bool { return one.to.Function == "" && one.to.Sink == nil })
}

// limitsOf are what a function gives to the triggers that deliver to it.
type limitsOf struct {
	concurrency *int
	timeout     *Duration
}

func (f *Function) limits() (limits limitsOf) {
	if f.Concurrency > 0 {
		limits.concurrency = &f.Concurrency
	}
	if f.Timeout > 0 {
		limits.timeout = &f.Timeout
	}
	return limits
}

// functions reads the functions.
func (r *reader) functions(parts []part) {
	read := make([]part, 0, len(parts))
	for _, p := range parts {
		reads := r.function
		if r.runs(p.node) {
			reads = r.own
		}
		if f, ok := reads(p); ok {
			r.file.Functions = append(r.file.Functions, f)
			r.functionsByName[f.Name] = f
			read = append(read, p)
		}
	}
	for i, p := range read {
		r.implied(&r.file.Functions[i], p)
	}
}

// ownKeys are the keys of a function that sluice runs itself.
func (r *reader) ownKeys() []string {
	if r.kinds.Function.Section == nil {
		return nil
	}
	return fieldNames(reflect.TypeOf(r.kinds.Function.Section()).Elem())
}

// runs tells whether a function is one that sluice runs itself: by its keys, and
// when there is no kind of sink by those that only such a one has.
func (r *reader) runs(n *Node) bool {
	has := func(keys []string) bool {
		return slices.ContainsFunc(n.fields, func(f field) bool { return slices.Contains(keys, f.key) })
	}
	return has(r.kinds.Function.Keys) ||
		!has(sortedKeys(r.kinds.Sinks)) && has(slices.DeleteFunc(r.ownKeys(), func(key string) bool { return slices.Contains(functionKeys, key) }))
}

// own reads a function that sluice runs itself.
func (r *reader) own(p part) (Function, bool) {
	node := *p.node
	node.fields = nil
	for _, f := range p.node.fields {
		if r.kinds.Sinks[f.key] != nil {
			at := slices.IndexFunc(p.node.fields, func(f field) bool { return slices.Contains(r.kinds.Function.Keys, f.key) })
			r.c.problem(f.pos, p.at.sub(f.key, f.pos), fmt.Sprintf("it has %s, and so cannot be a sink of another kind: remove one of them", p.node.fields[at].key))
			continue
		}
		node.fields = append(node.fields, f)
	}
	section := r.kinds.Function.Section()
	r.section(&node, section, p.at)
	made := Function{Name: p.at.key, Sink: Sink{"function", section}, Pos: p.at.pos, Run: &Run{}}
	made.Concurrency, made.Timeout = section.Limits()
	results := section.results()
	r.below(p.node, results.Async.validate(), p.at)
	made.Run.Async = results.Async
	made.Run.OnSuccess = r.sinkOf(p.node.part("on_success", p.at))
	made.Run.OnFailure = r.sinkOf(p.node.part("on_failure", p.at))
	return made, true
}

// implied notes what is wrong with the triggers that a function brings with it.
func (r *reader) implied(f *Function, p part) {
	for _, t := range f.implied(r.file) {
		if r.triggerNames.has(t.Name) {
			r.c.problem(p.at.pos, p.at, fmt.Sprintf("it brings the trigger %q with it, and there is one of this name: rename one of them", t.Name))
		}
	}
	if f.Run == nil {
		return
	}
	for _, result := range f.Run.results() {
		at := p.node.part(result.key, p.at)
		section := r.sectionOf(result.to)
		if batching(section) == MustBatch {
			r.c.problem(at.at.pos, at.at, "the sink takes several events in one request, and a record goes by itself: change the sink's mode")
		}
		if result.to.Sink != nil && replying(section) {
			r.c.problem(at.at.pos, at.at, "what a record is answered with is not published: remove reply, or name a function")
		}
	}
}

// functionKeys are the keys of a function beside the kind of its sink.
var functionKeys = []string{"timeout", "concurrency"}

// function reads a function that is a sink by name.
func (r *reader) function(p part) (Function, bool) {
	var keys struct {
		Timeout     *Duration `yaml:"timeout"`
		Concurrency *int      `yaml:"concurrency"`
	}
	own, rest := split(p.node, functionKeys)
	if p.node.kind == mappingNode {
		r.into(own, &keys, p.at)
	}
	r.limits(own, p.at, keys.Concurrency, keys.Timeout)
	rest = slices.DeleteFunc(rest, func(f field) bool {
		foreign := r.kinds.Sinks[f.key] == nil && slices.Contains(r.ownKeys(), f.key)
		if foreign {
			r.c.problem(f.pos, p.at.sub(f.key, f.pos), fmt.Sprintf("only a function with %s has this: remove it", words(r.kinds.Function.Keys, "or")))
		}
		return foreign
	})
	kind, section, ok := r.kind(p, rest, kindsOf{
		sections: r.kinds.Sinks, thing: "function", instead: r.kinds.Function.Keys, beside: slices.Concat(functionKeys, r.ownKeys()),
	})
	if !ok {
		return Function{}, false
	}
	r.section(section.node, kind.section, section.at)
	return Function{
		Name: p.at.key, Sink: Sink{kind.name, kind.section}, Pos: p.at.pos,
		Timeout: or(0, keys.Timeout), Concurrency: or(0, keys.Concurrency),
	}, true
}

// split parts the fields of a mapping into those that are named and the rest.
func split(n *Node, keys []string) (own *Node, rest []field) {
	own = &Node{kind: mappingNode, pos: n.pos, block: n.block}
	for _, f := range n.fields {
		if slices.Contains(keys, f.key) {
			own.fields = append(own.fields, f)
		} else {
			rest = append(rest, f)
		}
	}
	return own, rest
}
