package bus

import (
	"math"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/nats-io/nats.go/jetstream"
)

// What was taken is kept by whoever has it, and by no reader: messages are large.
func TestWhatWasTakenIsLetGoOf(t *testing.T) {
	b := open(t, small(t))
	var all []weak.Pointer[[]byte]
	r := b.newReader(b.live, b.names.Events, 1, jetstream.OrderedConsumerConfig{}, func(m *stored) any {
		all = append(all, weak.Make(&m.data))
		return &m.data
	})
	const messages, taken = 100, 60
	for i := range messages {
		check(t, r.arrive(&stored{sequence: uint64(i) + 1, data: make([]byte, 100)}))
	}
	equal(t, "taken", len(r.take(math.MaxUint64, taken, math.MaxInt)), taken)
	runtime.GC()
	kept := 0
	for _, one := range all {
		if one.Value() != nil {
			kept++
		}
	}
	equal(t, "kept", kept, messages-taken)
	runtime.KeepAlive(r)
}

// Readers that are closed leave nothing in the server, also those that have only
// just begun.
func TestReadersLeaveNothing(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), samples("a", 100)...))
	for i := range 300 {
		r := b.read(limited(t), b.live, b.names.Events, 1, jetstream.OrderedConsumerConfig{}, b.decoder())
		if i%3 == 0 {
			<-r.ready
		}
		for began := time.Now(); time.Since(began) < time.Duration(i)*time.Microsecond; {
			runtime.Gosched()
		}
		r.close()
	}
	for name := range b.events.ConsumerNames(limited(t)).Name() {
		t.Errorf("the consumer %s is there", name)
	}
	waitFor(t, "end of all connections but that of the bus", func() bool { return running(b).NumClients() == 1 })
}
