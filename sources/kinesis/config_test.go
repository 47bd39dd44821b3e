package kinesis

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValidate(t *testing.T) {
	arn := "arn:aws:kinesis:eu-central-1:123456789012:stream/orders"
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // a part of the error; empty for none
	}{
		"a name":          {func(*Config) {}, ""},
		"an ARN":          {func(c *Config) { c.Stream = arn }, ""},
		"a time":          {func(c *Config) { c.Start = "2026-01-31T12:00:00Z" }, ""},
		"no stream":       {func(c *Config) { c.Stream = "" }, "stream: it is missing"},
		"no name":         {func(c *Config) { c.Stream = "a b" }, `stream: "a b" is no name`},
		"another ARN":     {func(c *Config) { c.Stream = "arn:aws:sqs:eu-central-1:123456789012:orders" }, "is no name of a stream and no ARN"},
		"no start":        {func(c *Config) { c.Start = "earliest" }, `start: found "earliest"; write latest, trim_horizon`},
		"asked too often": {func(c *Config) { c.Poll = config.Duration(100 * time.Millisecond) }, "poll: expected 200ms to 1m0s, found 100ms"},
		"no refresh":      {func(c *Config) { c.Refresh = 0 }, "refresh: expected 1s to 1h0m0s"},
		"on_lost":         {func(c *Config) { c.OnLost = "x" }, `on_lost: found "x"; write continue or stop`},
		"on_large":        {func(c *Config) { c.OnLarge = "x" }, `on_large: found "x"; write wait or skip`},
		"half a pair":     {func(c *Config) { c.SecretKey = config.Secret{} }, "secret_key: it is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := NewConfig()
			cfg.AWS = config.AWS{Endpoint: "http://127.0.0.1:1", AccessKey: config.NewSecret("AKID"), SecretKey: config.NewSecret("hidden")}
			cfg.Stream = "orders"
			c.change(cfg)
			err := cfg.Validate()
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("got %v, want %q in it", err, c.want)
			}
			if arn := cfg.Stream; err == nil && cfg.name() != "orders" {
				t.Errorf("the name in %q is %q", arn, cfg.name())
			}
		})
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
