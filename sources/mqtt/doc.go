// Package mqtt is the source that subscribes to topics of an MQTT server, version
// 5 or 3.1.1. The server keeps the session while the source is away, and each
// message until the source has acknowledged it, which it does when the event is
// durable.
//
// A message of QoS 2 becomes one event, whatever happens: the identifiers of
// those that were published and that the server has not released yet are stored
// together with their events, as the specification wants it of a receiver (MQTT
// 5, section 4.3.3). One of QoS 1 is published again when its acknowledgement was
// lost, since nothing in the protocol tells it from a new one that looks alike.
//
// Three goroutines work for a source: the connection's reader gives messages, one
// connects and subscribes, and run.loop does everything else, so that what it
// knows needs no lock. Events are published in batches, one after the other, while
// the next batch fills.
package mqtt
