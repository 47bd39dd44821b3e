// Package mqttconn is one connection to an MQTT server, version 5 or 3.1.1, as
// the source and the sink of that protocol need it: a message is acknowledged
// when its taker says so, however long that takes and over which connection it
// comes again, and what is sent is done when the server has said so.
//
// Packets are encoded and decoded by the packages of Eclipse Paho. Their clients
// are not used: they bound neither the length of a packet nor the time of a
// write, acknowledge QoS 2 by a state of their own, which is gone with the
// process, and end a connection whose reader waits.
package mqttconn

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"time"
)

// A Version of the protocol, as it is written in the file.
type Version string

// The versions.
const (
	V5   Version = "5"
	V311 Version = "3.1.1"
)

// MaxPacket is the largest packet that is taken, in bytes: the largest event
// that a bus may be told to take, and its properties.
const MaxPacket = 64<<20 + 64<<10

// DefaultKeepAlive is how often the server hears of a client that is idle.
const DefaultKeepAlive = 30 * time.Second

// connectTimeout bounds the opening of a connection, up to the server's answer.
const connectTimeout = 10 * time.Second

// Options say how to connect.
type Options struct {
	Server   *url.URL // by ParseURL
	Version  Version
	ClientID string
	// User and Password are sent when User is not empty.
	User, Password string
	TLS            *tls.Config // nil for the system's authorities
	// Dial opens connections; nil for a plain dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// KeepAlive is in whole seconds; 0 for the default.
	KeepAlive time.Duration
	// CleanStart has the server forget what it keeps for the client.
	CleanStart bool
	// SessionExpiry is how long the server is to keep the session when the
	// connection has ended, in whole seconds. Version 3.1.1 does not tell it: there
	// a session without CleanStart is kept for as long as the server likes.
	SessionExpiry time.Duration
	// ReceiveMaximum is how many messages of QoS 1 and 2 the server may send before
	// they are acknowledged; 0 for 65,535. Version 3.1.1 does not tell it.
	ReceiveMaximum uint16
	// MaxPacket is the largest packet that is taken, in bytes, up to MaxPacket; 0
	// for that. A server of version 5 discards larger messages.
	MaxPacket int
	// Take is given each message, in the order in which they came, by one
	// goroutine. While it blocks nothing more is read: the server waits. It returns
	// when ctx ends, which is when the connection breaks, and is not called any more
	// when what Done returns is closed. Nil for a client that does not subscribe.
	Take func(ctx context.Context, m Message)
	// Release is given the ids of messages of QoS 2 that the server has released
	// (PUBREL): answer by Complete. It is called as Take is.
	Release func(ctx context.Context, id uint16)
}

// A Message is what is published.
type Message struct {
	Topic     string
	Payload   []byte
	QoS       byte
	Retain    bool
	Duplicate bool   // of one received: it may have come before
	ID        uint16 // of one received: the packet's identifier, with QoS 1 and 2

	// Properties are those of version 5.
	Properties Properties
}

// Properties go with a message in version 5 (section 3.3.2.3).
type Properties struct {
	ContentType     string
	ResponseTopic   string
	CorrelationData []byte
	UTF8            bool   // the payload is text (Payload Format Indicator)
	Expiry          uint32 // seconds; 0 for never
	User            []Property
}

// A Property is one of the user's. A name may be there several times.
type Property struct{ Name, Value string }

// A Filter is what to subscribe to.
type Filter struct {
	Topic string // with wildcards, or $share/group/ before it
	QoS   byte
	// Retained says which retained messages come, in version 5 (section 3.8.3.1).
	// In 3.1.1 all do, at each subscription.
	Retained Retained
}

// Retained says which retained messages a subscription brings.
type Retained byte

// The choices, by the numbers of the protocol.
const (
	RetainedAlways Retained = 0
	RetainedNew    Retained = 1 // when the session did not have the subscription yet
	RetainedNever  Retained = 2
)
