package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/bus"
)

const (
	// batchSize is how many events one request has, batchEvents how many times as
	// many are delivered in batches as one by one.
	batchSize   = 100
	batchEvents = 5
)

// batches dispatches many events a request, and reads as many from the bare
// stream.
func (b *bench) batches(ctx context.Context, dir string) error {
	events := b.events * batchEvents
	d, err := b.drain(ctx, b.sluice.with(batchesFile), dir, pathWork, events, 1)
	if err != nil {
		return err
	}
	b.book.add(metricBatches, nameSluice, d.rate)
	b.book.add(metricBatchesCPU, nameSluice, d.cpu)
	bare, err := spawn(ctx, dir, roleBare, b.self, roleBare, "-dir", dir, "-events", strconv.Itoa(events))
	if err != nil {
		return err
	}
	text, err := bare.said(ctx, "consumed")
	if err != nil {
		return err
	}
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return err
	}
	b.book.add(metricBatches, roleFloor, rate)
	return bare.stop(syscall.SIGTERM)
}

func batchesFile(to string) string {
	return theSource + "triggers:\n" + trigger(triggerName, to, eventType, ", mode: batch") + fmt.Sprintf("    batch: {size: %d}\n", batchSize)
}

// runBare reads events as fast as JetStream gives them, does nothing with them,
// and says how many a second that were.
func runBare(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet(roleBare, flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder of the store")
	events := flags.Int("events", 0, "how many events there are")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := bus.Open(ctx, storeOptions(*dir))
	if err != nil {
		return err
	}
	rate, err := consume(ctx, b, *events)
	if err == nil {
		_, err = fmt.Fprintf(stdout, "consumed %.0f\n", rate)
	}
	<-ctx.Done()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	return errors.Join(err, b.Close(closing))
}

func consume(ctx context.Context, b *bus.Bus, events int) (float64, error) {
	consumer, err := b.JetStream().OrderedConsumer(ctx, b.Names().Events, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return 0, err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(4096))
	if err != nil {
		return 0, err
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	var began time.Time
	for n := range events {
		if _, err := messages.Next(); err != nil {
			return 0, err
		}
		if n == events/20 { // as with a dispatch
			began = time.Now()
		}
	}
	return float64(events-events/20) / time.Since(began).Seconds(), nil
}
