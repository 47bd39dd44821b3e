package service

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"sluice/cmd/sluice/internal/admin"
	"sluice/config"
	"sluice/event/transform"
	"sluice/router"
	"sluice/router/core"
	"sluice/router/pattern"
	"sluice/sinks"
)

// A wiring is what the triggers of one configuration were made into. It is not
// changed any more.
type wiring struct {
	file          *config.File
	sinks         sinkSet
	triggers      []router.Trigger
	subscriptions []admin.Subscription
	index         *pattern.Index
}

// wire makes the triggers of a file. It keeps the sinks of before, which may be
// nil, where they have not changed.
func wire(file *config.File, before *wiring, now time.Time, env sinks.Env) (*wiring, error) {
	var old sinkSet
	var index *pattern.Index
	if before != nil {
		old, index = before.sinks, before.index
	}
	made, err := buildSinks(file, old, env)
	if err != nil {
		return nil, err
	}
	w := &wiring{file: file, sinks: made}
	all := allTriggers(file)
	entries := make([]pattern.Entry, 0, len(all))
	for i := range all {
		trigger, err := w.trigger(&all[i], now)
		if err != nil {
			made.retireExcept(old)
			return nil, err
		}
		w.triggers = append(w.triggers, trigger)
		w.subscriptions = append(w.subscriptions, admin.Subscription{
			Trigger: trigger.Name, Sources: trigger.Sources, Pattern: trigger.Pattern, Publishes: trigger.ReplyAs,
		})
		if !trigger.Directed {
			entries = append(entries, pattern.Entry{ID: i, Sources: trigger.Sources, Pattern: trigger.Pattern})
		}
	}
	w.index = index.Update(entries)
	return w, nil
}

// allTriggers are those of a file, and those that its functions bring with them.
func allTriggers(file *config.File) []config.Trigger {
	return slices.Concat(file.Triggers, file.Implied())
}

func (w *wiring) trigger(t *config.Trigger, now time.Time) (router.Trigger, error) {
	made := router.Trigger{
		Name: t.Name, Was: t.Was, Since: t.Start.Time(now), Sources: slices.Clone(t.On), Directed: len(t.On) == 0, Sink: w.sinks.of(t),
		Timeout: time.Duration(t.Timeout), Concurrency: t.Concurrency,
		Retry: core.RetryPolicy{
			Attempts: t.Retry.Attempts, Initial: time.Duration(t.Retry.Initial),
			Max: time.Duration(t.Retry.Max), MaxAge: time.Duration(t.Retry.MaxAge), Steady: t.Retry.Steady,
		},
	}
	if replying, ok := made.Sink.(*lentSink).config.Section.(interface{ Replies() bool }); ok && replying.Replies() {
		made.ReplyAs = cmp.Or(t.Function, t.Name)
	}
	if f := functionOf(w.file, t.Function); f != nil && f.Run != nil {
		made.OnSuccess = result(w.file, f, config.SuffixOnSuccess, &f.Run.OnSuccess)
		made.OnFailure = result(w.file, f, config.SuffixOnFailure, &f.Run.OnFailure)
	}
	if t.Batch != nil {
		made.Batch = router.Batch{Size: t.Batch.Size, Window: time.Duration(t.Batch.Window), Bytes: int64(t.Batch.Bytes)}
		made.Keys.Batch = fields(t.Batch.Key)
	}
	flow(&made, &t.Flow)
	if t.Transform != nil {
		compiled, err := transform.FromValue(t.Transform.Value())
		if err != nil {
			return made, fmt.Errorf("trigger %q: transform: %w", t.Name, err)
		}
		made.Transform = compiled
	}
	if t.When == nil {
		return made, nil
	}
	compiled, err := pattern.FromValue(t.When.Value())
	if err != nil {
		return made, fmt.Errorf("trigger %q: when: %w", t.Name, err)
	}
	made.Pattern = compiled
	return made, nil
}

// Changes are what a reload has changed, by name.
type Changes struct {
	Sources, Triggers Difference
	// Restart names the sections that changed and are read at the start only.
	Restart []string
}

// A Difference compares two lists of names. Renamed are pairs such as "old to
// new", which are neither added nor removed.
type Difference struct{ Added, Renamed, Changed, Removed []string }

// Empty tells whether nothing has changed.
func (c *Changes) Empty() bool {
	return c.Sources.empty() && c.Triggers.empty() && len(c.Restart) == 0
}

func (d *Difference) empty() bool {
	return len(d.Added)+len(d.Renamed)+len(d.Changed)+len(d.Removed) == 0
}

func (d Difference) String() string {
	text := ""
	for _, part := range []struct {
		verb  string
		names []string
	}{{"added", d.Added}, {"renamed", d.Renamed}, {"changed", d.Changed}, {"removed", d.Removed}} {
		for _, name := range part.names {
			if text != "" {
				text += ", "
			}
			text += part.verb + " " + name
		}
	}
	return text
}

// rename finds the triggers that have gone and go on under another name.
func (d *Difference) rename(triggers []config.Trigger) {
	for i := range triggers {
		t := &triggers[i]
		at := slices.IndexFunc(d.Removed, func(name string) bool { return slices.Contains(t.Was, name) })
		if at < 0 || !slices.Contains(d.Added, t.Name) {
			continue
		}
		d.Renamed = append(d.Renamed, d.Removed[at]+" to "+t.Name)
		d.Removed = slices.Delete(d.Removed, at, at+1)
		d.Added = slices.DeleteFunc(d.Added, func(name string) bool { return name == t.Name })
	}
}

// compare tells what differs between two files.
func compare(before, after *config.File) Changes {
	changes := Changes{
		Sources: difference(before.Sources, after.Sources, func(s *config.Source) string { return s.Name }, func(a, b *config.Source) bool {
			return a.Kind == b.Kind && sameSection(a.Section, b.Section)
		}),
		Triggers: difference(allTriggers(before), allTriggers(after), func(t *config.Trigger) string { return t.Name }, func(a, b *config.Trigger) bool {
			return sameTrigger(before, after, a, b)
		}),
	}
	changes.Triggers.rename(after.Triggers)
	for _, section := range []struct {
		name string
		same bool
	}{
		{"bus", sameSection(before.Bus, after.Bus)},
		{"ingest", sameSection(withoutKeys(before.Ingest), withoutKeys(after.Ingest))},
		{"admin", sameSection(before.Admin, after.Admin)},
		{"logs", sameSection(before.Logs, after.Logs)},
	} {
		if !section.same {
			changes.Restart = append(changes.Restart, section.name)
		}
	}
	return changes
}

func difference[T any](before, after []T, name func(*T) string, same func(a, b *T) bool) Difference {
	var d Difference
	for i := range after {
		at := slices.IndexFunc(before, func(b T) bool { return name(&b) == name(&after[i]) })
		switch {
		case at < 0:
			d.Added = append(d.Added, name(&after[i]))
		case !same(&before[at], &after[i]):
			d.Changed = append(d.Changed, name(&after[i]))
		}
	}
	for i := range before {
		if !slices.ContainsFunc(after, func(a T) bool { return name(&a) == name(&before[i]) }) {
			d.Removed = append(d.Removed, name(&before[i]))
		}
	}
	return d
}

// sameTrigger compares two triggers with the functions that they name, and with
// what holds for the sinks of all.
func sameTrigger(before, after *config.File, a, b *config.Trigger) bool {
	x, y := *a, *b
	x.Pos, y.Pos, x.When, y.When, x.Transform, y.Transform = config.Pos{}, config.Pos{}, nil, nil, nil, nil
	return before.Egress == after.Egress && sameSection(x, y) && sameNode(a.When, b.When) && sameNode(a.Transform, b.Transform) && sameSection(sinkOf(before, a.Function), sinkOf(after, b.Function))
}

func sameNode(a, b *config.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, errX := a.MarshalJSON()
	y, errY := b.MarshalJSON()
	return errX == nil && errY == nil && string(x) == string(y)
}

// functionOf returns a function by its name, or nil.
func functionOf(file *config.File, name string) *config.Function {
	for i := range file.Functions {
		if file.Functions[i].Name == name {
			return &file.Functions[i]
		}
	}
	return nil
}

func sinkOf(file *config.File, name string) any {
	if f := functionOf(file, name); f != nil {
		return f.Sink
	}
	return nil
}
