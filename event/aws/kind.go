package aws

import "sluice/event"

// A group tells which events go into one payload.
type group struct{ list bool }

func groupOf(*event.Event) group { return group{list: true} }

// aws writes the events in the shape that their type stands for.
func (w *writer) aws(events []*event.Event, _ *Payload) error {
	return w.each(events, (*writer).eventBridge)
}
