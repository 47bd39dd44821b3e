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

// publish stores events with the numbers from one to below another in a folder
// that nobody else has open.
func publish(ctx context.Context, dir string, from, to int) error {
	b, err := bus.Open(ctx, storeOptions(dir))
	if err != nil {
		return err
	}
	err = publishTo(ctx, b.Source(sourceName), from, to)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if closeErr := b.Close(closing); err == nil {
		err = closeErr
	}
	return err
}

func publishTo(ctx context.Context, out *bus.Out, from, to int) error {
	const batch = 1000
	for ; from < to; from += batch {
		events := make([]event.Event, 0, batch)
		for n := from; n < min(from+batch, to); n++ {
			events = append(events, makeEvent(n, time.Now()))
		}
		if err := out.Publish(ctx, events...); err != nil {
			return err
		}
	}
	return nil
}
