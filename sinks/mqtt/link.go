package mqtt

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"

	"sluice/connect/mqttconn"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
	"sluice/sinks/internal/link"
)

// mostAnswer is the largest packet that is taken: a publisher is sent answers only.
const mostAnswer = 1 << 20

func newLink(c *Config, env sinks.Env) (*link.Link[*mqttconn.Conn], error) {
	o, err := c.Options()
	if err != nil {
		return nil, err
	}
	o.CleanStart, o.MaxPacket = true, mostAnswer
	o.Dial = c.Egress.Guard(env.Egress).Dialer(0).DialContext
	return link.New(func(ctx context.Context) (*mqttconn.Conn, error) {
		as := o
		as.ClientID = cmp.Or(o.ClientID, clientID())
		conn, err := mqttconn.Connect(ctx, as)
		if err != nil {
			return nil, connectError(c.Explain(err, as.ClientID))
		}
		return conn, nil
	}), nil
}

// clientID makes the client id of one connection: 23 letters and digits, which every
// server takes. None is used again, since nats-server keeps messages of QoS 2 that
// were not released (PUBREL) when a connection broke, through a clean session
// too, and takes one of them for the new message that has its identifier.
func clientID() string { return "sluice" + rand.Text()[:17] }

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
