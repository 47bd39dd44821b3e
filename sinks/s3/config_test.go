package s3_test

import (
	"strings"
	"testing"

	"sluice/config"
	sinks3 "sluice/sinks/s3"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*sinks3.Config)
		want   string // nothing: it is right
	}{
		{"as it is", func(*sinks3.Config) {}, ""},
		{"raw by id", func(c *sinks3.Config) { c.Format, c.Key = sinks3.Raw, "{{ .id }}.json" }, ""},
		{"KMS", func(c *sinks3.Config) { c.Encryption, c.KMSKey = sinks3.ByKMS, "alias/a" }, ""},
		{"no endpoint", func(c *sinks3.Config) { c.Endpoint = "" }, "endpoint: is missing"},
		{"no bucket", func(c *sinks3.Config) { c.Bucket = "" }, "bucket: is missing"},
		{"half of the keys", func(c *sinks3.Config) { c.AccessKey = config.NewSecret("a") }, "secret_key: is missing"},
		{"key", func(c *sinks3.Config) { c.Key = "{{ .id" }, "key: "},
		{"the same key for all batches", func(c *sinks3.Config) { c.Key = "all/{{ .time[:10] }}.jsonl" }, "key: found neither .sluicebatch nor .sluicedelivery"},
		{"the same key for all", func(c *sinks3.Config) { c.Format, c.Key = sinks3.Raw, "latest" }, "key: found no {{"},
		{"format", func(c *sinks3.Config) { c.Format = "csv" }, `format: "csv" is not known: write events, data or raw`},
		{"compression", func(c *sinks3.Config) { c.Compression = "xz" }, `compression: "xz" is not known: write none, gzip or zstd`},
		{"metadata's name", func(c *sinks3.Config) { c.Metadata = map[string]string{"a b": ""} }, "metadata.a b: "},
		{"metadata of sluice", func(c *sinks3.Config) { c.Metadata = map[string]string{"Sluice-Trigger": ""} }, "metadata.Sluice-Trigger: "},
		{"metadata's template", func(c *sinks3.Config) { c.Metadata = map[string]string{"a": "{{ ( }}"} }, "metadata.a: "},
		{"storage class", func(c *sinks3.Config) { c.StorageClass = "a b" }, "storage_class: "},
		{"encryption", func(c *sinks3.Config) { c.Encryption = "aes" }, "encryption: "},
		{"KMS key alone", func(c *sinks3.Config) { c.KMSKey = "a" }, "kms_key: "},
		{"TLS", func(c *sinks3.Config) { c.TLS.CAFile = "/nowhere" }, "tls.ca_file: "},
		{"egress", func(c *sinks3.Config) { c.Egress = "none" }, "egress: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := sinks3.NewConfig()
			cfg.Endpoint, cfg.Bucket = "http://127.0.0.1:9000", "archive"
			c.change(cfg)
			err := cfg.Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
