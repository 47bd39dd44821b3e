package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"sluice/bus"
	"sluice/event"
)

const (
	idPrefix  = "b-"
	eventType = "bench.order.placed"
	// dataSize is the length of an event's data, in bytes.
	dataSize = 256
)

// data returns JSON of the right size, which is different for each event.
func data(n int) []byte {
	text := `{"order":` + strconv.Itoa(n) + `,"note":"`
	return []byte(text + strings.Repeat("x", dataSize-len(text)-len(`"}`)) + `"}`)
}

func eventID(n int) string { return idPrefix + strconv.Itoa(n) }

func makeEvent(n int, at time.Time) event.Event {
	return event.Event{
		ID: eventID(n), Source: "/bench", Type: eventType, Time: at, DataContentType: "application/json", Data: data(n),
	}
}

// publish stores events with the numbers from 0 to n-1 in a folder that nobody
// else has open.
func publish(ctx context.Context, dir string, n int) error {
	b, err := bus.Open(ctx, storeOptions(dir))
	if err != nil {
		return err
	}
	err = fill(ctx, b.Source(sourceName), n)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if closeErr := b.Close(closing); err == nil {
		err = closeErr
	}
	return err
}

func fill(ctx context.Context, out *bus.Out, n int) error {
	const batch = 1000
	for from := 0; from < n; from += batch {
		events := make([]event.Event, 0, batch)
		for i := from; i < min(from+batch, n); i++ {
			events = append(events, makeEvent(i, time.Now()))
		}
		if err := out.Publish(ctx, events...); err != nil {
			return err
		}
	}
	return nil
}
