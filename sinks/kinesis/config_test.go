package kinesis

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"sluice/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // a part of the error; empty for none
	}{
		"a name":        {func(*Config) {}, ""},
		"an ARN":        {func(c *Config) { c.Stream = "arn:aws:kinesis:eu-central-1:123456789012:stream/orders" }, ""},
		"templates":     {func(c *Config) { c.PartitionKey, c.ExplicitHashKey = "{{ .type }}", "{{ .data.hash }}" }, ""},
		"fixed keys":    {func(c *Config) { c.PartitionKey, c.ExplicitHashKey = "all", "0" }, ""},
		"no stream":     {func(c *Config) { c.Stream = "" }, "stream: it is missing"},
		"no name":       {func(c *Config) { c.Stream = "a b" }, `stream: "a b" is no name of a stream`},
		"another ARN":   {func(c *Config) { c.Stream = "arn:aws:sqs:eu-central-1:123456789012:orders" }, "and no ARN of one"},
		"binary":        {func(c *Config) { c.Mode = "binary" }, `mode: found "binary"; write structured or raw`},
		"no template":   {func(c *Config) { c.PartitionKey = "{{ .type" }, "partition_key: "},
		"too long":      {func(c *Config) { c.PartitionKey = strings.Repeat("x", 257) }, "partition_key: a key of 257 characters: it takes 1 to 256"},
		"no number":     {func(c *Config) { c.ExplicitHashKey = "x" }, `explicit_hash_key: "x": it takes a whole number from 0 to 2^128-1`},
		"too large":     {func(c *Config) { c.ExplicitHashKey = "340282366920938463463374607431768211456" }, "explicit_hash_key: "},
		"half a pair":   {func(c *Config) { c.SecretKey = config.Secret{} }, "secret_key: it is missing"},
		"no such guard": {func(c *Config) { c.Egress = "none" }, "egress: found"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := NewConfig()
			cfg.AWS = config.AWS{Endpoint: "http://127.0.0.1:1", AccessKey: config.NewSecret("AKID"), SecretKey: config.NewSecret("hidden")}
			cfg.Stream = "orders"
			c.change(cfg)
			err := cfg.Validate()
			if (c.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestHash(t *testing.T) {
	for text, ok := range map[string]bool{
		"0": true, "340282366920938463463374607431768211455": true, "340282366920938463463374607431768211456": false,
		"01": false, "": false, "-1": false, "1e3": false, "1234567890123456789012345678901234567890": false,
	} {
		if err := checkHash(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestRegionOfAnARN takes the region of an ARN unless another one is written.
func TestRegionOfAnARN(t *testing.T) {
	for stream, want := range map[string]string{
		"orders": "", "arn:aws:kinesis:eu-central-1:123456789012:stream/orders": "eu-central-1",
	} {
		cfg := NewConfig()
		cfg.AccessKey, cfg.SecretKey, cfg.Stream = config.NewSecret("AKID"), config.NewSecret("hidden"), stream
		if section, err := cfg.section(), cfg.Validate(); section.Region != want || (err == nil) != (want != "") {
			t.Errorf("%s: the region is %q: %v", stream, section.Region, err)
		}
		cfg.Region = "us-east-1"
		if section, err := cfg.section(), cfg.Validate(); section.Region != "us-east-1" || err != nil {
			t.Errorf("%s: the region is %q: %v", stream, section.Region, err)
		}
	}
}
