package amqp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/rabbitmq/amqp091-go"

	"sluice/connect/amqpconn"
	"sluice/event"
	"sluice/sources"
)

// The bounds of what is published in one call. They keep the memory of the bus in
// check, and let the next messages come while it is being stored.
const (
	maxEvents = 500
	maxBytes  = 8 << 20
)

// publish publishes what is received, in its order, and acknowledges what is
// stored, until ctx ends or nothing more is received.
func (c *consumer) publish(ctx context.Context, out sources.Out) error {
	// What is under way when ctx ends may be finished, so that it does not come
	// twice.
	storing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	for ended := false; ctx.Err() == nil; {
		if batch := c.take(); len(batch) > 0 {
			if err := c.store(ctx, storing, out, batch); err != nil {
				return err
			}
			continue
		}
		if ended {
			return c.why
		}
		select {
		case <-c.wake:
		case <-c.done:
			ended = true // there may be something yet
		case <-ctx.Done():
		}
	}
	return nil
}

// take removes the next messages from what is received; none when the channel has
// gone, as the broker then gives them to somebody again.
func (c *consumer) take() (batch []amqp091.Delivery) {
	if c.channel.IsClosed() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, bytes := 0, 0
	for n < len(c.received) && n < maxEvents && (n == 0 || bytes+size(&c.received[n]) <= maxBytes) {
		bytes += size(&c.received[n])
		n++
	}
	batch = c.received[:n:n]
	if c.received = c.received[n:]; len(c.received) == 0 {
		c.received = nil
	}
	return batch
}

// store publishes messages until they are durable, and acknowledges them.
func (c *consumer) store(ctx, storing context.Context, out sources.Out, batch []amqp091.Delivery) error {
	events := make([]event.Event, len(batch))
	for i := range batch {
		events[i] = c.maker.make(&batch[i], c.session)
	}
	return c.storeSome(ctx, storing, out, batch, events)
}

// storeSome halves what has an event that is too large in it until that one is
// found.
func (c *consumer) storeSome(ctx, storing context.Context, out sources.Out, batch []amqp091.Delivery, events []event.Event) error {
	err := c.persist(ctx, storing, out, events)
	switch half := len(batch) / 2; {
	case err == nil:
		return c.settle(batch, func(d *amqp091.Delivery, multiple bool) error { return d.Ack(multiple) })
	case !errors.Is(err, event.ErrTooLarge):
		return err
	case half > 0:
		if err := c.storeSome(ctx, storing, out, batch[:half], events[:half]); err != nil {
			return err
		}
		return c.storeSome(ctx, storing, out, batch[half:], events[half:])
	}
	return c.refuse(&batch[0], err)
}

// persist tries again until the events are durable, one is too large, ctx ends or
// the channel has gone.
func (c *consumer) persist(ctx, storing context.Context, out sources.Out, events []event.Event) error {
	pause := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstRetry), backoff.WithMaxInterval(maxRetry), backoff.WithMaxElapsedTime(0))
	for {
		err := out.Publish(storing, events...)
		if err == nil || errors.Is(err, event.ErrTooLarge) {
			c.health.set(busPart, nil)
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.health.set(busPart, err)
		if gone := c.wait(ctx, pause.NextBackOff()); gone != nil {
			return gone
		}
	}
}

// wait returns an error at once when ctx ends or the channel does.
func (c *consumer) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for done := c.done; ; done = nil {
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			if c.channel.IsClosed() {
				return c.why
			}
		}
	}
}

// settle says to the broker what has become of messages: all up to the last one
// at once where none before them is held.
func (c *consumer) settle(batch []amqp091.Delivery, say func(d *amqp091.Delivery, multiple bool) error) error {
	for i := range batch {
		c.gate.Add(-size(&batch[i]))
	}
	c.taken.Add(-int64(len(batch)))
	if c.held == 0 {
		batch = batch[len(batch)-1:]
	}
	for i := range batch {
		if err := say(&batch[i], c.held == 0); err != nil {
			return fmt.Errorf("acknowledging: %w", amqpconn.Reason(err))
		}
	}
	return nil
}

// refuse says what becomes of a message that no event has room for.
func (c *consumer) refuse(d *amqp091.Delivery, reason error) error {
	c.env.Logger.Warn("a message is too large for an event",
		slog.String("message_id", clean(d.MessageId)), slog.String("routing_key", clean(d.RoutingKey)),
		slog.Int("bytes", len(d.Body)), slog.String("becomes", string(c.cfg.Oversized)), slog.String("error", reason.Error()))
	one := []amqp091.Delivery{*d}
	if c.cfg.Oversized == DeadLetter {
		return c.settle(one, func(d *amqp091.Delivery, _ bool) error { return d.Reject(false) })
	}
	c.held++
	c.health.set(heldPart, fmt.Errorf("%d messages are held in the queue, because no event has room for them; the last one is %s with %d bytes: "+
		"raise bus.max_event, take them out of the queue, or let them go by oversized: dead_letter: %w", c.held, name(d), len(d.Body), reason))
	return c.settle(one, func(*amqp091.Delivery, bool) error { return nil })
}
