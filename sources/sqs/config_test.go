package sqs

import (
	"strings"
	"testing"

	"sluice/config"
)

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"":                          func(*Config) {},
		"queue: it is missing":      func(c *Config) { c.Queue = "" },
		"receivers: found 0":        func(c *Config) { c.Receivers = 0 },
		"receivers: found 33":       func(c *Config) { c.Receivers = 33 },
		"visibility: found 1s":      func(c *Config) { c.Visibility = config.Duration(1e9) },
		"visibility: found 2.5s":    func(c *Config) { c.Visibility = config.Duration(25e8) },
		"wait: found 21s":           func(c *Config) { c.Wait = config.Duration(21e9) },
		"region: it is missing":     func(c *Config) { c.Queue = "orders" },
		"secret_key: it is missing": func(c *Config) { c.SecretKey = config.Secret{} },
	} {
		c := NewConfig()
		c.Queue, c.AccessKey, c.SecretKey = "https://sqs.eu-central-1.amazonaws.com/1/orders", config.NewSecret("key"), config.NewSecret("secret")
		change(c)
		err := c.Validate()
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
