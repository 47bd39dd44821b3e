// Package s3 is the sink that writes deliveries into a bucket of S3, or of
// anything that speaks it: many as one object, or each as its own.
package s3

import (
	"errors"
	"fmt"
	"regexp"

	"sluice/config"
	"sluice/connect/s3conn"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// A Format says what an object is made of.
type Format string

// The formats.
const (
	// Events is a line for each delivery: the whole event as CloudEvents JSON.
	Events Format = "events"
	// Data is a line for each delivery: its data alone, as JSON.
	Data Format = "data"
	// Raw is the data of one delivery, byte by byte.
	Raw Format = "raw"
)

// A Compression says how objects are compressed.
type Compression string

// The compressions.
const (
	None Compression = "none"
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// An Encryption says how the server encrypts objects.
type Encryption string

// The encryptions.
const (
	// ByServer is SSE-S3: with keys of the server.
	ByServer Encryption = "s3"
	// ByKMS is SSE-KMS: with keys of a key management service.
	ByKMS Encryption = "kms"
)

// Config is the section of the file.
type Config struct {
	s3conn.Location
	// Key is the template of the object's key; empty for one by trigger, day and
	// batch.
	Key    string `yaml:"key"`
	Format Format `yaml:"format"`
	// Compression is that of the object, which says so by its Content-Encoding.
	Compression Compression `yaml:"compression"`
	// Metadata has the templates of the object's metadata by name.
	Metadata map[string]string `yaml:"metadata"`
	// StorageClass is empty for the bucket's.
	StorageClass string `yaml:"storage_class"`
	// Encryption is empty for the bucket's.
	Encryption Encryption `yaml:"encryption"`
	// KMSKey is the key of ByKMS; empty for the server's own.
	KMSKey string     `yaml:"kms_key"`
	TLS    config.TLS `yaml:"tls"`
	// Egress is empty for that of the whole installation.
	Egress sinkhttp.Egress `yaml:"egress"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: "s3", Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config {
	return &Config{Location: s3conn.DefaultLocation(), Format: Events, Compression: None}
}

// Batches tells that an object may hold several deliveries.
func (c *Config) Batches() config.Batching { return config.MayBatch }

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	_, templateErr := c.templates()
	_, tlsErr := c.TLS.Load()
	return errors.Join(
		c.Location.Validate(),
		templateErr,
		s3conn.OneOf("format", string(c.Format), string(Events), string(Data), string(Raw)),
		s3conn.OneOf("compression", string(c.Compression), string(None), string(Gzip), string(Zstd)),
		c.validateStorage(),
		tlsErr,
		c.Egress.Validate(),
	)
}

// storageClass is what names of classes look like; which ones there are is the
// server's matter.
var storageClass = regexp.MustCompile(`^[A-Z0-9_-]{1,64}$`)

func (c *Config) validateStorage() error {
	var problems []error
	if c.StorageClass != "" && !storageClass.MatchString(c.StorageClass) {
		problems = append(problems, config.Invalid("storage_class", "%q is no name of a class: write one such as STANDARD_IA", c.StorageClass))
	}
	if c.Encryption != "" {
		problems = append(problems, s3conn.OneOf("encryption", string(c.Encryption), string(ByServer), string(ByKMS)))
	}
	if c.KMSKey != "" && c.Encryption != ByKMS {
		problems = append(problems, config.Invalid("kms_key", "it is for encryption: kms; write that too, or leave kms_key out"))
	}
	return errors.Join(problems...)
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the s3 sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
