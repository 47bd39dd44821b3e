package s3

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"sluice/config"
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
	// Endpoint is the server's URL, such as http://127.0.0.1:9000 or
	// https://s3.eu-central-1.amazonaws.com, without a path.
	Endpoint string `yaml:"endpoint"`
	Bucket   string `yaml:"bucket"`
	// Prefix and Suffix limit the keys; both are case-sensitive.
	Prefix string `yaml:"prefix"`
	Suffix string `yaml:"suffix"`
	// AccessKey and SecretKey sign the requests; both empty means anonymous.
	AccessKey config.Secret `yaml:"access_key"`
	SecretKey config.Secret `yaml:"secret_key"`
	// Region is asked from the server when it is empty.
	Region string `yaml:"region"`
	// PathStyle says whether the bucket is part of the path (on) or of the host
	// name (off); auto is on except at the large providers.
	PathStyle string `yaml:"path_style"`
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
	on   = "on"
	off  = "off"

	defaultInterval = 30 * time.Second
	minInterval     = time.Second
	maxKey          = 1024 // bytes, of S3
)

// NewConfig returns a configuration with the defaults.
func NewConfig() *Config {
	return &Config{
		PathStyle: auto,
		Interval:  config.Duration(defaultInterval),
		Listen:    auto,
	}
}

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	return errors.Join(
		c.validateEndpoint(),
		c.validateBucket(),
		validateFilter("prefix", c.Prefix),
		validateFilter("suffix", c.Suffix),
		c.validateKeys(),
		oneOf("path_style", c.PathStyle, auto, on, off),
		oneOf("listen", c.Listen, auto, off),
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

func (c *Config) validateEndpoint() error {
	const right = "write the server's URL, such as http://127.0.0.1:9000"
	if c.Endpoint == "" {
		return config.Invalid("endpoint", "is missing: %s", right)
	}
	parsed, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https"):
		return config.Invalid("endpoint", "%q is not an http or https URL: %s", c.Endpoint, right)
	case parsed.User != nil:
		return config.Invalid("endpoint", "has a user in it: use access_key and secret_key")
	case (parsed.Path != "" && parsed.Path != "/") || parsed.RawQuery != "" || parsed.Fragment != "":
		return config.Invalid("endpoint", "%q has more than a host in it: give the bucket in bucket, and keys in prefix", c.Endpoint)
	}
	return nil
}

func (c *Config) validateBucket() error {
	if c.Bucket == "" {
		return config.Invalid("bucket", "is missing: write the bucket's name")
	}
	if err := s3utils.CheckValidBucketName(c.Bucket); err != nil {
		return config.Invalid("bucket", "%q is not a bucket's name: %v", c.Bucket, err)
	}
	return nil
}

func validateFilter(key, value string) error {
	if len(value) > maxKey {
		return config.Invalid(key, "is %d bytes long, but keys have at most %d", len(value), maxKey)
	}
	if err := s3utils.CheckValidObjectNamePrefix(value); err != nil {
		return config.Invalid(key, "%q cannot be part of a key: %v", value, err)
	}
	return nil
}

func (c *Config) validateKeys() error {
	switch {
	case c.AccessKey.IsZero() && !c.SecretKey.IsZero():
		return config.Invalid("access_key", "is missing beside secret_key: give both, or none for anonymous access")
	case !c.AccessKey.IsZero() && c.SecretKey.IsZero():
		return config.Invalid("secret_key", "is missing beside access_key: give both, or none for anonymous access")
	}
	return nil
}

func (c *Config) validateInterval() error {
	if time.Duration(c.Interval) < minInterval {
		return config.Invalid("interval", "%v is too short: at least %v", c.Interval, minInterval)
	}
	return nil
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	last := len(allowed) - 1
	list := strings.Join(allowed[:last], ", ") + " or " + allowed[last]
	return config.Invalid(key, "%q is not known: write %s", value, list)
}
