package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Load reads and checks the file at path. Variables are found by lookup. The
// error is a *Problems with everything that is wrong with the file; it is
// another, which matches fs.ErrNotExist and the like, when the file cannot be
// read.
func Load(path string, kinds Kinds, lookup func(string) (string, bool)) (*File, error) {
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("find the folder of the configuration: %w", err)
	}
	return load(path, dir, text, kinds, lookup)
}

// read returns the file, or a little more than is allowed of it.
func read(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the configuration: %w", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return "", fmt.Errorf("read the configuration: %w", err)
	}
	return string(text), nil
}

func load(path, dir, text string, kinds Kinds, lookup func(string) (string, bool)) (*File, error) {
	c := newCollector(path, text)
	r := &reader{
		decoder: decoder{c: c, dir: dir},
		kinds:   kinds,
		file:    &File{Path: path, Dir: dir},

		functionsByName: map[string]Function{},
	}
	if root := parse(c, text, lookup); root != nil {
		r.root(root)
	}
	if err := c.finish(); err != nil {
		return nil, err
	}
	r.file.Warnings = c.warnings
	return r.file, nil
}

// A part is a value of the file and how it is reached.
type part struct {
	node *Node
	at   *path
}

// A raw field takes a value as it stands, to be read later.
type raw struct{ node *Node }

// UnmarshalNode keeps the node.
func (r *raw) UnmarshalNode(n *Node) error {
	r.node = n
	return nil
}

// part returns the field of n that is named key; its node is nil when there is
// none.
func (n *Node) part(key string, at *path) part {
	if f := n.field(key); f != nil {
		return part{f.value, at.sub(key, f.pos)}
	}
	return part{}
}

// A reader makes a File from the tree.
type reader struct {
	decoder
	kinds Kinds
	file  *File

	sourceNames, functionNames, triggerNames *nameSet
	published                                *nameSet // what events are published under
	functionsByName                          map[string]Function
}

// A nameSet are the names of one kind of thing, in the order of the file.
type nameSet struct {
	list []string
	set  map[string]bool
}

func (s *nameSet) has(name string) bool { return s.set[name] }

// root reads the top of the file: names first, so that references can be
// checked wherever they stand.
func (r *reader) root(n *Node) {
	top := &path{pos: Pos{1, 1}}
	var keys struct {
		Bus       raw `yaml:"bus"`
		Ingest    raw `yaml:"ingest"`
		Admin     raw `yaml:"admin"`
		Logs      raw `yaml:"logs"`
		Egress    raw `yaml:"egress"`
		Sources   raw `yaml:"sources"`
		Functions raw `yaml:"functions"`
		Triggers  raw `yaml:"triggers"`
		Tests     raw `yaml:"tests"`
	}
	r.into(n, &keys, top)
	if n.kind != mappingNode {
		return
	}
	r.settings(n, top)
	r.egress(n.part("egress", top))
	sources := r.named(n.part("sources", top), "source")
	functions := r.named(n.part("functions", top), "function")
	triggers := r.named(n.part("triggers", top), "trigger")
	r.sourceNames, r.functionNames, r.triggerNames = names(sources), names(functions), names(triggers)
	if keys.Sources.node == nil && keys.Functions.node == nil && !r.meant(part{n, top}, "sources") {
		r.c.problem(Pos{}, nil, "there are no sources: add at least one below the key sources, or functions to invoke below the key functions")
	}
	r.sources(sources)
	r.functions(functions)
	r.invoked(n.part("ingest", top))
	r.triggers(triggers)
	r.tests(n.part("tests", top))
}

// named returns the parts of a mapping of names, and notes bad names.
func (r *reader) named(p part, thing string) []part {
	if p.node == nil {
		return nil
	}
	expected := "a mapping of names to " + thing + "s"
	if p.node.kind != mappingNode {
		r.wrong(p.node, p.at, expected)
		return nil
	}
	if len(p.node.fields) == 0 {
		r.c.problem(p.at.pos, p.at, "expected "+expected+", found an empty one")
	}
	parts := make([]part, 0, len(p.node.fields))
	for _, f := range p.node.fields {
		one := part{f.value, p.at.sub(f.key, f.pos)}
		if !validName(f.key) {
			r.c.suggest(f.pos, one.at.String(), "a name is at most 64 of a-z, 0-9, - and _, and begins with a letter or digit", nameLike(f.key))
		}
		parts = append(parts, one)
	}
	return parts
}

func names(parts []part) *nameSet {
	names := &nameSet{set: make(map[string]bool, len(parts))}
	for _, p := range parts {
		names.list = append(names.list, p.at.key)
		names.set[p.at.key] = true
	}
	return names
}

// settings reads what is not named: bus, ingest, admin and logs.
func (r *reader) settings(n *Node, top *path) {
	f := r.file
	f.Bus, f.Ingest, f.Admin, f.Logs = defaultBus(), defaultIngest(), Admin{Listen: defaultAdmin}, defaultLogs()
	for _, setting := range []struct {
		key  string
		into Section
	}{{"bus", &f.Bus}, {"ingest", &f.Ingest}, {"admin", &f.Admin}, {"logs", &f.Logs}} {
		if p := n.part(setting.key, top); p.node != nil {
			r.section(p.node, setting.into, p.at)
		}
	}
	f.Bus.resolve(f.Dir)
	f.Logs.resolve(f.Dir, &f.Bus)
	if p := n.part("admin", top); p.node != nil && samePort(f.Ingest.Listen, f.Admin.Listen) {
		r.c.problem(p.node.At("listen"), p.at.sub("listen", Pos{}), fmt.Sprintf("ingest listens on %s already: take another port", quoteShort(f.Ingest.Listen)))
	}
}

// egress reads the policy for the connections of all sinks.
func (r *reader) egress(p part) {
	const byDefault = "any"
	r.file.Egress = byDefault
	if p.node == nil || !r.into(p.node, &r.file.Egress, p.at) {
		return
	}
	if allowed := []string{byDefault, "public"}; !slices.Contains(allowed, r.file.Egress) {
		r.c.suggest(p.node.pos, p.at.String(), "expected any or public, found "+quoteShort(p.node.raw), r.c.nearest(r.file.Egress, allowed))
	}
}

// sources reads the sources.
func (r *reader) sources(parts []part) {
	claims := map[string]string{}
	for _, p := range parts {
		kind, section, ok := r.kind(p, p.node.fields, kindsOf{sections: r.kinds.Sources, thing: "source"})
		if !ok {
			continue
		}
		r.section(section.node, kind.section, section.at)
		r.file.Sources = append(r.file.Sources, Source{Name: p.at.key, Kind: kind.name, Section: kind.section, Pos: p.at.pos})
		r.openIngest(p, kind.section)
		r.claimed(section, kind.section, p.at.key, claims)
	}
}

// claimed notes a source that wants what another one has; claims says who has
// what.
func (r *reader) claimed(section part, decoded Section, name string, claims map[string]string) {
	claiming, ok := decoded.(interface{ Claim() (key, value string) })
	if !ok {
		return
	}
	key, value := claiming.Claim()
	if value == "" {
		return // there is none, or it is said elsewhere that it is missing
	}
	if other, taken := claims[value]; taken {
		pos, _ := section.node.atKey(key, section.at.pos)
		r.c.problem(pos, section.at.sub(key, pos), fmt.Sprintf("%s is taken by the source %q: each needs its own", r.c.redact(quoteShort(value)), other))
		return
	}
	claims[value] = name
}

// openIngest notes a source that anybody can publish to from other machines.
func (r *reader) openIngest(p part, section Section) {
	open, ok := section.(interface{ Unauthenticated() bool })
	if ok && open.Unauthenticated() && !r.file.Ingest.UnsafeNoAuth && !loopback(r.file.Ingest.Listen) {
		r.c.problem(p.at.pos, p.at, fmt.Sprintf("ingest listens on %s, where other machines can reach it, and this source asks for no authentication: give it some, or set ingest.unsafe_no_auth: true to let anybody publish events", quoteShort(r.file.Ingest.Listen)))
	}
}

type knownKind struct {
	name    string
	section Section
}

// kindsOf are the kinds of one thing.
type kindsOf struct {
	sections map[string]func() Section
	thing    string
	instead  []string // keys that may stand instead of a kind
	beside   []string // keys that may stand beside it
}

func sinkKinds(k Kinds) kindsOf { return kindsOf{sections: k.Sinks, thing: "sink"} }

// all are the keys of which one is needed.
func (k *kindsOf) all() []string { return slices.Concat(k.instead, sortedKeys(k.sections)) }

// kind finds the one kind that stands among fields, and makes its section.
func (r *reader) kind(p part, fields []field, kinds kindsOf) (knownKind, part, bool) {
	if p.node.kind != mappingNode {
		r.wrong(p.node, p.at, "a mapping with the "+kinds.thing+"'s kind: "+words(kinds.all(), "or"))
		return knownKind{}, part{}, false
	}
	var found *field
	bad := false
	for i, f := range fields {
		switch {
		case kinds.sections[f.key] == nil:
			r.unknownKind(f, p.at, &kinds)
			bad = true
		case found != nil:
			r.c.problem(f.pos, p.at.sub(f.key, f.pos), fmt.Sprintf("a %s has one kind, this one is %q already", kinds.thing, found.key))
		default:
			found = &fields[i]
		}
	}
	if found == nil {
		if !bad {
			r.c.problem(p.at.pos, p.at, "the "+kinds.thing+"'s kind is missing: "+words(kinds.all(), "or"))
		}
		return knownKind{}, part{}, false
	}
	return knownKind{found.key, kinds.sections[found.key]()}, part{found.value, p.at.sub(found.key, found.pos)}, true
}

func (r *reader) unknownKind(f field, at *path, kinds *kindsOf) {
	key := at.sub(f.key, f.pos).String()
	if suggestion := r.c.nearest(f.key, kinds.beside); suggestion != "" {
		r.c.suggest(f.pos, key, "unknown key", suggestion)
		return
	}
	r.c.suggest(f.pos, key, fmt.Sprintf("unknown kind of %s: there is %s", kinds.thing, words(kinds.all(), "and")), r.c.nearest(f.key, sortedKeys(kinds.sections)))
}
