// Package amqp is the source that consumes a queue of RabbitMQ, or another broker
// of AMQP 0-9-1.
package amqp

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rabbitmq/amqp091-go"

	"sluice/config"
	"sluice/connect/amqpconn"
	"sluice/sources"
)

// Kind is the source's key in the file.
const Kind = "amqp"

// Adapter returns the source for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{Kind: Kind, Config: func() sources.Config { return NewConfig() }}
}

// An Identity says where the id of an event comes from.
type Identity string

// The identities.
const (
	// ByMessageID takes the message id that the publisher has given; a message
	// without one has an id that is its own for as long as it is not redelivered.
	ByMessageID Identity = "message_id"
	// ByContent takes the message id, and without one a digest of all that the
	// message is made of.
	ByContent Identity = "content"
	// ByDelivery takes no id of the publisher's.
	ByDelivery Identity = "delivery"
)

// An Oversized says what becomes of a message that no event has room for.
type Oversized string

// What becomes of such messages.
const (
	// Hold leaves it to the broker, unacknowledged.
	Hold Oversized = "hold"
	// DeadLetter rejects it: to the queue's dead-letter exchange.
	DeadLetter Oversized = "dead_letter"
)

// The bounds of Prefetch.
const (
	DefaultPrefetch = 1000
	maxPrefetch     = 65535 // AMQP 0-9-1: it is a short
)

// A Config is the section of the file that describes one queue.
type Config struct {
	amqpconn.Server `yaml:",inline"`
	// Queue is the name of the queue. It must exist, unless Declare is set.
	Queue string `yaml:"queue"`
	// Declare says what the queue is like that is declared when the source starts.
	Declare *Declare `yaml:"declare"`
	// Bind are bindings that the queue is given.
	Bind []Binding `yaml:"bind"`
	// Prefetch is how many messages may be under way between broker and bus.
	Prefetch int `yaml:"prefetch"`
	// Exclusive has the broker let nobody else consume the queue.
	Exclusive bool     `yaml:"exclusive"`
	ID        Identity `yaml:"id"`
	// IDHeader and PartitionHeader name the headers that take the place of the
	// message id, and of the routing key as partitionkey.
	IDHeader        string `yaml:"id_header"`
	PartitionHeader string `yaml:"partition_header"`
	// CloudEvents has messages that are events be taken as such.
	CloudEvents bool      `yaml:"cloudevents"`
	Oversized   Oversized `yaml:"oversized"`
}

// A Declare is what a queue is like.
type Declare struct {
	// Type is classic or quorum; empty for the broker's default.
	Type string `yaml:"type"`
	// Durable is true unless it says otherwise.
	Durable *bool `yaml:"durable"`
	// SingleActive has the broker give messages to one consumer at a time.
	SingleActive bool `yaml:"single_active"`
	// DeadLetterExchange takes what is rejected or has expired; it may be empty, the
	// default exchange.
	DeadLetterExchange   *string `yaml:"dead_letter_exchange"`
	DeadLetterRoutingKey string  `yaml:"dead_letter_routing_key"`
	// Arguments are those of the broker, such as x-max-length.
	Arguments map[string]any `yaml:"arguments"`
}

// A Binding has an exchange send messages to the queue.
type Binding struct {
	Exchange string `yaml:"exchange"`
	// Keys are routing keys, one binding each; none is one with an empty key.
	Keys      []string       `yaml:"keys"`
	Arguments map[string]any `yaml:"arguments"`
}

// NewConfig returns a configuration with the defaults.
func NewConfig() *Config {
	return &Config{
		Server: amqpconn.NewServer(), Prefetch: DefaultPrefetch, ID: ByMessageID, CloudEvents: true, Oversized: Hold,
	}
}

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	all := []error{
		c.Server.Validate(), c.validateQueue(), c.validateIdentity(),
		oneOf("id", string(c.ID), string(ByMessageID), string(ByContent), string(ByDelivery)),
		oneOf("oversized", string(c.Oversized), string(Hold), string(DeadLetter)),
		validateName("partition_header", c.PartitionHeader),
	}
	if c.Prefetch < 1 || c.Prefetch > maxPrefetch {
		all = append(all, config.Invalid("prefetch", "expected 1 to %d, found %d", maxPrefetch, c.Prefetch))
	}
	if c.Declare != nil {
		all = append(all, c.Declare.validate())
	}
	for i := range c.Bind {
		all = append(all, c.Bind[i].validate(fmt.Sprintf("bind[%d]", i)))
	}
	return errors.Join(all...)
}

func (c *Config) validateQueue() error {
	switch {
	case c.Queue == "":
		return config.Invalid("queue", "it is missing; write the name of the queue")
	case c.Declare != nil && strings.HasPrefix(c.Queue, "amq."):
		return config.Invalid("queue", "%q is a name that the broker keeps for itself: names of your own do not begin with amq.", c.Queue)
	}
	return validateName("queue", c.Queue)
}

func (c *Config) validateIdentity() error {
	if c.IDHeader != "" && c.ID == ByDelivery {
		return config.Invalid("id_header", "with id: delivery no id of the publisher's is taken; leave one of them out")
	}
	return validateName("id_header", c.IDHeader)
}

func (d *Declare) validate() error {
	all := []error{validateArguments("declare.arguments", d.Arguments), validateName("declare.dead_letter_routing_key", d.DeadLetterRoutingKey)}
	if d.Type == amqp091.QueueTypeStream {
		all = append(all, config.Invalid("declare.type", "a stream is no queue: this source does not read it; write classic or quorum"))
	} else if d.Type != "" {
		all = append(all, oneOf("declare.type", d.Type, amqp091.QueueTypeClassic, amqp091.QueueTypeQuorum))
	}
	if d.Type == amqp091.QueueTypeQuorum && !d.durable() {
		all = append(all, config.Invalid("declare.durable", "a quorum queue is always durable: leave it out"))
	}
	if d.DeadLetterRoutingKey != "" && d.DeadLetterExchange == nil {
		all = append(all, config.Invalid("declare.dead_letter_routing_key", "it is for a dead_letter_exchange: write that too"))
	}
	for argument, key := range map[string]string{
		argumentType: "type", argumentSingleActive: "single_active",
		argumentDeadLetterExchange: "dead_letter_exchange", argumentDeadLetterKey: "dead_letter_routing_key",
	} {
		if _, found := d.Arguments[argument]; found {
			all = append(all, config.Invalid("declare.arguments."+argument, "it has a key of its own: write %s", key))
		}
	}
	return errors.Join(all...)
}

func (d *Declare) durable() bool { return d.Durable == nil || *d.Durable }

// The arguments of a queue that have keys of their own.
const (
	argumentType               = amqp091.QueueTypeArg
	argumentSingleActive       = amqp091.SingleActiveConsumerArg
	argumentDeadLetterExchange = "x-dead-letter-exchange"
	argumentDeadLetterKey      = "x-dead-letter-routing-key"
)

// table returns the arguments of the queue.
func (d *Declare) table() amqp091.Table {
	t := table(d.Arguments)
	if d.Type != "" {
		t[argumentType] = d.Type
	}
	if d.SingleActive {
		t[argumentSingleActive] = true
	}
	if d.DeadLetterExchange != nil {
		t[argumentDeadLetterExchange] = *d.DeadLetterExchange
	}
	if d.DeadLetterRoutingKey != "" {
		t[argumentDeadLetterKey] = d.DeadLetterRoutingKey
	}
	return t
}

func (b *Binding) validate(at string) error {
	all := []error{validateName(at+".exchange", b.Exchange), validateArguments(at+".arguments", b.Arguments)}
	if b.Exchange == "" {
		all = append(all, config.Invalid(at+".exchange", "it is missing; the default exchange has every queue already, and takes no bindings"))
	}
	for i, key := range b.Keys {
		all = append(all, validateName(fmt.Sprintf("%s.keys[%d]", at, i), key))
	}
	return errors.Join(all...)
}

func (b *Binding) keys() []string {
	if len(b.Keys) == 0 {
		return []string{""}
	}
	return b.Keys
}

func validateName(key, name string) error {
	if len(name) > amqpconn.MaxName {
		return config.Invalid(key, "it has %d bytes, at most %d", len(name), amqpconn.MaxName)
	}
	return nil
}

func validateArguments(key string, arguments map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(arguments)) {
		if _, err := field(arguments[name]); err != nil {
			return config.Invalid(key+"."+name, "%v", err)
		}
	}
	return nil
}

// table makes a table of arguments, which are valid.
func table(arguments map[string]any) amqp091.Table {
	t := amqp091.Table{}
	for name, value := range arguments {
		t[name], _ = field(value)
	}
	return t
}

// field makes a field of a table of a value of the file.
func field(value any) (any, error) {
	switch v := value.(type) {
	case string, bool:
		return v, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		return f, err
	}
	return nil, errors.New("expected a text, a number, or true or false")
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	last := len(allowed) - 1
	list := strings.Join(allowed[:last], ", ") + " or " + allowed[last]
	return config.Invalid(key, "%q is not known: write %s", value, list)
}
