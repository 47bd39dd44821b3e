// Package s3conn is what everything has in common that speaks S3 with one
// bucket: the keys of its section of the file, the client, and what the errors
// of servers mean.
package s3conn

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"sluice/config"
)

// MaxKey is how long the key of an object may be, in bytes (S3, "Object key
// naming guidelines").
const MaxKey = 1024

// The values of Location.PathStyle.
const (
	auto = "auto"
	on   = "on"
	off  = "off"
)

// A Location says where a bucket is and who asks for it. A section of the file
// embeds it.
type Location struct {
	// Endpoint is the server's URL, such as http://127.0.0.1:9000 or
	// https://s3.eu-central-1.amazonaws.com, without a path.
	Endpoint string `yaml:"endpoint"`
	Bucket   string `yaml:"bucket"`
	// AccessKey and SecretKey sign the requests; both empty means anonymous.
	AccessKey config.Secret `yaml:"access_key"`
	SecretKey config.Secret `yaml:"secret_key"`
	// Region is asked from the server when it is empty.
	Region string `yaml:"region"`
	// PathStyle says whether the bucket is part of the path (on) or of the host
	// name (off); auto is on except at the large providers.
	PathStyle string `yaml:"path_style"`
}

// DefaultLocation has the defaults filled in.
func DefaultLocation() Location { return Location{PathStyle: auto} }

// Validate returns all problems of the keys.
func (l *Location) Validate() error {
	return errors.Join(
		l.validateEndpoint(),
		l.validateBucket(),
		l.validateKeys(),
		OneOf("path_style", l.PathStyle, auto, on, off),
	)
}

func (l *Location) validateEndpoint() error {
	const right = "write the server's URL, such as http://127.0.0.1:9000"
	if l.Endpoint == "" {
		return config.Invalid("endpoint", "is missing: %s", right)
	}
	parsed, err := url.Parse(l.Endpoint)
	switch {
	case err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https"):
		return config.Invalid("endpoint", "%q is not an http or https URL: %s", l.Endpoint, right)
	case parsed.User != nil:
		return config.Invalid("endpoint", "has a user in it: use access_key and secret_key")
	case (parsed.Path != "" && parsed.Path != "/") || parsed.RawQuery != "" || parsed.Fragment != "":
		return config.Invalid("endpoint", "%q has more than a host in it: give the bucket in bucket, and keys in prefix or key", l.Endpoint)
	}
	return nil
}

func (l *Location) validateBucket() error {
	if l.Bucket == "" {
		return config.Invalid("bucket", "is missing: write the bucket's name")
	}
	if err := s3utils.CheckValidBucketName(l.Bucket); err != nil {
		return config.Invalid("bucket", "%q is not a bucket's name: %v", l.Bucket, err)
	}
	return nil
}

func (l *Location) validateKeys() error {
	switch {
	case l.AccessKey.IsZero() && !l.SecretKey.IsZero():
		return config.Invalid("access_key", "is missing beside secret_key: give both, or none for anonymous access")
	case !l.AccessKey.IsZero() && l.SecretKey.IsZero():
		return config.Invalid("secret_key", "is missing beside access_key: give both, or none for anonymous access")
	}
	return nil
}

// OneOf refuses a value that is not among the allowed ones, of which there are
// two at least.
func OneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	last := len(allowed) - 1
	return config.Invalid(key, "%q is not known: write %s or %s", value, strings.Join(allowed[:last], ", "), allowed[last])
}

// Secure tells whether the server is asked over TLS.
func (l *Location) Secure() bool { return strings.HasPrefix(strings.ToLower(l.Endpoint), "https:") }

// Anonymous tells whether requests are not signed.
func (l *Location) Anonymous() bool { return l.AccessKey.IsZero() }

// Client returns a client of the server that sends each request once, by the
// transport. The part names what of sluice asks.
func (l *Location) Client(transport http.RoundTripper, part string) (*minio.Client, error) {
	endpoint, err := url.Parse(l.Endpoint)
	if err != nil {
		return nil, err
	}
	api, err := minio.New(endpoint.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(l.AccessKey.Reveal(), l.SecretKey.Reveal(), ""),
		Secure:       l.Secure(),
		Transport:    transport,
		Region:       l.Region,
		BucketLookup: lookup(l.PathStyle),
		MaxRetries:   1, // whoever asks has a backoff of its own
	})
	if err != nil {
		return nil, err
	}
	api.SetAppInfo("sluice", part)
	return api, nil
}

func lookup(style string) minio.BucketLookupType {
	switch style {
	case on:
		return minio.BucketLookupPath
	case off:
		return minio.BucketLookupDNS
	default:
		return minio.BucketLookupAuto
	}
}
