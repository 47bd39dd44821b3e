package amqp

import (
	"log/slog"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"sluice/event"
)

// AppendTable is for tests of headers.
var AppendTable = appendTable

// Make makes the event of a message of a queue of the virtual host prod.
func Make(cfg *Config, d *amqp091.Delivery, now time.Time) event.Event {
	m := newMaker(cfg, slog.New(slog.DiscardHandler), "broker:5672", "prod", func() time.Time { return now })
	return m.make(d, "session")
}

// Table returns the arguments with which the queue is declared.
func (d *Declare) Table() amqp091.Table { return d.table() }
