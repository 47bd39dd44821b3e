// Package nats is the source of messages of NATS: of a stream of JetStream, or
// of core subjects.
//
// Without a consumer of its own the source reads a stream by one that lives as
// long as a connection, and keeps where it is in a cursor that is stored together
// with the events. So nothing is doubled or lost by any kill. A stream is told
// from another of the same name by when it was created.
//
// With a durable consumer messages are shared out among those who use it, and
// acknowledged when they are durable.
//
// Core subjects keep nothing: what is published while nobody listens is gone, and
// so is what a listener has received and not yet made durable when it dies.
package nats
