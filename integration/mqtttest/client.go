package mqtttest

import (
	"context"
	"sync"
	"testing"
	"time"

	"sluice/connect/mqttconn"
)

// As says who a client is, and where.
type As struct {
	URL            string
	Version        mqttconn.Version
	User, Password string
	ClientID       string // empty for one that the server makes, or a plain one
}

func (a As) options(tb testing.TB) mqttconn.Options {
	tb.Helper()
	u, err := mqttconn.ParseURL(a.URL)
	if err != nil {
		tb.Fatal(err)
	}
	return mqttconn.Options{Server: u, Version: a.Version, User: a.User, Password: a.Password, ClientID: a.ClientID, KeepAlive: 5 * time.Second}
}

// A Publisher publishes until the server has what it publishes. It may be used by
// many goroutines at once.
type Publisher struct {
	options mqttconn.Options

	mu   sync.Mutex
	conn *mqttconn.Conn
}

// NewPublisher returns a publisher, which connects when it has to.
func NewPublisher(tb testing.TB, as As) *Publisher {
	tb.Helper()
	p := &Publisher{options: as.options(tb)}
	p.options.CleanStart = true
	tb.Cleanup(p.Close)
	return p
}

// Close ends the connection.
func (p *Publisher) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// Publish returns nil when the server has the message. After an error of the
// connection it publishes the message again.
func (p *Publisher) Publish(ctx context.Context, m *mqttconn.Message) error {
	for {
		err := p.Once(ctx, m)
		if err == nil || mqttconn.HasReason(err, mqttconn.NotAuthorized) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Once publishes a message, or returns why not.
func (p *Publisher) Once(ctx context.Context, m *mqttconn.Message) error {
	conn, err := p.connected(ctx)
	if err != nil {
		return err
	}
	return conn.Publish(ctx, m)
}

func (p *Publisher) connected(ctx context.Context) (*mqttconn.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil && p.conn.Err() == nil {
		return p.conn, nil
	}
	if p.conn != nil {
		p.conn.Close()
	}
	var err error
	p.conn, err = mqttconn.Connect(ctx, p.options)
	return p.conn, err
}

// A Recorder subscribes with a session that the server keeps, connects again when
// its connection has ended, and writes down what comes.
type Recorder struct {
	mu       sync.Mutex
	messages []mqttconn.Message
	ended    chan struct{}
	cancel   context.CancelFunc
}

// Record records what comes on a topic filter until the test ends, or Stop is
// called. It returns when the subscription is there.
func Record(tb testing.TB, as As, filter string, qos byte) *Recorder {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &Recorder{cancel: cancel, ended: make(chan struct{})}
	subscribed := make(chan struct{}, 1)
	o := as.options(tb)
	o.SessionExpiry = time.Hour
	go func() {
		defer close(r.ended)
		for ctx.Err() == nil {
			r.record(ctx, o, mqttconn.Filter{Topic: filter, QoS: qos}, subscribed)
		}
	}()
	tb.Cleanup(r.Stop)
	select {
	case <-subscribed:
	case <-time.After(Patience):
		tb.Fatalf("no subscription to %q", filter)
	}
	return r
}

// record records over one connection.
func (r *Recorder) record(ctx context.Context, o mqttconn.Options, f mqttconn.Filter, subscribed chan<- struct{}) {
	var conn *mqttconn.Conn
	ready := make(chan struct{})
	o.Take = func(_ context.Context, m mqttconn.Message) {
		<-ready
		r.mu.Lock()
		r.messages = append(r.messages, m)
		r.mu.Unlock()
		conn.Acknowledge(&m)
	}
	o.Release = func(_ context.Context, id uint16) { <-ready; conn.Complete(id) }
	var err error
	conn, err = mqttconn.Connect(ctx, o)
	if err != nil {
		wait(ctx, 20*time.Millisecond)
		return
	}
	defer conn.Close()
	close(ready)
	if grants, err := conn.Subscribe(ctx, []mqttconn.Filter{f}); err != nil || grants[0].Err != nil {
		return
	}
	select {
	case subscribed <- struct{}{}:
	default:
	}
	select {
	case <-ctx.Done():
	case <-conn.Done():
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Stop ends the connection.
func (r *Recorder) Stop() {
	r.cancel()
	<-r.ended
}

// Messages returns what has come, in its order.
func (r *Recorder) Messages() []mqttconn.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]mqttconn.Message(nil), r.messages...)
}

// Subscribe begins the session of a client that is not there yet, so that the
// server keeps what is published before it comes.
func Subscribe(tb testing.TB, as As, filter string, qos byte) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	o := as.options(tb)
	o.SessionExpiry = time.Hour
	conn, err := mqttconn.Connect(ctx, o)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	grants, err := conn.Subscribe(ctx, []mqttconn.Filter{{Topic: filter, QoS: qos, Retained: mqttconn.RetainedNever}})
	if err != nil || grants[0].Err != nil {
		tb.Fatal(err, grants)
	}
}
