package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/config"
)

func TestRedisServers(t *testing.T) {
	for text, want := range map[string]config.RedisServers{
		"redis://127.0.0.1":              {Addresses: []string{"127.0.0.1:6379"}},
		"redis://a:7000/3":               {Addresses: []string{"a:7000"}, DB: 3},
		"rediss://[::1]:7000":            {Addresses: []string{"[::1]:7000"}, TLS: true},
		"redis://a:7000, redis://b:7001": {Addresses: []string{"a:7000", "b:7001"}, Cluster: true},
	} {
		found, err := (&config.Redis{URL: text}).Servers()
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}

func TestRedisValidate(t *testing.T) {
	cases := map[string]struct {
		redis config.Redis
		want  string
	}{
		"nothing":          {config.Redis{}, "url: it is missing"},
		"another scheme":   {config.Redis{URL: "http://a:1"}, "server 1 is no address"},
		"no scheme":        {config.Redis{URL: "a:6379"}, "server 1 is no address"},
		"a user":           {config.Redis{URL: "redis://me:hidden@a"}, "server 1 has a user in it"},
		"a word":           {config.Redis{URL: "redis://a/two"}, `"two" for the number`},
		"differing":        {config.Redis{URL: "redis://a,rediss://b"}, "server 2 differs"},
		"cluster and db":   {config.Redis{URL: "redis://a/1,redis://b/1"}, "a cluster has no database 1"},
		"user alone":       {config.Redis{URL: "redis://a", User: "me"}, "password: it is missing"},
		"TLS without TLS":  {config.Redis{URL: "redis://a", TLS: config.TLS{ServerName: "b"}}, "write rediss://"},
		"nameless master":  {config.Redis{URL: "redis://a", Sentinel: &config.RedisSentinel{}}, "sentinel.master: it is missing"},
		"sentinel cluster": {config.Redis{URL: "redis://a", Cluster: true, Sentinel: &config.RedisSentinel{Master: "m"}}, "do not lead to a cluster"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := c.redis.Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("found %v; want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("it shows the password: %v", err)
			}
		})
	}
}
