package nats

import (
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	core := func(change func(*Config)) func(*Config) {
		return func(c *Config) {
			c.Stream, c.Subjects = "", []string{"orders.>"}
			change(c)
		}
	}
	cases := map[string]struct {
		change func(*Config)
		want   string // empty: nothing is wrong
	}{
		"a stream":            {func(*Config) {}, ""},
		"a consumer":          {func(c *Config) { c.Consumer, c.AckWait = "sluice", minAckWait }, ""},
		"from a number":       {func(c *Config) { c.Start = "4711" }, ""},
		"from a time":         {func(c *Config) { c.Start = "2026-01-31T00:00:00Z" }, ""},
		"core subjects":       {core(func(c *Config) { c.Queue = "workers" }), ""},
		"no url":              {func(c *Config) { c.URL = "" }, "url: it is missing"},
		"nothing":             {func(c *Config) { c.Stream = "" }, "stream: it is missing"},
		"a start":             {func(c *Config) { c.Start = "yesterday" }, "start: found"},
		"from none":           {func(c *Config) { c.Start = "0" }, "start: found"},
		"a name":              {func(c *Config) { c.Stream = "a.b" }, "stream: \"a.b\" is no name"},
		"a queue of a stream": {func(c *Config) { c.Queue = "workers" }, "queue: it is for core subjects"},
		"ack_wait alone":      {func(c *Config) { c.AckWait = minAckWait }, "ack_wait: it is for a durable consumer"},
		"a short ack_wait":    {func(c *Config) { c.Consumer, c.AckWait = "c", 1 }, "ack_wait: 1ns is too short"},
		"a core consumer":     {core(func(c *Config) { c.Consumer = "sluice" }), "consumer: it is for a stream"},
		"a core start":        {core(func(c *Config) { c.Start = StartNew }), "start: it is for a stream"},
		"an empty token":      {func(c *Config) { c.Subjects = []string{"a..b"} }, "nothing between two dots"},
		"an early >":          {func(c *Config) { c.Subjects = []string{"a.>.b"} }, "found > before the end"},
		"a space":             {func(c *Config) { c.Subjects = []string{"a b"} }, "a space"},
		"a subject twice":     {func(c *Config) { c.Subjects = []string{"a", "a"} }, "twice"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := NewConfig()
			cfg.URL, cfg.Stream = "nats://127.0.0.1", "ORDERS"
			c.change(cfg)
			err := cfg.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("found %v; want %q", err, c.want)
			}
		})
	}
}
