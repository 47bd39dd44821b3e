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
		"a template":          {func(c *Config) { c.Key = "orders:{{ .data.customer }}" }, ""},
		"no key":              {func(c *Config) { c.Key = "" }, "key: it is missing"},
		"a broken template":   {func(c *Config) { c.Key = "{{ .data" }, "key: "},
		"a mode":              {func(c *Config) { c.Mode = "xml" }, "mode: found \"xml\""},
		"a negative bound":    {func(c *Config) { c.MaxLen = -1 }, "max_len: found -1"},
		"a short age":         {func(c *Config) { c.MaxAge = 1 }, "max_age: 1ns is too short"},
		"two bounds":          {func(c *Config) { c.MaxLen, c.MaxAge = 1, minMaxAge }, "leave max_len or max_age out"},
		"replicas":            {func(c *Config) { c.Replicas = 1000 }, "replicas: found 1000"},
		"replicas in cluster": {func(c *Config) { c.Replicas, c.Cluster = 1, true }, "replicas: it is for one server"},
		"no url":              {func(c *Config) { c.URL = "" }, "url: it is missing"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := NewConfig()
			cfg.Redis, cfg.Key = config.Redis{URL: "redis://127.0.0.1"}, "orders"
			c.change(cfg)
			err := cfg.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("found %v; want %q", err, c.want)
			}
		})
	}
}
