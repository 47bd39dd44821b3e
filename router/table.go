package router

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"sluice/event"
	"sluice/router/core"
	"sluice/router/pattern"
	"sluice/sinks"
)

// unroutable is the name of the trigger that takes what nobody else can:
// stored messages that are no events, and entries for triggers that are gone.
// Its sink always refuses, so that each becomes a letter.
const unroutable = "_unroutable"

// A table is what the triggers of one configuration look like from outside of
// the core. It is never changed.
type table struct {
	version  uint64
	triggers map[uint32]*Trigger
	numbers  map[string]uint32
	index    *pattern.Index
	keyings  map[uint32]*keying // of the triggers that need keys
}

// configuration turns triggers into an input for the core, and keeps them for
// when the core has numbered them.
func (r *Router) configuration(triggers []Trigger) (core.Configure, error) {
	all := append(slices.Clone(triggers), r.lost())
	seen := map[string]bool{}
	in := core.Configure{Version: r.version.Add(1)}
	for i := range all {
		t := &all[i]
		if seen[t.Name] {
			return in, fmt.Errorf("trigger %q is configured twice", t.Name)
		}
		seen[t.Name] = true
		if t.Sink == nil {
			return in, fmt.Errorf("trigger %q has no sink", t.Name)
		}
		if t.ReplyAs != "" && r.options.Replies == nil {
			return in, fmt.Errorf("trigger %q publishes replies, and there is nowhere to publish them", t.Name)
		}
		if err := r.checkResults(t, all); err != nil {
			return in, err
		}
		t.setDefaults()
		in.Triggers = append(in.Triggers, core.Trigger{
			Name: t.Name, Was: t.Was, Fingerprint: t.fingerprint(), Concurrency: t.Concurrency * max(1, t.Batch.Size), Batch: t.Batch.Size, Buffer: t.Buffer, Retry: t.Retry,
			Flow: t.flow(), KeySpec: t.keying().spec(),
		})
	}
	r.upcoming.Store(&upcoming{version: in.Version, triggers: all})
	return in, nil
}

// checkResults tells what is missing for the results of a trigger.
func (r *Router) checkResults(t *Trigger, all []Trigger) error {
	for _, result := range []*Result{t.OnSuccess, t.OnFailure} {
		switch {
		case result == nil:
		case r.options.Results == nil:
			return fmt.Errorf("trigger %q tells of its results, and there is nowhere to publish them", t.Name)
		case !slices.ContainsFunc(all, func(other Trigger) bool { return other.Name == result.Trigger }):
			return fmt.Errorf("trigger %q tells the trigger %q of its results, and there is none", t.Name, result.Trigger)
		}
	}
	return nil
}

// begin finds where those triggers begin that are not among the known ones and
// do not start from now on. What all is made of stands first in it.
func (r *Router) begin(ctx context.Context, all []core.Trigger, triggers []Trigger, known []string) error {
	for i := range triggers {
		t := &triggers[i]
		isKnown := func(name string) bool { return slices.Contains(known, name) }
		if t.Since.IsZero() || isKnown(t.Name) || slices.ContainsFunc(t.Was, isKnown) {
			continue
		}
		from, err := r.options.Log.FirstSince(ctx, t.Since)
		if err != nil {
			return fmt.Errorf("find where the trigger %q begins: %w", t.Name, err)
		}
		all[i].From = from
		r.logger.Info("trigger begins in the past", slog.String("trigger", t.Name), slog.Time("since", t.Since), slog.Uint64("sequence", from))
	}
	return nil
}

// upcoming are the triggers of the newest configuration, before they have
// numbers.
type upcoming struct {
	version  uint64
	triggers []Trigger
}

// flow is what holds for deliveries: of each attempt there are several in a batch.
func (t *Trigger) flow() core.Flow {
	flow := t.Flow
	flow.PerKey *= max(1, t.Batch.Size)
	return flow
}

func (r *Router) lost() Trigger {
	return Trigger{Name: unroutable, Sink: refuse{}, Concurrency: 1, Buffer: 16, Retry: core.RetryPolicy{Attempts: 1}}
}

func (t *Trigger) setDefaults() {
	if t.Timeout == 0 {
		t.Timeout = 30 * time.Second
	}
	if t.Concurrency == 0 {
		t.Concurrency = 10
	}
	if t.Buffer == 0 {
		t.Buffer = 1024
	}
	t.held = newHold(modestShare, bulkyShare)
	if t.Retry.Attempts == 0 {
		t.Retry.Attempts = 5
	}
	if t.Retry.Initial == 0 {
		t.Retry.Initial = time.Second
	}
	if t.Retry.Max == 0 {
		t.Retry.Max = 5 * time.Minute
	}
}

// fingerprint stands for what the trigger matches.
func (t *Trigger) fingerprint() string {
	var text []byte
	if t.Directed {
		text = append(text, "directed"...)
	}
	for _, source := range slices.Sorted(slices.Values(t.Sources)) {
		text = fmt.Appendf(text, "%d:%s", len(source), source)
	}
	if t.Pattern != nil {
		text = fmt.Appendf(text, "|%s", t.Pattern.Fingerprint())
	}
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:8])
}

// indexed makes the table for a configuration that the core has numbered. Of the
// index before, what has not changed is kept.
func (r *Router) indexed(out core.Indexed) {
	next := r.upcoming.Load()
	if next == nil || next.version != out.Version {
		return // a newer configuration is on its way
	}
	t := &table{version: out.Version, triggers: map[uint32]*Trigger{}, keyings: map[uint32]*keying{}}
	var entries []pattern.Entry
	for i := range next.triggers {
		trigger := &next.triggers[i]
		id := out.Numbers[trigger.Name]
		t.triggers[id] = trigger
		if k := trigger.keying(); k != nil {
			t.keyings[id] = k
		}
		if trigger.Name != unroutable && !trigger.Directed {
			entries = append(entries, pattern.Entry{ID: int(id), Sources: trigger.Sources, Pattern: trigger.Pattern})
		}
	}
	t.alias(next.triggers, out.Numbers)
	var before *pattern.Index
	if old := r.configured.Load(); old != nil {
		before = old.index
	}
	t.index = before.Update(entries)
	r.configured.Store(t)
}

// alias lets entries that were directed to a trigger under a former name reach
// it.
func (t *table) alias(triggers []Trigger, numbers map[string]uint32) {
	t.numbers = maps.Clone(numbers)
	for i := range triggers {
		for _, was := range triggers[i].Was {
			if _, taken := t.numbers[was]; !taken {
				t.numbers[was] = numbers[triggers[i].Name]
			}
		}
	}
}

// match turns a stretch of the log into what the core takes. The entry is the body
// of what matches. It fails when data that a pattern asks for cannot be had now.
func (t *table) match(entries []*event.Entry, load pattern.Loader) ([]core.Entry, error) {
	var numbers []uint32
	var found []int
	var matched []core.Entry
	for i, e := range entries {
		start, doc := len(numbers), t.doc(e, load)
		var err error
		if found, numbers, err = t.matchOne(e, doc, found[:0], numbers); err != nil {
			return nil, err
		}
		if start == len(numbers) {
			continue
		}
		if matched == nil {
			matched = make([]core.Entry, 0, len(entries)-i)
		}
		entry := core.Entry{Sequence: e.Sequence, Size: e.Size, Triggers: numbers[start:len(numbers):len(numbers)], Body: e}
		if entry.Keys, err = t.keysOf(e, doc, entry.Triggers); err != nil {
			return nil, err
		}
		matched = append(matched, entry)
	}
	return matched, nil
}

// doc returns the document of an entry whose data is kept apart, so that it is
// loaded once; else nil.
func (t *table) doc(e *event.Entry, load pattern.Loader) *pattern.Doc {
	if e.Err != nil || e.Event.Large == nil {
		return nil
	}
	return pattern.FromStored(e.Event, load)
}

// matchOne appends the numbers of the triggers that one entry goes to. A panic
// in our own code makes it a letter, not a crash (invariant I7).
func (t *table) matchOne(e *event.Entry, doc *pattern.Doc, found []int, numbers []uint32) (_ []int, result []uint32, err error) {
	result = numbers
	defer func() {
		if p := recover(); p != nil {
			e.Err = fmt.Errorf("matching the event panicked: %v", p)
			result = append(numbers, t.numbers[unroutable])
		}
	}()
	switch {
	case e.Err != nil:
		return found, append(numbers, t.numbers[unroutable]), nil
	case e.Trigger != "":
		id, known := t.numbers[e.Trigger]
		if !known {
			id = t.numbers[unroutable]
		}
		return found, append(numbers, id), nil
	case doc != nil:
		found = t.index.MatchDoc(e.Source, doc, found)
		if err := doc.LoadError(); err != nil {
			return found, numbers, err
		}
	default:
		found = t.index.Match(e.Source, e.Event, found)
	}
	for _, id := range found {
		numbers = append(numbers, uint32(id))
	}
	return found, numbers, nil
}

// refuse is the sink of what cannot be delivered.
type refuse struct{}

// Deliver always refuses.
func (refuse) Deliver(context.Context, sinks.Attempt) (sinks.Response, error) {
	return sinks.Response{}, sinks.Permanent(errUnroutable)
}

var errUnroutable = errors.New("the entry is for a trigger that is not configured")
