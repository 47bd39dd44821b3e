package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The bounds of a trigger.
const (
	maxConcurrency = 10_000
	maxAttempts    = 1_000
	maxBatch       = 10_000
	maxWindow      = Duration(5 * time.Minute)
	minBatchBytes  = Size(1 << 10)
	maxBatchBytes  = Size(1 << 30)
)

// or returns the first value that is set, else otherwise.
func or[T any](otherwise T, values ...*T) T {
	for _, v := range values {
		if v != nil {
			return *v
		}
	}
	return otherwise
}

func (r *reader) limits(n *Node, at *path, concurrency *int, timeout *Duration) {
	if concurrency != nil && (*concurrency < 1 || *concurrency > maxConcurrency) {
		r.below(n, Invalid("concurrency", "expected a whole number from 1 to %d, found %d", maxConcurrency, *concurrency), at)
	}
	if timeout != nil && *timeout <= 0 {
		r.below(n, Invalid("timeout", "expected more than nothing, such as 30s, found %s", *timeout), at)
	}
}

// within notes limits that a trigger cannot have because its function has them.
func (r *reader) within(p part, f *Function, keys *triggerKeys, concurrency *int) {
	if keys.Timeout != nil {
		r.below(p.node, Invalid("timeout", "the function %q has a timeout of its own, which holds for all its triggers: set that, and remove this", f.Name), p.at)
		keys.Timeout = nil
	}
	if concurrency != nil && f.Concurrency > 0 && *concurrency > f.Concurrency {
		r.below(p.node, Invalid("concurrency", "the function %q runs %d at the same time at most: raise its concurrency, or lower this", f.Name, f.Concurrency), p.at)
	}
}

// A triggerKeys is a trigger as it is written.
type triggerKeys struct {
	On          oneOrMore `yaml:"on"`
	When        raw       `yaml:"when"`
	Transform   raw       `yaml:"transform"`
	To          raw       `yaml:"to"`
	Retry       raw       `yaml:"retry"`
	Batch       raw       `yaml:"batch"`
	Concurrency raw       `yaml:"concurrency"`
	Timeout     *Duration `yaml:"timeout"`
	flowKeys    `yaml:",inline"`
	Start       Start     `yaml:"start"`
	Was         oneOrMore `yaml:"was"`
}

// oneOrMore is a text or a list of texts.
type oneOrMore struct {
	texts []string
	keys  []string // of each text, below the field
	node  *Node
}

// UnmarshalNode reads one text or several.
func (o *oneOrMore) UnmarshalNode(n *Node) error {
	o.node = n
	if n.kind != sequenceNode {
		return o.add("", n)
	}
	if len(n.items) == 0 {
		return Invalid("", "expected a name, or a list of names, found an empty list")
	}
	var all []error
	for i, item := range n.items {
		all = append(all, o.add(fmt.Sprintf("[%d]", i), item))
	}
	return errors.Join(all...)
}

func (o *oneOrMore) add(key string, n *Node) error {
	if n.kind != scalarNode || n.isNull() {
		return Invalid(key, "expected a name, or a list of names, found %s", n.describe())
	}
	o.texts, o.keys = append(o.texts, n.text), append(o.keys, key)
	return nil
}

// triggers reads the triggers.
func (r *reader) triggers(parts []part) {
	was := map[string]string{}
	sources, on := make([]part, 0, len(parts)), make([]oneOrMore, 0, len(parts))
	for _, p := range parts {
		var keys triggerKeys
		if !r.into(p.node, &keys, p.at) && p.node.kind != mappingNode {
			continue
		}
		t := Trigger{Name: p.at.key, Pos: p.at.pos, Retry: DefaultRetry()}
		t.Was, t.Start = keys.Was.texts, keys.Start
		r.required(p, keys)
		r.formerNames(p, keys.Was, was)
		r.pattern(&t, p.node.part("when", p.at))
		r.transform(&t, p.node.part("transform", p.at))
		t.To = r.sinkOf(p.node.part("to", p.at))
		function := r.functionsByName[t.Function]
		if retry := p.node.part("retry", p.at); retry.node != nil {
			r.section(retry.node, &t.Retry, retry.at)
		}
		r.batch(&t, p)
		number, concurrency := r.concurrency(&t, p.node.part("concurrency", p.at))
		r.flow(&t, p, &keys.flowKeys)
		r.limits(p.node, p.at, number, keys.Timeout)
		if function.Run != nil {
			r.within(p, &function, &keys, concurrency)
		}
		limits := function.limits()
		t.Concurrency = or(usual(&t.Flow), concurrency, limits.concurrency)
		r.perKey(&t, p, concurrency)
		t.Timeout = or(defaultTimeout, keys.Timeout, limits.timeout)
		t.On = keys.On.texts
		r.file.Triggers = append(r.file.Triggers, t)
		sources = append(sources, p)
		on = append(on, keys.On)
	}
	r.replies()
	for i, p := range sources {
		r.sourcesOf(p, on[i])
	}
}

// replies finds the functions and triggers whose sinks publish what they are
// answered with: each under its own name, as if it were a source.
func (r *reader) replies() {
	r.published = &nameSet{list: slices.Clone(r.sourceNames.list), set: maps.Clone(r.sourceNames.set)}
	add := func(thing, name string, pos Pos, section Section) {
		if !replying(section) {
			return
		}
		if r.published.has(name) {
			r.c.problem(pos, (&path{}).sub(thing+"s", pos).sub(name, pos), fmt.Sprintf("its replies are published under its name, and something else is called %q: rename one of them", name))
			return
		}
		r.published.list, r.published.set[name] = append(r.published.list, name), true
	}
	for i := range r.file.Functions {
		f := &r.file.Functions[i]
		add("function", f.Name, f.Pos, f.Sink.Section)
	}
	for i := range r.file.Triggers {
		if t := &r.file.Triggers[i]; t.Sink != nil {
			add("trigger", t.Name, t.Pos, t.Sink.Section)
		}
	}
}

// sourcesOf checks what a trigger is on: sources, and what publishes replies.
func (r *reader) sourcesOf(p part, on oneOrMore) {
	var others oneOrMore
	for i, name := range on.texts {
		if silent := r.functionNames.has(name) || r.triggerNames.has(name); silent && !r.published.has(name) {
			r.below(p.node, Invalid("on"+on.keys[i], "%s publishes nothing: give its sink reply: publish, or name a source", quoteShort(name)), p.at)
			continue
		}
		others.texts, others.keys = append(others.texts, name), append(others.keys, on.keys[i])
	}
	r.references(p, "on", others, "source", r.published)
}

// required notes the keys that a trigger cannot do without.
func (r *reader) required(p part, keys triggerKeys) {
	if keys.On.node == nil && !r.meant(p, "on") {
		r.c.problem(p.at.pos, p.at, "a trigger needs on: the name of a source, or a list of them")
	}
	if keys.To.node == nil && !r.meant(p, "to") {
		r.c.problem(p.at.pos, p.at, "a trigger needs to: the name of a function, or a sink such as {http: {url: …}}")
	}
}

// meant tells whether an unknown key of p was probably meant to be key.
func (r *reader) meant(p part, key string) bool {
	return slices.ContainsFunc(r.c.problems, func(other *Problem) bool {
		return other.Suggestion == key && parentKey(other.Key) == p.at.String()
	})
}

// references notes the names at key that name nothing or stand twice.
func (r *reader) references(p part, key string, list oneOrMore, thing string, known *nameSet) {
	seen := map[string]bool{}
	for i, name := range list.texts {
		var problem *Problem
		switch {
		case !known.has(name):
			problem = &Problem{Message: fmt.Sprintf("no %s %s", thing, quoteShort(name)), Suggestion: r.c.nearest(name, known.list)}
		case seen[name]:
			problem = &Problem{Message: fmt.Sprintf("the %s %q stands twice", thing, name)}
		}
		seen[name] = true
		if problem != nil {
			problem.Key = key + list.keys[i]
			r.below(p.node, problem, p.at)
		}
	}
}

// formerNames notes what cannot have been a trigger's name before.
func (r *reader) formerNames(p part, list oneOrMore, was map[string]string) {
	for i, name := range list.texts {
		message := ""
		switch {
		case !validName(name):
			message = quoteShort(name) + " cannot have been a name"
		case r.triggerNames.has(name):
			message = fmt.Sprintf("there still is a trigger %q", name)
		case was[name] != "":
			message = fmt.Sprintf("the trigger %q has been %q already", was[name], name)
		}
		if message != "" {
			r.below(p.node, Invalid("was"+list.keys[i], "%s", message), p.at)
		}
		was[name] = p.at.key
	}
}

// pattern keeps the pattern and has it compiled.
func (r *reader) pattern(t *Trigger, p part) {
	if p.node == nil {
		return
	}
	if p.node.kind != mappingNode {
		r.wrong(p.node, p.at, "a pattern, such as {type: [order.created]}")
		return
	}
	t.When = p.node
	if !r.clear(p.node, p.at) || r.kinds.Pattern == nil {
		return
	}
	eachError(r.kinds.Pattern(p.node.Value()), func(err error) {
		r.placedError(p, err)
	})
}

// transform keeps the transform and has it compiled.
func (r *reader) transform(t *Trigger, p part) {
	if p.node == nil || !r.clear(p.node, p.at) {
		return
	}
	t.Transform = p.node
	if r.kinds.Transform != nil {
		eachError(r.kinds.Transform(p.node.Value()), func(err error) { r.placedError(p, err) })
	}
}

// placedError notes an error at the place below a key that it names.
func (r *reader) placedError(p part, err error) {
	at, node := p.at, p.node
	var placed interface{ Path() []any }
	if errors.As(err, &placed) {
		for _, step := range placed.Path() {
			next, pos := node.child(step)
			if next == nil {
				break
			}
			if index, ok := step.(int); ok {
				at = at.at(index, pos)
			} else {
				at = at.sub(fmt.Sprint(step), pos)
			}
			node = next
		}
	}
	message := err.Error()
	var spoken interface{ Message() string }
	if errors.As(err, &spoken) {
		message = spoken.Message()
	}
	r.c.problem(at.pos, at, r.c.redact(printable(message)))
}

// batch reads how deliveries are put together, and notes where the sink does
// not fit it.
func (r *reader) batch(t *Trigger, p part) {
	batch := p.node.part("batch", p.at)
	if batch.node != nil {
		t.Batch = &Batch{Size: defaultBatch}
		r.section(batch.node, t.Batch, batch.at)
	}
	section := r.sectionOf(&t.To)
	if section == nil {
		return // said elsewhere
	}
	takes := batching(section)
	switch to := p.node.part("to", p.at); {
	case takes == MustBatch && batch.node == nil:
		r.c.problem(to.at.pos, to.at, "the sink takes several events in one request: say how many with batch: {size: 100, window: 1s} on the trigger, or change the sink's mode")
	case takes == NeverBatch && batch.node != nil:
		r.c.problem(batch.at.pos, batch.at, "the sink takes one event in one request: remove this, or, for http, give it mode: batch")
	case takes == MayBatch && batch.node != nil && replying(section):
		r.c.problem(batch.at.pos, batch.at, "the answer to a batch says which deliveries have failed, and cannot be published: remove this, or the function's reply")
	}
}

// batching tells how a section's sink takes events.
func batching(section Section) Batching {
	if one, ok := section.(interface{ Batches() Batching }); ok {
		return one.Batches()
	}
	return NeverBatch
}

// replying tells whether answers are published.
func replying(section Section) bool {
	one, ok := section.(interface{ Replies() bool })
	return ok && one.Replies()
}

// sectionOf returns the section of the sink that deliveries go to, or nil.
func (r *reader) sectionOf(to *To) Section {
	if to.Sink != nil {
		return to.Sink.Section
	}
	return r.functionsByName[to.Function].Sink.Section
}

// Validate checks how deliveries are put together.
func (b *Batch) Validate() error {
	var all []error
	if b.Size < 1 || b.Size > maxBatch {
		all = append(all, Invalid("size", "expected a whole number from 1 to %d, found %d", maxBatch, b.Size))
	}
	if b.Window > maxWindow {
		all = append(all, Invalid("window", "expected at most %s, found %s", maxWindow, b.Window))
	}
	if b.Bytes != 0 && (b.Bytes < minBatchBytes || b.Bytes > maxBatchBytes) {
		all = append(all, Invalid("bytes", "expected %s to %s, found %s", minBatchBytes, maxBatchBytes, b.Bytes))
	}
	return errors.Join(all...)
}

// sinkOf reads where deliveries go: to a function by name, or to an inline sink.
func (r *reader) sinkOf(p part) (to To) {
	switch {
	case p.node == nil:
	case p.node.kind == mappingNode:
		if kind, section, ok := r.kind(p, p.node.fields, sinkKinds(r.kinds)); ok {
			r.section(section.node, kind.section, section.at)
			to.Sink = &Sink{kind.name, kind.section}
		}
	case p.node.kind != scalarNode || p.node.isNull():
		r.wrong(p.node, p.at, "the name of a function, or a mapping with the sink's kind")
	case !r.functionNames.has(p.node.text):
		r.c.suggest(p.node.pos, p.at.String(), "no function "+quoteShort(p.node.raw), r.c.nearest(p.node.text, r.functionNames.list))
	default:
		to.Function = p.node.text
	}
	return to
}

// Validate checks the retry policy.
func (p *Retry) Validate() error {
	var all []error
	if p.Attempts < 1 || p.Attempts > maxAttempts {
		all = append(all, Invalid("attempts", "expected a whole number from 1 to %d, found %d", maxAttempts, p.Attempts))
	}
	if p.Initial <= 0 {
		all = append(all, Invalid("initial", "expected more than nothing, such as 1s, found %s", p.Initial))
	}
	if p.Max < p.Initial {
		all = append(all, Invalid("max", "expected at least initial (%s), found %s", p.Initial, p.Max))
	}
	if p.MaxAge <= 0 {
		all = append(all, Invalid("max_age", "expected more than nothing, such as 24h, found %s", p.MaxAge))
	}
	return errors.Join(all...)
}
