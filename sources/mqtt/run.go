package mqtt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"time"

	"sluice/connect/mqttconn"
	"sluice/event"
	"sluice/sources"
)

// A run is one life of a source. Its fields belong to loop's goroutine, but for
// the channels and the health.
type run struct {
	*source

	out    sources.Out
	health *health
	in     chan item
	over   chan struct{} // closed when nothing more is acknowledged

	memory *memory
	conn   *mqttconn.Conn // the last one; it may be broken
	held   map[uint16]*held
	stuck  stuck
	next   *batch
	again  []*batch // parts of what was too large
	busy   *batch   // being published; nil for none
	ended  chan error
	since  time.Time // when the oldest message of next came

	prefix string // of the ids
	count  uint64
}

// An item is what the goroutine of the connection tells loop.
type item struct {
	message *mqttconn.Message
	release uint16
	linked  *mqttconn.Conn // a new connection
	fresh   chan struct{}  // of a new session: to be closed when that is durable
	topics  map[string]int // what is subscribed to now
}

func newRun(s *source, out sources.Out, m *memory, h *health) *run {
	r := &run{
		source: s, out: out, memory: m,
		health: h,
		in:     make(chan item), over: make(chan struct{}), ended: make(chan error, 1),
		held: map[uint16]*held{}, next: &batch{}, prefix: rand.Text()[:16] + "-",
	}
	for _, id := range m.Received {
		r.held[id] = &held{id: id, qos: 2, published: true}
	}
	return r
}

// loop handles one thing after another.
func (r *run) loop(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	for {
		r.begin(work)
		in := r.in
		if r.next.full() {
			in = nil
		}
		select {
		case <-ctx.Done():
			r.finish(cancel)
			return nil
		case i := <-in:
			r.handle(i)
		case err := <-r.ended:
			if err = r.settle(err); err != nil {
				return err
			}
		}
	}
}

// finish lets a publish that is under way come to its end, so that what it has
// stored is acknowledged.
func (r *run) finish(cancel context.CancelFunc) {
	if r.busy == nil {
		return
	}
	limit := time.AfterFunc(grace, cancel)
	defer limit.Stop()
	_ = r.settle(<-r.ended) // the next run finds out
}

// close ends the last connection; what it is to be told is told.
func (r *run) close() {
	close(r.over)
	if r.conn != nil {
		r.conn.Close()
	}
}

func (r *run) handle(i item) {
	switch {
	case i.message != nil:
		r.take(i.message)
	case i.linked != nil:
		r.link(i)
	case i.topics != nil:
		r.memory.Topics, r.next.dirty = i.topics, true
	default:
		r.release(i.release)
	}
}

// link takes note of a new connection. In a new session no identifier means what
// it did; that has to be durable before anything comes in it.
func (r *run) link(i item) {
	r.conn = i.linked
	if i.fresh == nil {
		return
	}
	for _, h := range r.held {
		h.lost = true
	}
	clear(r.held)
	r.stuck = stuck{}
	r.reportStuck()
	r.next.released = nil
	if r.busy != nil {
		r.busy.released = nil
	}
	for _, b := range r.again {
		b.released = nil
	}
	r.memory.Topics, r.next.dirty = nil, true
	r.next.durable = append(r.next.durable, i.fresh)
}

// take takes a message. One that comes again because it was not acknowledged is
// no new one: its identifier was not free in between.
func (r *run) take(m *mqttconn.Message) {
	if m.QoS == 0 {
		r.add(m, nil)
		return
	}
	if h := r.held[m.ID]; h != nil && h.qos == m.QoS && m.Duplicate {
		if h.published {
			r.acknowledge(h)
		}
		return
	}
	h := &held{id: m.ID, qos: m.QoS}
	r.held[m.ID] = h
	if m.Retain && r.cfg.Version == mqttconn.V311 && r.cfg.Retained == retainedNever {
		h.published = true
		r.acknowledge(h)
		return
	}
	r.add(m, h)
}

func (r *run) add(m *mqttconn.Message, h *held) {
	if len(r.next.events) == 0 {
		r.since = r.env.Now()
	}
	r.count++
	r.next.add(r.event(m, r.prefix+strconv.FormatUint(r.count, 36)), entry{held: h, topic: m.Topic})
	r.measure()
}

// measure updates what Lag tells.
func (r *run) measure() {
	items, oldest := len(r.next.events), r.since
	for _, b := range r.again {
		items += len(b.events)
	}
	if r.busy != nil {
		items += len(r.busy.events)
		oldest = r.busy.since
	}
	r.lag.Store(&lag{items: int64(items), oldest: oldest})
}

// release takes note that the server has an end of an identifier. It is told that
// the identifier is free when the cursor does not have it any more: a message that
// came under it again would be taken for the old one.
func (r *run) release(id uint16) {
	if h := r.held[id]; h != nil && h.qos == 2 {
		if h.published {
			delete(r.held, id)
			r.next.released = append(r.next.released, id)
		}
		return
	}
	pending := slices.Contains(r.next.released, id) || r.busy != nil && slices.Contains(r.busy.released, id)
	for _, b := range r.again {
		pending = pending || slices.Contains(b.released, id)
	}
	if !pending {
		r.conn.Complete(id)
	}
}

// acknowledge tells the server that a message is safe. Over a broken connection it
// cannot: then the message comes again.
func (r *run) acknowledge(h *held) {
	if h.lost || r.conn.Err() != nil {
		return
	}
	r.conn.Acknowledge(&mqttconn.Message{QoS: h.qos, ID: h.id})
	if h.qos == 1 {
		delete(r.held, h.id)
	}
}

// begin publishes what has come, when nothing is being published.
func (r *run) begin(ctx context.Context) {
	switch {
	case r.busy != nil:
		return
	case len(r.again) > 0:
		r.busy, r.again = r.again[0], r.again[1:]
	case !r.next.empty():
		r.busy, r.next = r.next, &batch{}
		r.busy.since = r.since
	default:
		return
	}
	b := r.busy
	r.prepare(b)
	go func() { r.ended <- r.publish(ctx, b) }()
}

// prepare makes the cursor of a batch, when it needs one.
func (r *run) prepare(b *batch) {
	exact := b.dirty || len(b.released) > 0
	received := make([]uint16, 0, len(r.held))
	for _, e := range b.entries {
		if e.held != nil && e.held.qos == 2 && !e.held.lost {
			exact = true
			received = append(received, e.held.id)
		}
	}
	if !exact {
		b.cursor = nil
		return
	}
	for id, h := range r.held {
		if h.qos == 2 && h.published {
			received = append(received, id)
		}
	}
	slices.Sort(received)
	r.memory.Received = slices.Compact(received)
	b.cursor = r.memory.encode()
}

// publish stores a batch.
func (r *run) publish(ctx context.Context, b *batch) error {
	return persist(ctx, r.health, func() error {
		if b.cursor == nil {
			return r.out.Publish(ctx, b.events...)
		}
		return r.out.PublishAt(ctx, r.shard(), b.cursor, b.events...)
	})
}

// settle does what follows from the end of a publish.
func (r *run) settle(err error) error {
	b := r.busy
	r.busy = nil
	defer r.measure()
	switch {
	case err == nil:
		r.settled(b)
	case errors.Is(err, event.ErrTooLarge) && len(b.events) > 1:
		first, second := b.split()
		r.again = append([]*batch{first, second}, r.again...)
	case errors.Is(err, event.ErrTooLarge) && len(b.events) == 1:
		r.leave(b, err)
	default:
		return err
	}
	return nil
}

func (r *run) settled(b *batch) {
	for _, e := range b.entries {
		if e.held != nil {
			e.held.published = true
			r.acknowledge(e.held)
		}
	}
	for _, id := range b.released {
		r.conn.Complete(id)
	}
	for _, c := range b.durable {
		close(c)
	}
}

// leave leaves a message that the bus does not take with the server: it is not
// acknowledged, and so not lost.
func (r *run) leave(b *batch, err error) {
	e := b.entries[0]
	r.env.Logger.Error("a message is too large for the bus",
		slog.String("topic", e.topic), slog.Int("bytes", b.bytes), slog.Bool("stays_with_the_server", e.held != nil), slog.Any("error", err))
	if e.held != nil && !e.held.lost {
		r.stuck.items++
	}
	r.stuck.topic, r.stuck.bytes, r.stuck.lost = e.topic, b.bytes, e.held == nil
	r.stuck.attributes = event.CheckSize(&b.events[0], math.MaxInt) != nil
	r.reportStuck()
	if rest := (&batch{released: b.released, dirty: b.dirty, durable: b.durable}); !rest.empty() {
		r.again = append([]*batch{rest}, r.again...)
	}
}

// A stuck is what is known of messages that the bus does not take.
type stuck struct {
	items      int
	topic      string // the last one's
	bytes      int
	attributes bool // it is its attributes that are too large
	lost       bool
}

func (r *run) reportStuck() {
	s := r.stuck
	why, advice := "the bus does not take events of that size (bus.max_event)", ": raise it and start again"
	if s.attributes {
		why, advice = fmt.Sprintf("its attributes, such as its topic and user properties, are more than the %d bytes that an event may have", event.MaxAttributes), ""
	}
	switch {
	case s.topic == "":
		r.health.set(ofSize, nil)
	case s.lost:
		r.health.set(ofSize, fmt.Errorf("a message of QoS 0 and %d bytes on %q is lost: %s", s.bytes, s.topic, why))
	default:
		r.health.set(ofSize, fmt.Errorf("%d messages stay with the server; the last has %d bytes, on %q: %s%s", s.items, s.bytes, s.topic, why, advice))
	}
}
