package s3

import (
	"errors"
	"time"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"sluice/config"
	"sluice/connect/s3conn"
	"sluice/sources"
	sourcehttp "sluice/sources/http"
)

// Kind is the source's key in the file.
const Kind = "s3"

// Adapter returns the source for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{Kind: Kind, Config: func() sources.Config { return NewConfig() }}
}

// A Config is the section of the file that describes one bucket.
type Config struct {
	s3conn.Location
	// Prefix and Suffix limit the keys; both are case-sensitive.
	Prefix string `yaml:"prefix"`
	Suffix string `yaml:"suffix"`
	// Interval is the time between two listings. Where the server notifies, it
	// is only the safety net.
	Interval config.Duration `yaml:"interval"`
	// Listen says whether MinIO's listen API is tried (auto) or not (off).
	Listen string `yaml:"listen"`
	// Notify is where the server pushes its notifications to, on the ingest
	// listener.
	Notify *sourcehttp.Inlet `yaml:"notify"`
	// Metadata has each new object be asked for its content type and the user's
	// metadata.
	Metadata bool `yaml:"metadata"`
	// Backfill makes events of the objects that are there before the source
	// first starts.
	Backfill bool `yaml:"backfill"`
}

const (
	auto = "auto"
	off  = "off"

	defaultInterval = 30 * time.Second
	minInterval     = time.Second
)

// NewConfig returns a configuration with the defaults.
func NewConfig() *Config {
	return &Config{
		Location: s3conn.DefaultLocation(),
		Interval: config.Duration(defaultInterval),
		Listen:   auto,
	}
}

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	return errors.Join(
		c.Location.Validate(),
		validateFilter("prefix", c.Prefix),
		validateFilter("suffix", c.Suffix),
		s3conn.OneOf("listen", c.Listen, auto, off),
		c.validateInterval(),
		c.validateNotify(),
	)
}

func (c *Config) validateNotify() error {
	if c.Notify == nil {
		return nil
	}
	return c.Notify.Validate("notify")
}

// Unauthenticated tells whether notifications are taken from anybody.
func (c *Config) Unauthenticated() bool { return c.Notify != nil && c.Notify.Unauthenticated() }

// Claim tells that no two sources may have the same path.
func (c *Config) Claim() (key, value string) {
	if c.Notify == nil {
		return "notify.path", ""
	}
	return "notify.path", c.Notify.Path
}

func validateFilter(key, value string) error {
	if len(value) > s3conn.MaxKey {
		return config.Invalid(key, "is %d bytes long, but keys have at most %d", len(value), s3conn.MaxKey)
	}
	if err := s3utils.CheckValidObjectNamePrefix(value); err != nil {
		return config.Invalid(key, "%q cannot be part of a key: %v", value, err)
	}
	return nil
}

func (c *Config) validateInterval() error {
	if time.Duration(c.Interval) < minInterval {
		return config.Invalid("interval", "%v is too short: at least %v", c.Interval, minInterval)
	}
	return nil
}
