// Package mqtt is the sink that publishes each delivery as one message to a topic
// of an MQTT server, version 5 or 3.1.1. A delivery is done when the server has
// acknowledged it: PUBACK of QoS 1, PUBCOMP of QoS 2. A message is sent once; what
// becomes of one that was not acknowledged, the trigger decides.
package mqtt

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"sluice/config"
	"sluice/connect/mqttconn"
	"sluice/event/transform"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// A Mode says how an event becomes a message.
type Mode string

// The modes.
const (
	// Binary sends the data as the payload and the attributes as user properties
	// (CloudEvents MQTT binding 1.0.2, section 3.1). Version 3.1.1 has none.
	Binary Mode = "binary"
	// Structured sends the whole event as JSON (section 3.2).
	Structured Mode = "structured"
	// Raw sends the data alone.
	Raw Mode = "raw"
)

// maxExpiry is the longest expiry of a message: the protocol counts its seconds in
// 32 bits.
const maxExpiry = math.MaxUint32 * time.Second

// Config is the section of the file.
type Config struct {
	mqttconn.Server `yaml:",inline"`

	// Topic may be a template.
	Topic string `yaml:"topic"`
	// QoS is 1 or 2.
	QoS    int  `yaml:"qos"`
	Retain bool `yaml:"retain"`
	// Mode is empty for Binary, and for Structured with version 3.1.1.
	Mode Mode `yaml:"mode"`
	// Expiry is after how long the server forgets a message that nobody has taken; 0
	// for never.
	Expiry config.Duration `yaml:"expiry"`
	// Egress is empty for that of the whole installation.
	Egress sinkhttp.Egress `yaml:"egress"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: "mqtt", Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config { return &Config{Server: mqttconn.NewServer(), QoS: 1} }

// mode returns the mode that holds.
func (c *Config) mode() Mode {
	if c.Version == mqttconn.V311 {
		return cmp.Or(c.Mode, Structured)
	}
	return cmp.Or(c.Mode, Binary)
}

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	_, topicErr := newTopic(c.Topic)
	problems := []error{c.Server.Validate(), topicErr, c.Egress.Validate(), c.validateExpiry()}
	if c.QoS != 1 && c.QoS != 2 {
		problems = append(problems, config.Invalid("qos", "expected 1 or 2, found %d; with 0 the server does not say whether it has the message", c.QoS))
	}
	switch {
	case c.Mode != "" && c.Mode != Binary && c.Mode != Structured && c.Mode != Raw:
		problems = append(problems, config.Invalid("mode", "found %q; write %s, %s or %s", c.Mode, Binary, Structured, Raw))
	case c.Mode == Binary && c.Version == mqttconn.V311:
		problems = append(problems, config.Invalid("mode", "MQTT 3.1.1 has no user properties for the attributes; write %s or %s", Structured, Raw))
	}
	return errors.Join(problems...)
}

func (c *Config) validateExpiry() error {
	switch d := time.Duration(c.Expiry); {
	case d == 0:
		return nil
	case c.Version == mqttconn.V311:
		return config.Invalid("expiry", "MQTT 3.1.1 has no expiry of messages: leave it out")
	case d < time.Second || d > maxExpiry || d%time.Second != 0:
		return config.Invalid("expiry", "expected 1s to %v in whole seconds, found %v", config.Duration(maxExpiry), c.Expiry)
	}
	return nil
}

// newTopic reads a topic, and returns its template, or nil when it has none.
func newTopic(topic string) (*transform.Template, error) {
	if topic == "" {
		return nil, config.Invalid("topic", "it is missing; write one such as lamps/hall/set")
	}
	if !transform.IsTemplate(topic) {
		if err := mqttconn.CheckTopic(topic); err != nil {
			return nil, config.Invalid("topic", "%q: %v", topic, err)
		}
		return nil, nil //nolint:nilnil // it is always the same
	}
	t, err := transform.ParseTemplate(topic)
	if err != nil {
		return nil, config.Invalid("topic", "%v", err)
	}
	plain := ""
	t.Parts(func(text string) { plain += text }, func(*transform.Expression) { plain += "-" })
	if err := mqttconn.CheckTopic(plain); err != nil {
		return nil, config.Invalid("topic", "%v", err)
	}
	return t, nil
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the mqtt sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
