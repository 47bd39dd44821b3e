package sqs

import (
	"strings"
	"testing"

	"sluice/config"
)

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"":                         func(c *Config) { c.Queue += ".fifo"; c.Group = "{{ .subject }}" },
		"queue: it is missing":     func(c *Config) { c.Queue = "" },
		"mode: found":              func(c *Config) { c.Mode = "binary" },
		"group: it is for FIFO":    func(c *Config) { c.Group = "x" },
		"region: it is missing":    func(c *Config) { c.Queue = "orders" },
		"egress: found":            func(c *Config) { c.Egress = "none" },
		"secret_key: it is missin": func(c *Config) { c.SecretKey = config.Secret{} },
	} {
		c := NewConfig()
		c.Queue, c.AccessKey, c.SecretKey = "https://sqs.eu-central-1.amazonaws.com/1/orders", config.NewSecret("key"), config.NewSecret("secret")
		change(c)
		if err := c.Validate(); (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
