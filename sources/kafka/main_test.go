package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"sluice/config"
	"sluice/sources"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic = "orders"

// newCluster runs a cluster with the topic until the test ends.
func newCluster(tb testing.TB, options ...kfake.Opt) *kfake.Cluster {
	tb.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(4, topic)}, options...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// produce stores records, each where its Partition says.
func produce(tb testing.TB, c *kfake.Cluster, records ...*kgo.Record) {
	tb.Helper()
	if err := send(tb.Context(), c.ListenAddrs(), records...); err != nil {
		tb.Fatal(err)
	}
}

func send(ctx context.Context, brokers []string, records ...*kgo.Record) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, records...).FirstErr()
}

// record returns the record number n of a test: four keys, each in a partition.
func record(n int) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: int32(n % 4), Key: fmt.Appendf(nil, "key-%d", n%4), Value: fmt.Appendf(nil, `{"n":%d}`, n)}
}

func records(from, n int) []*kgo.Record {
	all := make([]*kgo.Record, n)
	for i := range all {
		all[i] = record(from + i)
	}
	return all
}

func newConfig(c *kfake.Cluster) *Config {
	cfg := NewConfig()
	cfg.Brokers, cfg.Topics, cfg.Start = c.ListenAddrs(), []string{topic}, startEarliest
	cfg.Refresh = config.Duration(200 * time.Millisecond)
	return cfg
}

// A running source, with what it reports and says.
type running struct {
	stop   func() error
	source sources.Source

	mu     sync.Mutex
	health []string
	said   strings.Builder
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.Write(p)
}

func (r *running) report(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health = append(r.health, fmt.Sprint(err))
}

// ill waits until the health has the text.
func (r *running) ill(t *testing.T, text string) {
	t.Helper()
	sourcetest.Eventually(t, "health "+text, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.health) > 0 && strings.Contains(r.health[len(r.health)-1], text)
	})
}

// run runs a source until stop is called or the test ends.
func run(t *testing.T, cfg *Config, out sources.Out) *running {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r := &running{}
	logger := slog.New(slog.NewTextHandler(r, nil))
	var err error
	r.source, err = cfg.Source(sources.Env{Name: "kafka", Logger: logger, Now: time.Now, Report: r.report})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.source.Run(ctx, out) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func upstream(change func(*Config)) func(tb testing.TB) sourcetest.Upstream {
	return func(tb testing.TB) sourcetest.Upstream {
		tb.Helper()
		c := newCluster(tb)
		var sent atomic.Int64
		u := sourcetest.Upstream{
			Source: func(tb testing.TB) sources.Source {
				tb.Helper()
				cfg := newConfig(c)
				change(cfg)
				s, err := cfg.Source(sourcetest.Env("kafka", nil))
				if err != nil {
					tb.Fatal(err)
				}
				return s
			},
			Send: func(ctx context.Context, n int) error {
				from := int(sent.Add(int64(n))) - n
				return send(ctx, c.ListenAddrs(), records(from, n)...)
			},
			Keeps: true,
		}
		cfg := NewConfig()
		if change(cfg); cfg.Offsets == ByGroup {
			u.Acked = func() int { return acked(c, cfg.Group) }
		}
		return u
	}
}

// acked counts what the group has committed.
func acked(c *kfake.Cluster, group string) (n int) {
	info := c.GroupInfo(group)
	if info == nil {
		return 0
	}
	for _, commit := range info.Commits[topic] {
		n += int(commit.Offset)
	}
	return n
}
