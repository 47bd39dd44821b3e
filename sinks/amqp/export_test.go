package amqp

import (
	"context"

	"github.com/rabbitmq/amqp091-go"

	"sluice/sinks"
)

// Write makes the message of the first delivery of an attempt, and its routing key.
func Write(ctx context.Context, c *Config, a *sinks.Attempt) (string, amqp091.Publishing, error) {
	w, err := newWriter(c, nil)
	if err != nil {
		return "", amqp091.Publishing{}, err
	}
	return w.write(ctx, a, &a.Deliveries[0])
}
