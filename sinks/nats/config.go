// Package nats is the sink that sends each delivery as one message to a subject
// of NATS: to a worker, which answers it, or to a stream of JetStream, which
// acknowledges it.
package nats

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/config"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// A Confirm says what settles a delivery.
type Confirm string

// What settles a delivery.
const (
	// ByWorker is the answer of whoever has subscribed to the subject.
	ByWorker Confirm = "worker"
	// ByStream is the acknowledgement of the stream that stores the subject.
	ByStream Confirm = "stream"
)

// A Mode says how an event becomes a message.
type Mode string

// The modes.
const (
	// Binary sends the data as the body and the attributes as ce-* headers
	// (CloudEvents NATS binding, section 3.1).
	Binary Mode = "binary"
	// Structured sends the whole event as JSON (section 3.2).
	Structured Mode = "structured"
	// Raw sends the data alone.
	Raw Mode = "raw"
)

// DefaultAckWait is how long a worker may be silent.
const DefaultAckWait = config.Duration(30 * time.Second)

// The bounds of AckWait.
const (
	minAckWait = 100 * time.Millisecond
	maxAckWait = time.Hour
)

// Config is the section of the file.
type Config struct {
	// URL has the servers, separated by commas.
	URL     string `yaml:"url"`
	Subject string `yaml:"subject"`
	// Confirm is ByWorker or ByStream.
	Confirm Confirm `yaml:"confirm"`
	// Stream is the one that is to store the subject; empty for any. It goes with
	// ByStream.
	Stream string `yaml:"stream"`
	// AckWait is how long a worker may be silent before the attempt has failed. It
	// begins anew when the worker asks for time.
	AckWait config.Duration `yaml:"ack_wait"`
	Mode    Mode            `yaml:"mode"`
	Auth    config.NATSAuth `yaml:"auth"`
	TLS     config.TLS      `yaml:"tls"`
	// Egress is empty for that of the whole installation.
	Egress sinkhttp.Egress `yaml:"egress"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: "nats", Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config {
	return &Config{Confirm: ByWorker, Mode: Binary, AckWait: DefaultAckWait}
}

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	_, tlsErr := c.TLS.Load()
	problems := []error{
		c.validateURL(), validateSubject(c.Subject), c.Auth.Validate(), tlsErr, c.Egress.Validate(),
		config.OneOf("confirm", c.Confirm, ByWorker, ByStream),
		config.OneOf("mode", c.Mode, Binary, Structured, Raw),
	}
	if c.Confirm == ByWorker && c.Stream != "" {
		problems = append(problems, config.Invalid("stream", "it is for confirm: stream; write that too, or leave stream out"))
	}
	if strings.ContainsAny(c.Stream, " \t\r\n.*>/\\") {
		problems = append(problems, config.Invalid("stream", "%q is no name of a stream: that has no spaces, dots, stars, > or slashes", c.Stream))
	}
	wait := time.Duration(c.AckWait)
	switch {
	case c.Confirm == ByStream && c.AckWait != DefaultAckWait:
		problems = append(problems, config.Invalid("ack_wait", "it is for workers; with confirm: stream the trigger's timeout bounds the wait: leave ack_wait out"))
	case wait < minAckWait || wait > maxAckWait:
		problems = append(problems, config.Invalid("ack_wait", "expected %v to 1h, found %v", minAckWait, c.AckWait))
	}
	return errors.Join(problems...)
}

func (c *Config) validateURL() error {
	if strings.TrimSpace(c.URL) == "" {
		return config.Invalid("url", "it is missing; write the servers, such as nats://127.0.0.1:4222")
	}
	return config.ValidateNATS("url", c.URL, &c.Auth)
}

// validateSubject refuses what no message can be published to.
func validateSubject(subject string) error {
	switch {
	case subject == "":
		return config.Invalid("subject", "it is missing; write one such as work.resize")
	case strings.Contains(subject, "{{"):
		return config.Invalid("subject", "found {{ in %q; a subject is no template: write a trigger for each", subject)
	case strings.ContainsAny(subject, "*>"):
		return config.Invalid("subject", "found a wildcard in %q; workers subscribe to wildcards, and deliveries go to one subject", subject)
	case strings.HasPrefix(subject, "$"):
		return config.Invalid("subject", "%q belongs to NATS itself: subjects of your own do not begin with $", subject)
	case strings.ContainsFunc(subject, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return config.Invalid("subject", "found a space or a control character in %q; leave it out", subject)
	case slices.Contains(strings.Split(subject, "."), ""):
		return config.Invalid("subject", "found nothing between two dots, or before or after one, in %q", subject)
	}
	return nil
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the nats sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
