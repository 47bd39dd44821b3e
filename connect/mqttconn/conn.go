package mqttconn

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// mostInFlight is how many messages are sent before they are acknowledged,
	// where the server does not want less.
	mostInFlight = 1024
	// mostInFlight3 is the same for version 3.1.1, whose servers cannot say what
	// they want.
	mostInFlight3 = 64
	// writeTimeout is how long a write may take.
	writeTimeout = 30 * time.Second
	// farewell is how long the last packets may take.
	farewell = 2 * time.Second
	// waitingWrites is how many messages wait to be written, at most.
	waitingWrites = 16
	bufferSize    = 32 << 10
)

// The reasons of a connection that has ended by itself.
var (
	ErrClosed = errors.New("the connection is closed")
	errSilent = errors.New("the server was silent for longer than keep_alive")
)

// A Conn is an open connection. Its methods may be called by many goroutines at
// once.
type Conn struct {
	options Options
	codec   codec
	raw     net.Conn
	reader  *bufio.Reader
	welcome welcome
	alive   time.Duration // the keep alive that holds

	slots     chan struct{} // one for each message in flight
	publishes chan []byte
	signal    chan struct{}   // there is something in control
	broken    <-chan struct{} // closed when the connection breaks
	reason    func() error    // why it has
	breakOff  context.CancelCauseFunc
	done      chan struct{}
	heard     atomic.Int64 // when the server was last heard of, in Unix nanoseconds
	taking    atomic.Bool  // the reader waits for whom it gives something to

	mu      sync.Mutex
	control bytes.Buffer // acknowledgements and requests to write
	leaving bool         // the last packet is in control
	waiting map[uint16]*exchange
	lastID  uint16
}

// An exchange is a packet that the server has not answered yet.
type exchange struct {
	want   kind
	answer chan packet // holds the answer
	slot   bool        // it is one of those in flight
}

// Connect opens a connection. Its error is or wraps a *ReasonError when the
// server refuses the client. The connection outlives ctx.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	if o.KeepAlive == 0 {
		o.KeepAlive = DefaultKeepAlive
	}
	if o.MaxPacket == 0 {
		o.MaxPacket = MaxPacket
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	raw, err := dial(ctx, &o)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		options: o, codec: codecOf(o.Version), raw: raw, reader: bufio.NewReaderSize(raw, bufferSize), alive: o.KeepAlive,
		publishes: make(chan []byte, waitingWrites), signal: make(chan struct{}, 1), done: make(chan struct{}), waiting: map[uint16]*exchange{},
	}
	keep := context.AfterFunc(ctx, func() { _ = raw.Close() })
	err = c.hello()
	if !keep() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	c.start() //nolint:contextcheck // the connection outlives the opening
	return c, nil
}

// hello exchanges the first packets.
func (c *Conn) hello() error {
	var b bytes.Buffer
	if err := c.codec.connect(&b, &c.options); err != nil {
		return err
	}
	_, broken := c.raw.Write(b.Bytes())
	f, err := readFrame(c.reader, c.options.MaxPacket)
	if broken != nil && err != nil && !isAlert(err) {
		return fmt.Errorf("sending CONNECT: %w", broken)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the server has closed the connection without an answer to CONNECT: does it speak MQTT %s there? %w", c.options.Version, err)
	}
	if err != nil {
		return fmt.Errorf("waiting for CONNACK: %w", err)
	}
	p, err := decode(c.codec, f)
	switch {
	case err != nil:
		return err
	case p.kind != connack:
		return fmt.Errorf("%w: one of type %d before CONNACK", errMalformed, p.kind)
	}
	c.welcome = p.welcome
	if p.welcome.keepAlive != nil && *p.welcome.keepAlive > 0 {
		c.alive = time.Duration(*p.welcome.keepAlive) * time.Second
	}
	return reasonOf(p.reason, p.text)
}

// isAlert tells whether err is what the server has said by TLS before it closed the
// connection, such as that it wants a certificate: it may have done so before CONNECT
// was written.
func isAlert(err error) bool {
	said, is := errors.AsType[*net.OpError](err)
	return is && said.Op == "remote error"
}

func (c *Conn) start() {
	flight := min(int(c.welcome.receiveMaximum), mostInFlight)
	if c.options.Version == V311 {
		flight = mostInFlight3
	}
	c.slots = make(chan struct{}, flight)
	ctx, breakOff := context.WithCancelCause(context.Background())
	c.broken, c.breakOff, c.reason = ctx.Done(), breakOff, func() error { return context.Cause(ctx) }
	c.heard.Store(time.Now().UnixNano())
	var workers sync.WaitGroup
	workers.Go(func() { c.end(c.read(ctx)) })
	workers.Go(func() {
		if err := c.write(); err != nil {
			c.end(err)
		}
	})
	go func() {
		workers.Wait()
		close(c.done)
	}()
}

// end breaks the connection off. The first reason counts.
func (c *Conn) end(reason error) {
	c.breakOff(reason)
	_ = c.raw.Close()
}

// SessionPresent tells whether the server has kept a session of the client.
func (c *Conn) SessionPresent() bool { return c.welcome.session }

// Done is closed when the connection has ended and Take is not called any more.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection has ended, or nil while it lasts. It is or wraps
// a *ReasonError when the server has said why.
func (c *Conn) Err() error { return c.reason() }

// Close sends what acknowledgements wait to be sent, says goodbye, and waits until
// the server has closed the connection, so that it has read them; two seconds at
// most. It returns when no goroutine is left. Take is given nothing meanwhile.
func (c *Conn) Close() {
	c.mu.Lock()
	if !c.leaving {
		c.leaving = true
		_ = c.codec.disconnect(&c.control) // it is written to memory
	}
	c.mu.Unlock()
	c.wake()
	limit := time.AfterFunc(farewell, func() { c.end(ErrClosed) })
	defer limit.Stop()
	<-c.done
}

// Publish sends a message of QoS 1 or 2, and returns nil when the server has taken
// it (PUBACK, PUBCOMP). Its error is or wraps a *ReasonError when the server
// refuses it. When ctx ends or the connection breaks first, it is not known
// whether the server has the message; it is not sent again by itself.
func (c *Conn) Publish(ctx context.Context, m *Message) error {
	if err := c.permits(m); err != nil {
		return err
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.broken:
		return c.Err()
	}
	want := puback
	if m.QoS == 2 {
		want = pubcomp
	}
	id, x := c.begin(want, true)
	var b bytes.Buffer
	b.Grow(len(m.Payload) + len(m.Topic) + 512)
	if err := c.codec.publish(&b, m, id); err != nil {
		c.settle(id)
		return err
	}
	if limit := int64(c.welcome.maxPacket); limit > 0 && int64(b.Len()) > limit {
		c.settle(id)
		return &ReasonError{Code: PacketTooLarge, Text: fmt.Sprintf("%d bytes, and the server takes %d", b.Len(), limit)}
	}
	select {
	case c.publishes <- b.Bytes():
	case <-ctx.Done():
		c.settle(id)
		return ctx.Err()
	case <-c.broken:
		return c.Err()
	}
	p, err := c.await(ctx, x)
	if err != nil {
		return err
	}
	return reasonOf(p.reason, p.text)
}

// permits tells what the server has said that it does not take.
func (c *Conn) permits(m *Message) error {
	switch {
	case m.QoS > c.welcome.maxQoS:
		return &ReasonError{Code: QoSNotSupported, Text: fmt.Sprintf("the server takes QoS %d at most", c.welcome.maxQoS)}
	case m.Retain && c.welcome.noRetain:
		return &ReasonError{Code: RetainNotSupported}
	}
	return nil
}

// A Grant is a server's answer to one filter.
type Grant struct {
	// QoS is what messages come with at most; it may be less than was asked for.
	QoS byte
	// Err is nil, or a *ReasonError.
	Err error
}

// Subscribe asks for topics, and returns the server's answers in their order.
func (c *Conn) Subscribe(ctx context.Context, filters []Filter) ([]Grant, error) {
	p, err := c.request(ctx, suback, func(w *bytes.Buffer, id uint16) error { return c.codec.subscribe(w, filters, id) })
	if err != nil {
		return nil, err
	}
	if len(p.reasons) != len(filters) {
		return nil, fmt.Errorf("%w: SUBACK with %d answers to %d filters", errMalformed, len(p.reasons), len(filters))
	}
	grants := make([]Grant, len(filters))
	for i, code := range p.reasons {
		grants[i] = Grant{QoS: code & 3, Err: reasonOf(code, p.text)}
	}
	return grants, nil
}

// Unsubscribe ends subscriptions, also those that the session does not have.
func (c *Conn) Unsubscribe(ctx context.Context, topics []string) error {
	p, err := c.request(ctx, unsuback, func(w *bytes.Buffer, id uint16) error { return c.codec.unsubscribe(w, topics, id) })
	if err != nil {
		return err
	}
	for _, code := range p.reasons {
		err = errors.Join(err, reasonOf(code, p.text))
	}
	return err
}

// request sends a packet that is not counted as one in flight.
func (c *Conn) request(ctx context.Context, want kind, encode func(*bytes.Buffer, uint16) error) (packet, error) {
	id, x := c.begin(want, false)
	c.mu.Lock()
	err := ErrClosed
	if !c.leaving { // nothing comes behind the goodbye
		err = encode(&c.control, id)
	}
	c.mu.Unlock()
	if err != nil {
		c.settle(id)
		return packet{}, err
	}
	c.wake()
	return c.await(ctx, x)
}

// await returns the answer. An exchange that is given up keeps its identifier
// until the server answers.
func (c *Conn) await(ctx context.Context, x *exchange) (packet, error) {
	select {
	case p := <-x.answer:
		return p, nil
	case <-ctx.Done():
		return packet{}, ctx.Err()
	case <-c.broken:
	}
	select {
	case p := <-x.answer: // it came before the end
		return p, nil
	default:
		return packet{}, c.Err()
	}
}

// Acknowledge tells the server that a message of QoS 1 or 2 is safe: PUBACK, or
// PUBREC. It returns before that is sent. After the connection has broken it does
// nothing: the server sends the message again.
func (c *Conn) Acknowledge(m *Message) {
	switch m.QoS {
	case 1:
		c.reply(puback, m.ID)
	case 2:
		c.reply(pubrec, m.ID)
	}
}

// Complete tells the server that the identifier of a released message is free
// (PUBCOMP).
func (c *Conn) Complete(id uint16) { c.reply(pubcomp, id) }

func (c *Conn) reply(k kind, id uint16) {
	c.mu.Lock()
	if !c.leaving {
		_ = c.codec.acknowledge(&c.control, k, id) // it is written to memory
	}
	c.mu.Unlock()
	c.wake()
}

func (c *Conn) wake() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// begin takes an identifier that is free. There are more of them than may be in
// flight.
func (c *Conn) begin(want kind, slot bool) (uint16, *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		c.lastID++
		if c.lastID != 0 && c.waiting[c.lastID] == nil {
			break
		}
	}
	x := &exchange{want: want, answer: make(chan packet, 1), slot: slot}
	c.waiting[c.lastID] = x
	return c.lastID, x
}

// settle ends an exchange, and frees its identifier.
func (c *Conn) settle(id uint16) *exchange {
	c.mu.Lock()
	x := c.waiting[id]
	delete(c.waiting, id)
	c.mu.Unlock()
	if x != nil && x.slot {
		<-c.slots
	}
	return x
}
