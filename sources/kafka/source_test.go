package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/config"
	"sluice/connect/kafkaconn"
	"sluice/event"
	"sluice/sources/sourcetest"
)

// With start: latest what was there before the source first ran is left out, and
// nothing that comes after: not what comes while it is away, nor what is in
// topics and partitions that are newer.
func TestStart(t *testing.T) {
	for _, group := range []string{"", "sluice"} {
		t.Run("group "+group, func(t *testing.T) {
			c := newCluster(t)
			produce(t, c, records(0, 8)...)
			cfg := newConfig(c)
			cfg.Start, cfg.Group = startLatest, group
			cfg.Topics = []string{topic, "later"}
			out := sourcetest.NewOut()
			r := run(t, cfg, out)
			r.ill(t, `the topic "later" does not exist`)
			if group != "" {
				stable(t, c, 1)
			}
			sourcetest.Eventually(t, "partitions", func() bool { age, items := lagOf(r); return age == 0 && items == 0 })
			for _, entry := range cfg.Topics { // where it begins is kept
				out.WaitCursor(t, beginningOf(entry), func(data []byte) bool { return len(data) > 0 })
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			produce(t, c, records(8, 4)...) // no partition has a cursor yet
			if err := c.CreateTopic("later", 2, nil); err != nil {
				t.Fatal(err)
			}
			produce(t, c, &kgo.Record{Topic: "later", Partition: 1, Value: []byte("new")})
			out = out.Restart()
			run(t, cfg, out)
			events := out.Wait(t, 5)
			for _, e := range events {
				if text := string(e.Data); text != "new" && (len(text) < 6 || text < `{"n":8}` && len(text) == 7) {
					t.Errorf("there is %s", text)
				}
			}
			if len(events) != 5 {
				t.Errorf("%d events", len(events))
			}
		})
	}
}

func lagOf(r *running) (time.Duration, int64) { return r.source.(*source).Lag() }

func TestStartAtTime(t *testing.T) {
	c := newCluster(t)
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i, r := range records(0, 8) {
		r.Timestamp = at.Add(time.Duration(i-4) * time.Minute)
		produce(t, c, r)
	}
	cfg := newConfig(c)
	cfg.Start = at.Format(time.RFC3339)
	out := sourcetest.NewOut()
	run(t, cfg, out)
	for _, e := range out.Wait(t, 4) {
		if e.Time.Before(at) {
			t.Errorf("there is %s of %v", e.Data, e.Time)
		}
	}
	if age, items := lagOf(&running{source: &source{}}); age != -1 || items != -1 {
		t.Errorf("a source that does not run says %v, %d", age, items)
	}
}

// Topics that match the pattern are found when they are created, and others are not.
func TestPattern(t *testing.T) {
	for _, group := range []string{"", "sluice"} {
		t.Run("group "+group, func(t *testing.T) {
			c := newCluster(t)
			cfg := newConfig(c)
			cfg.Topics, cfg.Pattern, cfg.Group = nil, `logs\..*`, group
			out := sourcetest.NewOut()
			r := run(t, cfg, out)
			r.ill(t, "no topic matches")
			for _, name := range []string{"logs.a", "more-logs.b"} {
				if err := c.CreateTopic(name, 1, nil); err != nil {
					t.Fatal(err)
				}
				produce(t, c, &kgo.Record{Topic: name, Value: []byte(name)})
			}
			if events := out.Wait(t, 1); string(events[0].Data) != "logs.a" {
				t.Errorf("got %s", events[0].Data)
			}
			r.ill(t, "<nil>")
			produce(t, c, &kgo.Record{Topic: "logs.a", Value: []byte("again")})
			if n := len(out.Wait(t, 2)); n != 2 {
				t.Errorf("%d events", n)
			}
		})
	}
}

// What was deleted before it was read is told, and on_lost decides.
func TestLost(t *testing.T) {
	for _, group := range []string{"", "sluice"} {
		for onLost, want := range map[OnLost]string{LostEarliest: `{"n":40}`, LostLatest: `{"n":80}`, LostFail: ""} {
			t.Run(fmt.Sprintf("group %s, %s", group, onLost), func(t *testing.T) {
				c := newCluster(t)
				cfg := newConfig(c)
				cfg.OnLost, cfg.Group = onLost, group
				out := sourcetest.NewOut()
				r := run(t, cfg, out)
				produce(t, c, records(0, 4)...)
				out.Wait(t, 4)
				if err := r.stop(); err != nil {
					t.Fatal(err)
				}
				produce(t, c, records(4, 40)...)
				if err := c.DeleteRecords(topic, 0, 10); err != nil {
					t.Fatal(err)
				}
				out = out.Restart()
				r = run(t, cfg, out)
				r.ill(t, "partition orders/0: the records from offset 1 to")
				others := out.Wait(t, 34)
				produce(t, c, record(80))
				if onLost == LostFail {
					r.ill(t, "orders/0 is not read any more")
					produce(t, c, record(81))
					if events := out.Wait(t, 35); string(events[34].Data) != `{"n":81}` {
						t.Errorf("got %s", events[34].Data)
					}
					return
				}
				found := false
				for _, e := range append(others, out.Wait(t, 35)[34]) {
					found = found || string(e.Data) == want
				}
				if !found {
					t.Errorf("%s is not there", want)
				}
			})
		}
	}
}

// A topic that is created again is read from its first record, under other ids.
func TestRecreatedTopic(t *testing.T) {
	for _, group := range []string{"", "sluice"} {
		t.Run("group "+group, func(t *testing.T) {
			c := newCluster(t)
			cfg := newConfig(c)
			cfg.Group = group
			out := sourcetest.NewOut()
			r := run(t, cfg, out)
			produce(t, c, records(0, 8)...)
			out.Wait(t, 8)
			if err := c.DeleteTopic(topic); err != nil {
				t.Fatal(err)
			}
			r.ill(t, "does not exist")
			if err := c.CreateTopic(topic, 4, nil); err != nil {
				t.Fatal(err)
			}
			produce(t, c, records(0, 8)...)
			if n := len(out.Wait(t, 16)); n != 16 {
				t.Errorf("%d events, want 16", n)
			}
			r.ill(t, "created again")
		})
	}
}

// A partition that is added is read from its first record.
func TestNewPartitions(t *testing.T) {
	c := newCluster(t)
	cfg := newConfig(c)
	cfg.Start = startLatest
	out := sourcetest.NewOut()
	r := run(t, cfg, out)
	sourcetest.Eventually(t, "partitions", func() bool { age, items := lagOf(r); return age == 0 && items == 0 })
	addPartitions(t, c, 6)
	produce(t, c, &kgo.Record{Topic: topic, Partition: 5, Value: []byte("here")})
	if events := out.Wait(t, 1); string(events[0].Data) != "here" {
		t.Errorf("got %s", events[0].Data)
	}
}

// tooLarge refuses what the bus would.
type tooLarge struct{ *sourcetest.Out }

func (o tooLarge) PublishAt(ctx context.Context, shard string, cursor []byte, events ...event.Event) error {
	for i := range events {
		if err := event.CheckSize(&events[i], 4096); err != nil {
			return fmt.Errorf("event %q: %w", events[i].ID, err)
		}
	}
	return o.Out.PublishAt(ctx, shard, cursor, events...)
}

// A record that is too large is passed over and told; those around it are not.
func TestTooLarge(t *testing.T) {
	c := newCluster(t)
	out := tooLarge{sourcetest.NewOut()}
	r := run(t, newConfig(c), out)
	all := records(0, 100)
	all[40].Value = []byte(strings.Repeat("x", 5000))
	produce(t, c, all...)
	if n := len(out.Wait(t, 99)); n != 99 {
		t.Errorf("%d events, want 99", n)
	}
	r.ill(t, "the record orders/0/10 was passed over")
	if data, err := out.Restart().Cursor(t.Context(), shardOf(topic, 0)); err != nil || !strings.Contains(string(data), `"offset":25`) {
		t.Errorf("the cursor is %s, %v", data, err)
	}
}

func TestWrongSettings(t *testing.T) {
	secure := newCluster(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "sluice", "right"), kfake.Superuser("PLAIN", "plain", "right"), kfake.Superuser("SCRAM-SHA-512", "strong", "right"))
	refusing := newCluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "plain", "right"))
	refusing.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		refusing.KeepControl()
		answer := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		answer.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return answer, nil, true
	})
	right := config.NewSecret("right")
	for name, test := range map[string]struct {
		cluster *kfake.Cluster
		change  func(*Config)
		want    string
	}{
		"wrong password": {secure, sasl("scram-sha-256", "sluice", config.NewSecret("wrong")), "says who it is (sasl)"},
		"no password":    {secure, func(*Config) {}, "expect sasl, or tls"},
		"refused":        {refusing, sasl("plain", "plain", right), "the brokers refuse who sluice says to be (sasl)"},
		"plain":          {secure, sasl("plain", "plain", right), ""},
		"scram 256":      {secure, sasl("scram-sha-256", "sluice", right), ""},
		"scram 512":      {secure, sasl("scram-sha-512", "strong", right), ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newConfig(test.cluster)
			test.change(cfg)
			built, err := cfg.Source(sourcetest.Env("kafka", nil))
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" {
				sourcetest.Run(t, built, sourcetest.NewOut())
				sourcetest.Eventually(t, "reading", func() bool { age, _ := built.(*source).Lag(); return age == 0 })
				return
			}
			if err := built.Run(t.Context(), sourcetest.NewOut()); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "wrong") {
				t.Errorf("Run has returned %v", err)
			}
		})
	}
}

func sasl(mechanism kafkaconn.Mechanism, user string, password config.Secret) func(*Config) {
	return func(c *Config) {
		c.SASL = &kafkaconn.SASL{Mechanism: mechanism, User: user, Password: password}
	}
}

func addPartitions(t *testing.T, c *kfake.Cluster, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).UpdatePartitions(t.Context(), n, topic); err != nil {
		t.Fatal(err)
	}
}

// A partition without a leader does not keep the others from being read.
func TestPartitionWithoutLeader(t *testing.T) {
	for _, group := range []string{"", "sluice"} {
		t.Run("group "+group, func(t *testing.T) {
			c := newCluster(t)
			produce(t, c, records(0, 8)...)
			away := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets, kmsg.Fetch}, Topic: topic, Partitions: []int32{2}, Err: kerr.LeaderNotAvailable, Count: -1})
			cfg := newConfig(c)
			cfg.Group = group
			out := sourcetest.NewOut()
			run(t, cfg, out)
			out.Wait(t, 6)
			away.Remove()
			wantEach(t, out, 8)
		})
	}
}
