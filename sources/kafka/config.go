package kafka

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"sluice/config"
	"sluice/connect/kafkaconn"
	"sluice/sources"
)

// Kind is the source's key in the file.
const Kind = "kafka"

// Adapter returns the source for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{Kind: Kind, Config: func() sources.Config { return NewConfig() }}
}

// A Config is the section of the file that describes some topics of a cluster.
type Config struct {
	// Brokers are some of the cluster's brokers, as host:port.
	Brokers []string `yaml:"brokers"`
	// Topics are named one by one; Pattern is a regular expression that whole
	// names match. There is one or the other.
	Topics  []string `yaml:"topics"`
	Pattern string   `yaml:"pattern"`
	// Group is the consumer group whose members share the partitions; empty for
	// none, which reads all of them.
	Group string `yaml:"group"`
	// Offsets says where the position of each partition is kept.
	Offsets Offsets `yaml:"offsets"`
	// Start says where a partition is read from that was never read: latest,
	// earliest, or a time as RFC 3339 has it.
	Start string `yaml:"start"`
	// OnLost says what to do when records are gone that were not read yet.
	OnLost OnLost `yaml:"on_lost"`
	// ReadCommitted leaves out the records of transactions that were aborted.
	ReadCommitted bool `yaml:"read_committed"`
	// CloudEvents takes records that are CloudEvents as those events.
	CloudEvents bool            `yaml:"cloudevents"`
	SASL        *kafkaconn.SASL `yaml:"sasl"`
	TLS         *config.TLS     `yaml:"tls"`
	// SessionTimeout is how long a member of the group may be silent before its
	// partitions are given to others.
	SessionTimeout config.Duration `yaml:"session_timeout"`
	// Refresh is the time between two looks for new topics and partitions.
	Refresh config.Duration `yaml:"refresh"`
	// Buffer bounds the records that wait to be published, in bytes.
	Buffer config.Size `yaml:"buffer"`
}

// Offsets says where the position of each partition is kept.
type Offsets string

// Where positions are kept.
const (
	// ByCursor keeps them on the bus, together with the events: exactly once.
	ByCursor Offsets = "cursor"
	// ByGroup commits them to the group after the events: at least once.
	ByGroup Offsets = "group"
)

// OnLost says what to do when records are gone that were not read yet.
type OnLost string

// What to do.
const (
	// LostEarliest goes on with the oldest record that is there.
	LostEarliest OnLost = "earliest"
	// LostLatest goes on with what comes from now on.
	LostLatest OnLost = "latest"
	// LostFail does not go on with the partition.
	LostFail OnLost = "fail"
)

// The starts that are no time.
const (
	startLatest   = "latest"
	startEarliest = "earliest"
)

const (
	defaultSession = 30 * time.Second
	minSession     = time.Second // brokers take no less than 6s, unless they are told to
	maxSession     = 30 * time.Minute
	defaultRefresh = 30 * time.Second
	minRefresh     = 100 * time.Millisecond
	maxRefresh     = time.Hour
	defaultBuffer  = 32 << 20
	minBuffer      = 1 << 20
	maxBuffer      = 1 << 30
	maxTopic       = 249 // characters, of Kafka
)

// NewConfig returns a configuration with the defaults.
func NewConfig() *Config {
	return &Config{
		Offsets:        ByCursor,
		Start:          startLatest,
		OnLost:         LostEarliest,
		CloudEvents:    true,
		SessionTimeout: config.Duration(defaultSession),
		Refresh:        config.Duration(defaultRefresh),
		Buffer:         defaultBuffer,
	}
}

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	return errors.Join(
		c.cluster().Validate(),
		c.validateTopics(),
		c.validateGroup(),
		c.validateStart(),
		config.OneOf("offsets", c.Offsets, ByCursor, ByGroup),
		config.OneOf("on_lost", c.OnLost, LostEarliest, LostLatest, LostFail),
		within("session_timeout", time.Duration(c.SessionTimeout), minSession, maxSession),
		within("refresh", time.Duration(c.Refresh), minRefresh, maxRefresh),
		c.validateBuffer(),
	)
}

func (c *Config) cluster() *kafkaconn.Cluster {
	return &kafkaconn.Cluster{Brokers: c.Brokers, SASL: c.SASL, TLS: c.TLS}
}

var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func (c *Config) validateTopics() error {
	switch {
	case len(c.Topics) == 0 && c.Pattern == "":
		return config.Invalid("topics", "it is missing; write names of topics, or a pattern")
	case len(c.Topics) > 0 && c.Pattern != "":
		return config.Invalid("pattern", "there are topics already; write one of them")
	}
	if _, err := regexp.Compile(c.Pattern); err != nil {
		return config.Invalid("pattern", "%q is no regular expression: %v", c.Pattern, err)
	}
	for i, topic := range c.Topics {
		key := fmt.Sprintf("topics[%d]", i)
		switch {
		case !topicName.MatchString(topic) || len(topic) > maxTopic || topic == "." || topic == "..":
			return config.Invalid(key, "%q is no name of a topic: that has letters, digits, dots, - and _, at most %d; write a regular expression as pattern", topic, maxTopic)
		case slices.Index(c.Topics, topic) != i:
			return config.Invalid(key, "%q stands there twice", topic)
		}
	}
	return nil
}

func (c *Config) validateGroup() error {
	switch {
	case c.Group == "" && c.Offsets == ByGroup:
		return config.Invalid("group", "it is missing; with offsets: group write the group that keeps them")
	case strings.TrimSpace(c.Group) != c.Group, len(c.Group) > maxTopic:
		return config.Invalid("group", "%q begins or ends with a space, or has more than %d bytes", c.Group, maxTopic)
	case c.Group == "" && c.SessionTimeout != config.Duration(defaultSession):
		return config.Invalid("session_timeout", "it is for members of a group: write group too, or leave session_timeout out")
	}
	return nil
}

func (c *Config) validateStart() error {
	if c.Start == startLatest || c.Start == startEarliest {
		return nil
	}
	if _, err := time.Parse(time.RFC3339, c.Start); err != nil {
		return config.Invalid("start", "found %q; write latest, earliest, or a time such as 2026-01-31T08:00:00Z", c.Start)
	}
	return nil
}

func (c *Config) validateBuffer() error {
	if c.Buffer < minBuffer || c.Buffer > maxBuffer {
		return config.Invalid("buffer", "expected %v to %v, found %v", config.Size(minBuffer), config.Size(maxBuffer), c.Buffer)
	}
	return nil
}

func within(key string, found, least, most time.Duration) error {
	if found < least || found > most {
		return config.Invalid(key, "expected %v to %v, found %v", config.Duration(least), config.Duration(most), config.Duration(found))
	}
	return nil
}

// wants returns what tells whether a topic is one of the source's.
func (c *Config) wants() func(topic string) bool {
	if c.Pattern == "" {
		return func(topic string) bool { return slices.Contains(c.Topics, topic) }
	}
	whole := regexp.MustCompile(wholeName(c.Pattern))
	return func(topic string) bool { return whole.MatchString(topic) }
}

// wholeName returns the expression that matches whole names.
func wholeName(pattern string) string { return "^(?:" + pattern + ")$" }
