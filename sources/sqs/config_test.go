package sqs

import (
	"strings"
	"testing"

	"sluice/config"
)

func TestParseQueue(t *testing.T) {
	for text, want := range map[string]queue{
		"orders":      {name: "orders"},
		"orders.fifo": {name: "orders.fifo"},
		"arn:aws:sqs:eu-central-1:123456789012:orders": {
			name: "orders", arn: "arn:aws:sqs:eu-central-1:123456789012:orders", account: "123456789012", region: "eu-central-1",
		},
		"https://sqs.eu-central-1.amazonaws.com/123456789012/orders": {
			name: "orders", url: "https://sqs.eu-central-1.amazonaws.com/123456789012/orders", region: "eu-central-1",
		},
		"https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders": {
			name: "orders", url: "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders", region: "cn-north-1",
		},
		"http://127.0.0.1:4566/000000000000/orders": {
			name: "orders", url: "http://127.0.0.1:4566/000000000000/orders", endpoint: "http://127.0.0.1:4566",
		},
	} {
		if got, err := parseQueue(text); err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a b", "orders.lifo", "https://", "https://u:p@h/q", "http://h/q?x=1", "arn:aws:sns:eu-central-1:1:topic", strings.Repeat("q", 81)} {
		if got, err := parseQueue(text); err == nil {
			t.Errorf("%q was taken for %+v", text, got)
		}
	}
}

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
