package redis

import (
	"strings"
	"testing"

	"sluice/config"
)

func TestValidate(t *testing.T) {
	cases := map[string]struct {
		change func(*Config)
		want   string // empty: nothing is wrong
	}{
		"a stream":            {func(*Config) {}, ""},
		"a group":             {func(c *Config) { c.Group, c.Consumer, c.Start = "g", "me", "1700000000000-0" }, ""},
		"a list":              {func(c *Config) { c.Streams, c.List = nil, "jobs" }, ""},
		"nothing":             {func(c *Config) { c.Streams = nil }, "streams: it is missing"},
		"both":                {func(c *Config) { c.List = "jobs" }, "list: there are streams already"},
		"a stream twice":      {func(c *Config) { c.Streams = []string{"a", "a"} }, "twice"},
		"an empty stream":     {func(c *Config) { c.Streams = []string{""} }, "found an empty key"},
		"a long key":          {func(c *Config) { c.Streams = []string{strings.Repeat("k", 600)} }, "has 600 bytes"},
		"a key of controls":   {func(c *Config) { c.Streams = []string{"a\x01"} }, "no attribute of an event may have"},
		"many":                {func(c *Config) { c.Streams = make([]string, 65) }, "found 65"},
		"a start":             {func(c *Config) { c.Start = "yesterday" }, "start: found"},
		"consumer alone":      {func(c *Config) { c.Consumer = "me" }, "consumer: it is for a consumer group"},
		"claim_after alone":   {func(c *Config) { c.ClaimAfter = 0 }, "claim_after: it is for a consumer group"},
		"no consumer":         {func(c *Config) { c.Group, c.Consumer = "g", "" }, "consumer: it is empty"},
		"a short claim_after": {func(c *Config) { c.Group, c.ClaimAfter = "g", 1 }, "claim_after: 1ns is too short"},
		"from of a stream":    {func(c *Config) { c.From = FromLeft }, "from: it is for a list"},
		"from of a list":      {func(c *Config) { c.Streams, c.List, c.From = nil, "jobs", "top" }, "from: found"},
		"start of a list":     {func(c *Config) { c.Streams, c.List, c.Start = nil, "jobs", StartNew }, "start: it is for streams"},
		"no url":              {func(c *Config) { c.URL = "" }, "url: it is missing"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := NewConfig()
			cfg.Redis, cfg.Streams = config.Redis{URL: "redis://127.0.0.1"}, []string{"orders"}
			c.change(cfg)
			err := cfg.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("found %v; want %q", err, c.want)
			}
		})
	}
}
