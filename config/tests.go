package config

import "slices"

// tests reads the file's own tests.
func (r *reader) tests(p part) {
	if p.node == nil {
		return
	}
	if p.node.kind != sequenceNode {
		r.wrong(p.node, p.at, "a list of tests")
		return
	}
	for i, item := range p.node.items {
		r.test(part{item, p.at.at(i, item.pos)})
	}
}

func (r *reader) test(p part) {
	var keys struct {
		Name     string  `yaml:"name"`
		Event    raw     `yaml:"event"`
		Triggers expects `yaml:"triggers"`
		Payloads raw     `yaml:"payloads"`
	}
	clean := r.into(p.node, &keys, p.at)
	if p.node.kind != mappingNode {
		return
	}
	if clean && (keys.Event.node == nil || keys.Triggers.node == nil) {
		r.c.problem(p.at.pos, p.at, "a test needs event and triggers; no trigger at all is written []")
		return
	}
	r.references(p, "triggers", keys.Triggers.oneOrMore, "trigger", r.triggerNames)
	r.file.Tests = append(r.file.Tests, Test{
		Name: keys.Name, Event: r.testEvent(p.node.part("event", p.at)), Triggers: keys.Triggers.texts, Pos: p.at.pos,
		Payloads: r.payloads(p.node.part("payloads", p.at), keys.Triggers.texts),
	})
}

// payloads reads what the triggers of a test are expected to deliver.
func (r *reader) payloads(p part, triggers []string) map[string]any {
	if p.node == nil {
		return nil
	}
	var payloads map[string]any
	if !r.into(p.node, &payloads, p.at) {
		return nil
	}
	for _, f := range p.node.fields {
		if !slices.Contains(triggers, f.key) {
			r.c.suggest(f.pos, p.at.sub(f.key, f.pos).String(), "it is not among the test's triggers", r.c.nearest(f.key, triggers))
		}
	}
	return payloads
}

// expects is one name, or a list that may be empty.
type expects struct{ oneOrMore }

// UnmarshalNode reads the names.
func (e *expects) UnmarshalNode(n *Node) error {
	if n.kind == sequenceNode && len(n.items) == 0 {
		e.node = n
		return nil
	}
	return e.oneOrMore.UnmarshalNode(n)
}

// testEvent reads the event of a test and checks its source.
func (r *reader) testEvent(p part) map[string]any {
	if p.node == nil {
		return nil
	}
	var event map[string]any
	if !r.into(p.node, &event, p.at) {
		return nil
	}
	source := p.node.part("source", p.at)
	if source.node == nil {
		r.c.problem(p.at.pos, p.at, "the event of a test needs source: the name of a source")
		return event
	}
	var name oneOrMore
	if err := name.UnmarshalNode(source.node); err != nil || source.node.kind == sequenceNode {
		r.wrong(source.node, source.at, "the name of a source")
		return event
	}
	r.references(p, "source", name, "source", r.published)
	return event
}
