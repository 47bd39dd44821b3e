//go:build integration

package kafka_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/config"
	"sluice/connect/kafkaconn"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/certificates"
	"sluice/integration/kafka"
	"sluice/sources"
	source "sluice/sources/kafka"
	"sluice/sources/sourcetest"
)

const (
	topic      = "orders"
	partitions = 4
	password   = "a-long-password"
)

func TestSource(t *testing.T) {
	sourcetest.Exercise(t, sourcetest.Fixture{
		Name: "kafka", Kill: adapters.KillSource, Start: upstream(func(*source.Config) {}, ""),
		Without: map[string]string{"I5: same id twice": "a topic shows a record again only to those that ask for it"},
	})
}

func TestSourceInGroup(t *testing.T) {
	group := func(c *source.Config) { c.Group, c.SessionTimeout = "sluice", config.Duration(time.Second) }
	for name, change := range map[string]func(*source.Config){
		"cursor": group,
		"group":  func(c *source.Config) { group(c); c.Offsets = source.ByGroup },
	} {
		t.Run(name, func(t *testing.T) {
			u := upstream(change, "group: sluice, session_timeout: 1s, offsets: "+name)(t)
			u.Exact = name == "cursor"
			adapters.KillSource(t, u)
		})
	}
}

func BenchmarkSource(b *testing.B) {
	adapters.BenchSource(b, "kafka", upstream(func(*source.Config) {}, ""))
}

func section(broker *kafka.Broker) *source.Config {
	c := source.NewConfig()
	c.Brokers, c.Topics, c.Start, c.Refresh = []string{broker.Address}, []string{topic}, "earliest", config.Duration(time.Second)
	c.SASL = &kafkaconn.SASL{Mechanism: kafkaconn.ScramSHA512, User: kafka.User, Password: config.NewSecret(password)}
	return c
}

// upstream starts a broker with a topic. keys are those that change makes, as they
// stand in the file.
func upstream(change func(*source.Config), keys string) func(tb testing.TB) sourcetest.Upstream {
	return func(tb testing.TB) sourcetest.Upstream {
		tb.Helper()
		broker := kafka.Start(tb, kafka.Options{Password: password})
		client := broker.Client(tb, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		broker.CreateTopic(tb, client, topic, partitions)
		p := &producer{client: client}
		build := func(more func(*source.Config)) func(testing.TB, sources.Env) sources.Source {
			return func(tb testing.TB, env sources.Env) sources.Source {
				tb.Helper()
				c := section(broker)
				change(c)
				more(c)
				s, err := c.Source(env)
				if err != nil {
					tb.Fatal(err)
				}
				return s
			}
		}
		if keys != "" {
			keys = ", " + keys
		}
		return sourcetest.Upstream{
			Source: func(tb testing.TB) sources.Source {
				tb.Helper()
				return build(func(*source.Config) {})(tb, sourcetest.Env("in", nil))
			},
			Section: fmt.Sprintf("kafka: {brokers: [%q], topics: [%s], start: earliest, refresh: 1s, sasl: {mechanism: scram-sha-512, user: %s, password: %s}%s}",
				broker.Address, topic, kafka.User, password, keys),
			Send:    func(ctx context.Context, n int) error { return p.fill(ctx, n, 0) },
			Fill:    p.fill,
			Keeps:   true,
			Exact:   true,
			Number:  number,
			Restart: broker.Restart,
			Wrong: []sourcetest.Wrong{
				{Name: "wrong password", Want: "sasl", Source: build(func(c *source.Config) { c.SASL.Password = config.NewSecret("wrong") })},
				{Name: "no such topic", Want: `the topic "missing" does not exist`, Source: build(func(c *source.Config) { c.Topics = []string{"missing"} })},
				{Name: "nobody there", Want: "connection refused", Source: build(func(c *source.Config) { c.Brokers = []string{"127.0.0.1:1"} })},
			},
		}
	}
}

// A producer produces numbered records, each where its number says.
type producer struct {
	client *kgo.Client
	sent   atomic.Int64
}

// fill produces records of at least size bytes.
func (p *producer) fill(ctx context.Context, n, size int) error {
	records := make([]*kgo.Record, n)
	for i := range records {
		number := int(p.sent.Add(1)) - 1
		value := fmt.Appendf(nil, `{"n":%d}`, number)
		records[i] = &kgo.Record{
			Topic: topic, Partition: int32(number % partitions), Key: fmt.Appendf(nil, "key-%d", number%(2*partitions)),
			Value: append(value, bytes.Repeat([]byte(" "), max(size-len(value), 0))...),
		}
	}
	return p.client.ProduceSync(ctx, records...).FirstErr()
}

// number returns the number of the record that an event was made of.
func number(e *event.Event) int {
	var data struct{ N int }
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return -1
	}
	return data.N
}

// A source ends in time while the broker answers nothing.
func TestStopsWhileTheBrokerHangs(t *testing.T) {
	for name, change := range map[string]func(*source.Config){
		"alone": func(*source.Config) {},
		"group": func(c *source.Config) { c.Group = "sluice" },
	} {
		t.Run(name, func(t *testing.T) {
			broker := kafka.Start(t, kafka.Options{Password: password})
			client := broker.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
			broker.CreateTopic(t, client, topic, partitions)
			p := &producer{client: client}
			c := section(broker)
			change(c)
			s, err := c.Source(sourcetest.Env("in", nil))
			if err != nil {
				t.Fatal(err)
			}
			out := sourcetest.NewOut()
			stop := sourcetest.Run(t, s, out)
			if err := p.fill(t.Context(), 8, 0); err != nil {
				t.Fatal(err)
			}
			out.Wait(t, 8)
			broker.Pause(t)
			defer broker.Resume(t)
			stop()
		})
	}
}

// TLS with an authority of the file's own; without it, and without TLS, it is said
// what is wrong.
func TestTLS(t *testing.T) {
	cert, key := certificates.Files(t, t.TempDir(), "127.0.0.1")
	broker := kafka.Start(t, kafka.Options{Password: password, CertFile: cert, KeyFile: key})
	client := broker.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	broker.CreateTopic(t, client, topic, partitions)
	if err := (&producer{client: client}).fill(t.Context(), 8, 0); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		tls  *config.TLS
		want string
	}{
		"right":   {&config.TLS{CAFile: config.Path(cert)}, ""},
		"unknown": {&config.TLS{}, "certificate"},
		"none":    {nil, "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			c := section(broker)
			c.TLS = test.tls
			s, err := c.Source(sourcetest.Env("in", nil))
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" {
				out := sourcetest.NewOut()
				sourcetest.Run(t, s, out)
				out.Wait(t, 8)
				return
			}
			if err := s.Run(t.Context(), sourcetest.NewOut()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Run has returned %v", err)
			}
		})
	}
}
