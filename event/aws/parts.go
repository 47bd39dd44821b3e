package aws

import "sluice/event"

// A Part is what one invocation takes of a batch.
type Part struct {
	// Indexes are those of its events in the batch, rising. They belong to
	// Payload.Identifiers, and to the indexes that Failed returns.
	Indexes []int
	Payload Payload
	// Err is why the event, a single one, cannot be given to a function: a
	// *TooLargeError or an *EventError. Another try fails alike.
	Err error
}

// Parts makes the payloads of a batch: one where that is possible, several when
// the events have shapes that do not go together, or are too large for one. An
// event that fits into none is a part with an error.
func Parts(shape Shape, events []*event.Event, opts Options) []Part {
	all := make([]int, len(events))
	for i := range events {
		all[i] = i
	}
	var parts []Part
	for _, group := range groups(shape, events, all, opts.withDefaults()) {
		parts = split(parts, shape, events, group, opts)
	}
	return parts
}

// split appends the parts of events that go together.
func split(parts []Part, shape Shape, events []*event.Event, indexes []int, opts Options) []Part {
	chosen := make([]*event.Event, len(indexes))
	for i, index := range indexes {
		chosen[i] = events[index]
	}
	payload, err := Encode(shape, chosen, opts)
	if err == nil || len(indexes) == 1 {
		return append(parts, Part{Indexes: indexes, Payload: payload, Err: err})
	}
	cut := middle(chosen)
	parts = split(parts, shape, events, indexes[:cut], opts)
	return split(parts, shape, events, indexes[cut:], opts)
}

// middle returns before which of the events about half of their bytes are.
func middle(events []*event.Event) int {
	sum, half := 0, estimate(events)/2
	for i, e := range events {
		if sum += event.Size(e); sum > half {
			return min(max(i, 1), len(events)-1)
		}
	}
	return len(events) / 2
}

// groups returns the indexes of the events that go into one payload each, in
// the order of their first.
func groups(shape Shape, events []*event.Event, all []int, opts Options) [][]int {
	if shape != ShapeAWS {
		return [][]int{all}
	}
	found := map[group]int{}
	var groups [][]int
	for _, i := range all {
		key := opts.groupOf(events[i])
		at, known := found[key]
		if !known {
			at = len(groups)
			found[key] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}
