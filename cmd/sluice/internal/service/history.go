package service

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"sluice/cmd/sluice/internal/admin"
	"sluice/dlq"
	"sluice/event"
	"sluice/router"
	"sluice/router/pattern"
)

// find returns the trigger that has a name, else one that had it, or nil.
func (w *wiring) find(name string) *router.Trigger {
	at := slices.IndexFunc(w.triggers, func(t router.Trigger) bool { return t.Name == name })
	if at < 0 {
		at = slices.IndexFunc(w.triggers, func(t router.Trigger) bool { return slices.Contains(t.Was, name) })
	}
	if at < 0 {
		return nil
	}
	return &w.triggers[at]
}

// selection is what a filter of history means with the present triggers.
func (s *Service) selection(f *dlq.HistoryFilter) (*dlq.Selection, error) {
	w := s.wiring.Load()
	trigger := w.find(f.Trigger)
	if trigger == nil {
		return nil, unknownTrigger(w, f.Trigger)
	}
	if f.Source != "" && !slices.Contains(trigger.Sources, f.Source) {
		return nil, &dlq.InvalidFilterError{Reason: fmt.Sprintf("the trigger %q is not on a source %q: it is on %v", trigger.Name, f.Source, trigger.Sources)}
	}
	patterns := make([]*pattern.Pattern, 0, 2)
	if trigger.Pattern != nil {
		patterns = append(patterns, trigger.Pattern)
	}
	if len(f.Pattern) > 0 {
		narrower, err := pattern.Compile(f.Pattern)
		if err != nil {
			return nil, &dlq.InvalidFilterError{Reason: fmt.Sprintf("the pattern is invalid: %v", err)}
		}
		patterns = append(patterns, narrower)
	}
	return &dlq.Selection{Trigger: trigger.Name, Sources: trigger.Sources, Takes: s.takes(patterns)}, nil
}

func unknownTrigger(w *wiring, name string) error {
	names := make([]string, 0, len(w.triggers))
	for i := range w.triggers {
		names = append(names, w.triggers[i].Name)
	}
	return &admin.Problem{
		Title: http.StatusText(http.StatusNotFound), Status: http.StatusNotFound, Detail: admin.UnknownName("trigger", name, names),
	}
}

// takes tells whether all patterns match. Data that is kept apart is loaded once,
// and only when one of them looks into it.
func (s *Service) takes(patterns []*pattern.Pattern) func(context.Context, *event.Entry) (bool, error) {
	return func(ctx context.Context, e *event.Entry) (bool, error) {
		doc := pattern.FromStored(e.Event, func(large *event.Large) ([]byte, error) { return s.bus.Body(ctx, large) })
		for _, p := range patterns {
			matches := p.Matches(doc)
			if err := doc.LoadError(); err != nil || !matches {
				return false, err
			}
		}
		lost := doc.Lost()
		return lost == nil, lost
	}
}
