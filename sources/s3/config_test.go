package s3

import (
	"strings"
	"testing"
	"time"

	"sluice/config"
	sourcehttp "sluice/sources/http"
)

func TestValidate(t *testing.T) {
	cases := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"defaults", func(*Config) {}, ""},
		{"https", func(c *Config) { c.Endpoint = "https://s3.eu-central-1.amazonaws.com/" }, ""},
		{"no endpoint", func(c *Config) { c.Endpoint = "" }, "endpoint: is missing: write the server's URL, such as http://127.0.0.1:9000"},
		{"no scheme", func(c *Config) { c.Endpoint = "127.0.0.1:9000" }, `endpoint: "127.0.0.1:9000" is not an http or https URL: write the server's URL, such as http://127.0.0.1:9000`},
		{"other scheme", func(c *Config) { c.Endpoint = "s3://photos" }, `endpoint: "s3://photos" is not an http or https URL: write the server's URL, such as http://127.0.0.1:9000`},
		{"control character", func(c *Config) { c.Endpoint = "http://a\x01" }, `endpoint: "http://a\x01" is not an http or https URL: write the server's URL, such as http://127.0.0.1:9000`},
		{"path", func(c *Config) { c.Endpoint = "http://a/photos" }, `endpoint: "http://a/photos" has more than a host in it: give the bucket in bucket, and keys in prefix or key`},
		{"user", func(c *Config) { c.Endpoint = "http://u:p@a" }, "endpoint: has a user in it: use access_key and secret_key"},
		{"no bucket", func(c *Config) { c.Bucket = "" }, "bucket: is missing: write the bucket's name"},
		{"bad bucket", func(c *Config) { c.Bucket = "a" }, `bucket: "a" is not a bucket's name: Bucket name cannot be shorter than 3 characters`},
		{"bad prefix", func(c *Config) { c.Prefix = "\xff" }, `prefix: "\xff" cannot be part of a key: Object name with non UTF-8 strings are not supported`},
		{"long suffix", func(c *Config) { c.Suffix = strings.Repeat("x", 1025) }, "suffix: is 1025 bytes long, but keys have at most 1024"},
		{"no path", func(c *Config) { c.Notify = &sourcehttp.Inlet{} }, "notify.path: missing: write where requests come in, such as /hooks/orders"},
		{"a star", func(c *Config) { c.Notify = &sourcehttp.Inlet{Path: "/s3/*"} }, `notify.path: "/s3/*": write one path, without a star`},
		{"short token", func(c *Config) {
			c.Notify = &sourcehttp.Inlet{Path: "/s3", Token: config.Secrets{config.NewSecret("x")}}
		}, "notify.token: it has 1 characters: use at least 16"},
		{"no token", func(c *Config) { c.Notify = &sourcehttp.Inlet{Path: "/s3", Token: config.Secrets{}} }, "notify.token: the list is empty: write a token of at least 16 characters"},
		{"half a key", func(c *Config) { c.AccessKey = config.NewSecret("x") }, "secret_key: is missing beside access_key: give both, or none for anonymous access"},
		{"other half", func(c *Config) { c.SecretKey = config.NewSecret("x") }, "access_key: is missing beside secret_key: give both, or none for anonymous access"},
		{"path style", func(c *Config) { c.PathStyle = "yes" }, `path_style: "yes" is not known: write auto, on or off`},
		{"listen", func(c *Config) { c.Listen = "on" }, `listen: "on" is not known: write auto or off`},
		{"interval", func(c *Config) { c.Interval = config.Duration(time.Millisecond) }, "interval: 1ms is too short: at least 1s"},
		{"several", func(c *Config) { c.Bucket, c.Listen = "", "x" }, "bucket: is missing: write the bucket's name\nlisten: \"x\" is not known: write auto or off"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			cfg := Adapter().Config().(*Config)
			cfg.Endpoint, cfg.Bucket = "http://127.0.0.1:9000", bucket
			tc.change(cfg)
			got := ""
			if err := cfg.Validate(); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("%s\nwant\n%s", got, tc.want)
			}
		})
	}
}
