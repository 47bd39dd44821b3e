package kafka

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/config"
	"sluice/connect/kafkaconn"
	"sluice/event/transform"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// A Mode says how an event becomes a record.
type Mode string

// The modes.
const (
	// Binary has the data as the value and the attributes as ce_ headers
	// (CloudEvents Kafka binding, section 3.2).
	Binary Mode = "binary"
	// Structured has the whole event as JSON (section 3.3).
	Structured Mode = "structured"
	// Raw has the data alone.
	Raw Mode = "raw"
)

// A Compression says how batches of records are compressed.
type Compression string

// The compressions.
const (
	None   Compression = "none"
	Gzip   Compression = "gzip"
	Snappy Compression = "snappy"
	LZ4    Compression = "lz4"
	Zstd   Compression = "zstd"
)

func codecs() map[Compression]kgo.CompressionCodec {
	return map[Compression]kgo.CompressionCodec{
		None: kgo.NoCompression(), Gzip: kgo.GzipCompression(), Snappy: kgo.SnappyCompression(),
		LZ4: kgo.Lz4Compression(), Zstd: kgo.ZstdCompression(),
	}
}

const (
	// DefaultMaxMessage is what brokers take unless they are told otherwise.
	DefaultMaxMessage = 1_000_000
	minMessage        = 1 << 10
	maxMessage        = 64 << 20
	maxTopic          = 249 // characters, of Kafka
	maxKey            = 64 << 10
)

// Config is the section of the file.
type Config struct {
	// Brokers are some of the cluster's brokers, as host:port.
	Brokers []string `yaml:"brokers"`
	// Topic and Key may be templates. An empty Key is the event's partitionkey.
	Topic       string      `yaml:"topic"`
	Key         string      `yaml:"key"`
	Mode        Mode        `yaml:"mode"`
	Compression Compression `yaml:"compression"`
	// MaxMessage bounds a batch of records, and so one record, in bytes. The topic
	// must take it (max.message.bytes).
	MaxMessage config.Size     `yaml:"max_message"`
	SASL       *kafkaconn.SASL `yaml:"sasl"`
	TLS        *config.TLS     `yaml:"tls"`
	// Egress is empty for that of the whole installation.
	Egress sinkhttp.Egress `yaml:"egress"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: "kafka", Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config {
	return &Config{Mode: Binary, Compression: None, MaxMessage: DefaultMaxMessage}
}

// Batches says that an attempt may have several deliveries.
func (c *Config) Batches() config.Batching { return config.MayBatch }

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	_, topicErr := template("topic", c.Topic)
	if topicErr == nil && !transform.IsTemplate(c.Topic) {
		topicErr = c.validateTopic()
	}
	_, keyErr := template("key", c.Key)
	problems := []error{
		c.cluster().Validate(), topicErr, keyErr, c.Egress.Validate(),
		config.OneOf("mode", c.Mode, Binary, Structured, Raw),
		config.OneOf("compression", c.Compression, None, Gzip, Snappy, LZ4, Zstd),
	}
	if c.MaxMessage < minMessage || c.MaxMessage > maxMessage {
		problems = append(problems, config.Invalid("max_message", "expected %v to %v, found %v", config.Size(minMessage), config.Size(maxMessage), c.MaxMessage))
	}
	return errors.Join(problems...)
}

func (c *Config) validateTopic() error {
	if c.Topic == "" {
		return config.Invalid("topic", "it is missing; write a topic's name, which may be a template")
	}
	if err := checkTopic(c.Topic); err != nil {
		return config.Invalid("topic", "%v", err)
	}
	return nil
}

var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func checkTopic(name string) error {
	if !topicName.MatchString(name) || len(name) > maxTopic || name == "." || name == ".." {
		return fmt.Errorf("%.80q is no name of a topic: that has letters, digits, dots, - and _, at most %d", name, maxTopic)
	}
	return nil
}

// template returns the template of a key; nil when the text is none.
func template(key, text string) (*transform.Template, error) {
	if !transform.IsTemplate(text) {
		return nil, nil //nolint:nilnil // there is none
	}
	t, err := transform.ParseTemplate(text)
	if err != nil {
		return nil, config.Invalid(key, "%v", err)
	}
	return t, nil
}

func (c *Config) cluster() *kafkaconn.Cluster {
	return &kafkaconn.Cluster{Brokers: c.Brokers, SASL: c.SASL, TLS: c.TLS}
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the kafka sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
