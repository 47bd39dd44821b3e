package mqtt

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"sluice/connect/mqttconn"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// mostAnswer is the largest packet that is taken: a publisher is sent answers only.
const mostAnswer = 1 << 20

var errClosed = errors.New("the sink is closed")

// A link is the one connection of a sink. It is opened when a delivery needs it,
// and again when it has broken.
type link struct {
	connect func() (*mqttconn.Conn, error)
	stop    func() // breaks off a connect that is under way

	mu      sync.Mutex
	conn    *mqttconn.Conn // nil until there is one; it may be broken
	dialing *dialing
	closed  bool
}

// A dialing is one call of connect, for all that wait for it.
type dialing struct {
	done chan struct{}
	conn *mqttconn.Conn
	err  error
}

func newLink(c *Config, env sinks.Env) (*link, error) {
	o, err := c.Options()
	if err != nil {
		return nil, err
	}
	o.ClientID = cmp.Or(o.ClientID, "sluice"+rand.Text()[:17]) // 23 letters and digits, which every server takes
	o.CleanStart, o.MaxPacket = true, mostAnswer
	o.Dial = sinkhttp.NewGuard(cmp.Or(c.Egress, sinkhttp.Egress(env.Egress), sinkhttp.EgressAny)).Dialer(0).DialContext
	ctx, stop := context.WithCancel(context.Background())
	connect := func() (*mqttconn.Conn, error) {
		conn, err := mqttconn.Connect(ctx, o)
		if err != nil {
			return nil, connectError(c.Explain(err, o.ClientID))
		}
		return conn, nil
	}
	return &link{connect: connect, stop: stop}, nil
}

// connectError is that of a connection that was not made.
func connectError(err error) error {
	if refused, is := errors.AsType[*sinkhttp.RefusedError](err); is {
		return sinks.Permanent(refused)
	}
	return &connectingError{err: err}
}

// A connectingError says that no message was sent: what the server refuses then is
// the client.
type connectingError struct{ err error }

func (e *connectingError) Error() string { return "connecting: " + e.err.Error() }
func (e *connectingError) Unwrap() error { return e.err }

// get returns the connection, and opens it first when there is none. Those that
// wait meanwhile share what comes of it.
func (l *link) get(ctx context.Context) (*mqttconn.Conn, error) {
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return nil, errClosed
	case l.conn != nil && l.conn.Err() == nil:
		defer l.mu.Unlock()
		return l.conn, nil
	}
	d := l.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		l.dialing = d
		go l.dial(d, l.conn) //nolint:contextcheck // it serves others too, and ends with the sink
	}
	l.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, fmt.Errorf("while connecting: %w", ctx.Err())
	}
}

// dial opens a connection in the place of one that has broken.
func (l *link) dial(d *dialing, broken *mqttconn.Conn) {
	if broken != nil {
		broken.Close()
	}
	d.conn, d.err = l.connect()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.dialing = d.conn, nil
	close(d.done)
}

// close ends the connection.
func (l *link) close() {
	l.stop()
	l.mu.Lock()
	l.closed = true
	d := l.dialing
	l.mu.Unlock()
	if d != nil {
		<-d.done
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.conn.Close()
	}
}
