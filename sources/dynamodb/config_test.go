package dynamodb

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // a part of the error; empty for none
	}{
		"a name":          {func(*Config) {}, ""},
		"a time":          {func(c *Config) { c.Start = "2026-01-31T12:00:00Z" }, ""},
		"no table":        {func(c *Config) { c.Table = "" }, "table: it is missing"},
		"no name":         {func(c *Config) { c.Table = "a b" }, `table: "a b" is no name of a table`},
		"too short":       {func(c *Config) { c.Table = "ab" }, "it has 3 to 255 letters"},
		"an ARN":          {func(c *Config) { c.Table = "arn:aws:dynamodb:eu-central-1:123456789012:table/orders" }, "is an ARN: write the table's name alone"},
		"no start":        {func(c *Config) { c.Start = "earliest" }, `start: found "earliest"; write latest, trim_horizon, or a time`},
		"asked too often": {func(c *Config) { c.Poll = config.Duration(100 * time.Millisecond) }, "poll: expected 200ms to 1m0s, found 100ms"},
		"on_lost":         {func(c *Config) { c.OnLost = "x" }, `on_lost: found "x"; write continue or stop`},
		"half a pair":     {func(c *Config) { c.SecretKey = config.Secret{} }, "secret_key: it is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := NewConfig()
			cfg.AWS = config.AWS{Endpoint: "http://127.0.0.1:1", AccessKey: config.NewSecret("AKID"), SecretKey: config.NewSecret("hidden")}
			cfg.Table = "orders"
			c.change(cfg)
			err := cfg.Validate()
			if (c.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q in it", err, c.want)
			}
		})
	}
}
