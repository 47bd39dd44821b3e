package kafka

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/config"
	"sluice/connect/kafkaconn"
	"sluice/sources"
)

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"brokers: it is missing":             func(c *Config) { c.Brokers = nil },
		`brokers[1]: "a" is no broker`:       func(c *Config) { c.Brokers = append(c.Brokers, "a") },
		"topics: it is missing":              func(c *Config) { c.Topics = nil },
		"topics[0]: ":                        func(c *Config) { c.Topics = []string{"a*"} },
		`topics[1]: "orders" stands there`:   func(c *Config) { c.Topics = []string{topic, topic} },
		"pattern: there are topics":          func(c *Config) { c.Pattern = "a" },
		`pattern: "(" is no regular`:         func(c *Config) { c.Topics, c.Pattern = nil, "(" },
		"group: it is missing":               func(c *Config) { c.Offsets = ByGroup },
		"group: ":                            func(c *Config) { c.Group = " a" },
		`offsets: found "x"`:                 func(c *Config) { c.Offsets = "x" },
		`start: found "yesterday"`:           func(c *Config) { c.Start = "yesterday" },
		`on_lost: found "x"`:                 func(c *Config) { c.OnLost = "x" },
		"session_timeout: it is for members": func(c *Config) { c.SessionTimeout = config.Duration(time.Minute) },
		"session_timeout: expected":          func(c *Config) { c.Group, c.SessionTimeout = "g", config.Duration(time.Millisecond) },
		"refresh: expected":                  func(c *Config) { c.Refresh = 0 },
		"buffer: expected":                   func(c *Config) { c.Buffer = 1 },
		"sasl.mechanism: found":              func(c *Config) { c.SASL = &kafkaconn.SASL{} },
		"sasl.user: user or password":        func(c *Config) { c.SASL = &kafkaconn.SASL{Mechanism: kafkaconn.Plain} },
		"sasl.oauth: it is missing":          func(c *Config) { c.SASL = &kafkaconn.SASL{Mechanism: kafkaconn.OAuthBearer} },
		"sasl.oauth: it is for":              func(c *Config) { c.SASL = &kafkaconn.SASL{Mechanism: kafkaconn.Plain, OAuth: &kafkaconn.OAuth{}} },
		"sasl.oauth.token_url: ":             func(c *Config) { c.SASL = &kafkaconn.SASL{Mechanism: kafkaconn.OAuthBearer, OAuth: &kafkaconn.OAuth{}} },
		"tls.ca_file: ":                      func(c *Config) { c.TLS = &config.TLS{CAFile: "missing"} },
	} {
		c := NewConfig()
		c.Brokers, c.Topics = []string{"127.0.0.1:9092"}, []string{topic}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
}

func TestPlacement(t *testing.T) {
	for group, want := range map[string]sources.Placement{"": sources.OnOne, "g": sources.OnAll} {
		if got := (&source{cfg: Config{Group: group}}).Placement(); got != want {
			t.Errorf("group %q runs on %v, want %v", group, got, want)
		}
	}
}

// Names of shards are those that the bus takes, and tell all partitions apart.
func TestShards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.OneOf(rapid.StringMatching(`[a_.d-]{1,6}`), rapid.StringMatching(`[A-Za-z0-9._-]{100,249}`))
		one, other := names.Draw(t, "one"), names.Draw(t, "other")
		number := rapid.Int32Min(0).Draw(t, "number")
		shard := shardOf(one, number)
		if len(shard) > maxShard || strings.Trim(shard, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("%q", shard)
		}
		if one != other && shard == shardOf(other, number) || shard == beginningOf(one) || shard == beginningOf(other) {
			t.Fatalf("%q and %q are both %q", one, other, shard)
		}
	})
}

func TestCursor(t *testing.T) {
	at := cursor{Topic: "T", Offset: 7, Generation: 2}
	got, err := decodeCursor(at.encode())
	if at.Version = cursorVersion; err != nil || *got != at {
		t.Errorf("got %+v, %v", got, err)
	}
	for text, want := range map[string]string{`{"v":2}`: "by a newer sluice", `{"offset":1}`: "no version", "x": "cannot be read", `{"v":1,"offset":-1}`: "below 0"} {
		if _, err := decodeCursor([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if got, err := decodeCursor(nil); got != nil || err != nil {
		t.Errorf("nothing is %+v, %v", got, err)
	}
}

// A position is always within the log, and nothing is left out without a loss.
func TestLocate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offset := rapid.Int64Range(none, 20)
		s := standing{committed: offset.Draw(t, "committed"), beginning: offset.Draw(t, "beginning"), topic: rapid.SampledFrom([]string{"", "A", "B"}).Draw(t, "topic")}
		s.start = rapid.Int64Range(0, 10).Draw(t, "start")
		s.end = rapid.Int64Range(s.start, 20).Draw(t, "end")
		if rapid.Bool().Draw(t, "cursor") {
			s.cursor = &cursor{Offset: rapid.Int64Range(0, 20).Draw(t, "at"), Topic: rapid.SampledFrom([]string{"", "A"}).Draw(t, "of")}
		}
		onLost := rapid.SampledFrom([]OnLost{LostEarliest, LostLatest, LostFail}).Draw(t, "on lost")
		at, lost := locate(s, onLost)
		if at.Offset < s.start || at.Offset > s.end {
			t.Fatalf("%+v is outside", at)
		}
		wanted := s.start
		switch {
		case s.cursor != nil:
			wanted = s.cursor.Offset
		case s.committed != none:
			wanted = s.committed
		case s.beginning != none:
			wanted = s.beginning
		}
		if other := s.cursor != nil && s.topic == "B" && s.cursor.Topic == "A"; lost == nil && (at.Offset != wanted || other) {
			t.Fatalf("it goes on at %+v, not at %d, and nothing is lost", at, wanted)
		}
		if s.cursor != nil && lost != nil && at.Offset < s.cursor.Offset && at.Generation == s.cursor.Generation && at.Topic == s.cursor.Topic {
			t.Fatalf("%+v gives the ids again that were there before %d", at, s.cursor.Offset)
		}
	})
}
