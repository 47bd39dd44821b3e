package mqtt

import (
	"time"

	"sluice/event"
	"sluice/sources"
)

// maxBatchBytes is how many bytes of payload a batch has before it takes no more.
const maxBatchBytes = 4 << 20

// A batch is what is published at once.
type batch struct {
	events  []event.Event
	entries []entry // one for each event
	bytes   int

	// released are identifiers that are free when the cursor does not have them any
	// more.
	released []uint16
	// dirty says that the cursor has to be written in any case.
	dirty bool
	// durable are closed when the batch is.
	durable []chan struct{}

	cursor []byte    // nil when only events are published
	since  time.Time // when the first message came
}

// An entry is the message that an event was made of.
type entry struct {
	held  *held // nil for QoS 0
	topic string
}

// A held is a message of QoS 1 or 2 that the server takes for not acknowledged
// yet.
type held struct {
	id  uint16
	qos byte
	// lost says that the session is gone in which it came: nobody waits for an
	// acknowledgement.
	lost bool
	// published says that its event is durable.
	published bool
}

func (b *batch) add(e event.Event, of entry) {
	b.events, b.entries = append(b.events, e), append(b.entries, of)
	b.bytes += len(e.Data)
}

func (b *batch) empty() bool {
	return len(b.events) == 0 && len(b.released) == 0 && !b.dirty
}

// full says that nothing more is taken. Releases are counted too, so that a server
// that sends nothing else does not fill the memory.
func (b *batch) full() bool {
	return len(b.events) >= sources.MaxBatch || b.bytes >= maxBatchBytes || len(b.released) >= maxPrefetch
}

// split makes two of a batch of several events. What is not an event goes with the
// first.
func (b *batch) split() (first, second *batch) {
	middle := len(b.events) / 2
	first = &batch{released: b.released, dirty: b.dirty, durable: b.durable, since: b.since}
	second = &batch{since: b.since}
	for i := range b.events {
		half := first
		if i >= middle {
			half = second
		}
		half.add(b.events[i], b.entries[i])
	}
	return first, second
}
