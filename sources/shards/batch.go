package shards

import (
	"sluice/event"
	"sluice/sources"
)

// maxBytes is about how many bytes of events are published with one cursor,
// unless one event alone is larger.
const maxBytes = 8 << 20

// A place is a place between two events of a shard: behind a record, or behind
// the first events of it.
type place struct {
	sequence string
	skip     uint32 // 0 for all of the record's events
}

// A batch is what is published together.
type batch struct {
	events []event.Event
	places []place // behind each of them
	end    place
}

// batches divides records into what is published together. Of the record that
// the cursor stands in it leaves out what was published.
func batches(records []Record, from *cursor) []batch {
	var all []batch
	var b batch
	size := 0
	for i := range records {
		r := &records[i]
		first := 0
		if from.Skip > 0 && r.Sequence == from.Sequence {
			first = min(int(from.Skip), len(r.Events))
		}
		for j := first; j < len(r.Events); j++ {
			bytes := event.Size(&r.Events[j])
			if len(b.events) == sources.MaxBatch || (len(b.events) > 0 && size+bytes > maxBytes) {
				all, b, size = append(all, b), batch{}, 0
			}
			at := place{sequence: r.Sequence, skip: uint32(j + 1)}
			if j == len(r.Events)-1 {
				at.skip = 0
			}
			b.events, b.places, b.end = append(b.events, r.Events[j]), append(b.places, at), at
			size += bytes
		}
		b.end = place{sequence: r.Sequence}
	}
	if b.end.sequence != "" {
		all = append(all, b)
	}
	return all
}

// halves divides a batch of several events in two.
func (b *batch) halves() [2]batch {
	middle := len(b.events) / 2
	return [2]batch{
		{events: b.events[:middle], places: b.places[:middle], end: b.places[middle-1]},
		{events: b.events[middle:], places: b.places[middle:], end: b.end},
	}
}
