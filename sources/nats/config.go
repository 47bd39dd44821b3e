package nats

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/config"
	"sluice/sources"
)

// Kind is the source's key in the file.
const Kind = "nats"

// Adapter returns the source for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{Kind: Kind, Config: func() sources.Config { return NewConfig() }}
}

// A Config is the section of the file: a stream, or core subjects.
type Config struct {
	// URL has the servers, separated by commas.
	URL  string          `yaml:"url"`
	Auth config.NATSAuth `yaml:"auth"`
	TLS  config.TLS      `yaml:"tls"`
	// Subjects are those to take, with wildcards; of a stream all when it is empty.
	Subjects []string `yaml:"subjects"`
	// CloudEvents says whether messages that are CloudEvents become those.
	CloudEvents bool `yaml:"cloudevents"`

	// Stream is the one to read; empty for core subjects.
	Stream string `yaml:"stream"`
	// Start is where to begin for the first time: StartAll, StartNew, a sequence
	// number, or a time (RFC 3339).
	Start string `yaml:"start"`
	// Consumer is the durable consumer to read by; empty for a cursor of sluice's
	// own.
	Consumer string `yaml:"consumer"`
	// AckWait is after which time the server gives a message of a durable consumer
	// to another one, when the source makes the consumer.
	AckWait config.Duration `yaml:"ack_wait"`

	// Queue is the queue group of core subjects.
	Queue string `yaml:"queue"`
}

// The words for Start.
const (
	StartAll = "all"
	StartNew = "new"
)

const (
	defaultAckWait = config.Duration(30 * time.Second)
	minAckWait     = config.Duration(time.Second)
	maxSubjects    = 64
)

// NewConfig returns a configuration with the defaults.
func NewConfig() *Config {
	return &Config{Start: StartAll, AckWait: defaultAckWait, CloudEvents: true}
}

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	_, tlsErr := c.TLS.Load()
	problems := []error{c.validateURL(), c.Auth.Validate(), tlsErr, c.validateSubjects()}
	if c.Stream == "" {
		return errors.Join(append(problems, c.validateCore())...)
	}
	_, startErr := c.start()
	problems = append(problems, startErr, validateName("stream", c.Stream), validateName("consumer", c.Consumer))
	if c.Queue != "" {
		problems = append(problems, config.Invalid("queue", "it is for core subjects; those who share a stream have one consumer: write consumer, or leave stream out"))
	}
	if c.AckWait < minAckWait {
		problems = append(problems, config.Invalid("ack_wait", "%v is too short: at least %v", c.AckWait, minAckWait))
	}
	if c.Consumer == "" && c.AckWait != defaultAckWait {
		problems = append(problems, config.Invalid("ack_wait", "it is for a durable consumer: write consumer too, or leave it out"))
	}
	return errors.Join(problems...)
}

func (c *Config) validateURL() error {
	if strings.TrimSpace(c.URL) == "" {
		return config.Invalid("url", "it is missing; write the servers, such as nats://127.0.0.1:4222")
	}
	return config.ValidateNATS("url", c.URL, &c.Auth)
}

func (c *Config) validateCore() error {
	if len(c.Subjects) == 0 {
		return config.Invalid("stream", "it is missing; write the name of a stream, or subjects: those of core NATS")
	}
	var problems []error
	for _, key := range []struct {
		name string
		used bool
	}{
		{"start", c.Start != StartAll},
		{"consumer", c.Consumer != ""},
		{"ack_wait", c.AckWait != defaultAckWait},
	} {
		if key.used {
			problems = append(problems, config.Invalid(key.name, "it is for a stream: write stream too, or leave %s out", key.name))
		}
	}
	if strings.ContainsFunc(c.Queue, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		problems = append(problems, config.Invalid("queue", "found a space or a control character in %q; leave it out", c.Queue))
	}
	return errors.Join(problems...)
}

func (c *Config) validateSubjects() error {
	var problems []error
	if len(c.Subjects) > maxSubjects {
		problems = append(problems, config.Invalid("subjects", "found %d; one source takes at most %d", len(c.Subjects), maxSubjects))
	}
	for i, subject := range c.Subjects {
		tokens := strings.Split(subject, ".")
		switch {
		case strings.ContainsFunc(subject, func(r rune) bool { return r <= ' ' || r == 0x7f }):
			problems = append(problems, config.Invalid("subjects", "found a space or a control character in %q; leave it out", subject))
		case slices.Contains(tokens, ""):
			problems = append(problems, config.Invalid("subjects", "found nothing between two dots, or before or after one, in %q", subject))
		case slices.Contains(tokens[:len(tokens)-1], ">"):
			problems = append(problems, config.Invalid("subjects", "found > before the end of %q; it stands for all that follows", subject))
		case slices.Contains(c.Subjects[:i], subject):
			problems = append(problems, config.Invalid("subjects", "%q stands there twice", subject))
		}
	}
	return errors.Join(problems...)
}

func validateName(key, name string) error {
	if strings.ContainsAny(name, " \t\r\n.*>/\\") {
		return config.Invalid(key, "%q is no name: that has no spaces, dots, stars, > or slashes", name)
	}
	return nil
}

// A start is where to begin: after a sequence number, at a time, or with what is
// new.
type start struct {
	after uint64
	at    time.Time
	new   bool
}

func (c *Config) start() (start, error) {
	if c.Start == StartAll || c.Start == StartNew {
		return start{new: c.Start == StartNew}, nil
	}
	if number, err := strconv.ParseUint(c.Start, 10, 64); err == nil && number > 0 {
		return start{after: number - 1}, nil
	}
	at, err := time.Parse(time.RFC3339, c.Start)
	if err != nil {
		return start{}, config.Invalid("start", `found %q; write all, new, the sequence number of the first message, such as "4711", or a time, such as 2026-01-31T00:00:00Z`, c.Start)
	}
	return start{at: at}, nil
}

// Source builds the source. It opens no connection.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the nats source %q: %w", env.Name, err)
	}
	return &source{cfg: *c, env: env}, nil
}
