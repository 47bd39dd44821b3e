package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"sluice/event"
	"sluice/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic = "orders"

// newCluster runs a cluster with the topic until the test ends.
func newCluster(tb testing.TB) *kfake.Cluster {
	tb.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topic, "eu.orders"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

func newTestSink(tb testing.TB, c *kfake.Cluster, change func(*Config)) sinks.Sink {
	tb.Helper()
	cfg := NewConfig()
	cfg.Brokers, cfg.Topic = c.ListenAddrs(), topic
	change(cfg)
	s, err := cfg.Sink(sinks.Env{Name: "out"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.(sinks.Closer).Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func sample() *event.Event {
	return &event.Event{
		ID: "7", Source: "/shop", Type: "placed", DataContentType: "application/json", Data: []byte(`{"n":1,"land":"eu"}`),
		Extensions: map[string]any{"partitionkey": "k", "traceparent": "00-1-2-01"},
	}
}

func attempt(events ...*event.Event) sinks.Attempt {
	a := sinks.Attempt{Trigger: "work", Claim: 3}
	for i, e := range events {
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: "inc." + string(rune('1'+i)) + ".work", Attempt: 2, Event: e})
	}
	return a
}

func deliver(t *testing.T, s sinks.Sink, events ...*event.Event) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := s.Deliver(ctx, attempt(events...))
	return err
}

// read returns n records of a topic.
func read(t *testing.T, c *kfake.Cluster, topic string, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var all []*kgo.Record
	for len(all) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

func text(r *kgo.Record) string {
	var b strings.Builder
	b.WriteString(string(r.Key) + " " + string(r.Value))
	for _, h := range r.Headers {
		b.WriteString(" " + h.Key + "=" + string(h.Value))
	}
	return b.String()
}

func TestModes(t *testing.T) {
	const tail = " Sluice-Delivery=inc.1.work Sluice-Attempt=2 Sluice-Trigger=work Sluice-Claim=3 traceparent=00-1-2-01"
	for mode, want := range map[Mode]string{
		Binary:     `k {"n":1,"land":"eu"} ce_specversion=1.0 ce_id=7 ce_source=/shop ce_type=placed ce_partitionkey=k ce_traceparent=00-1-2-01 content-type=application/json` + tail,
		Structured: `k {"specversion":"1.0","id":"7","source":"/shop","type":"placed","datacontenttype":"application/json","partitionkey":"k","traceparent":"00-1-2-01","data":{"n":1,"land":"eu"}} content-type=application/cloudevents+json` + tail,
		Raw:        `k {"n":1,"land":"eu"} content-type=application/json` + tail,
	} {
		t.Run(string(mode), func(t *testing.T) {
			c := newCluster(t)
			s := newTestSink(t, c, func(cfg *Config) { cfg.Mode = mode })
			if err := deliver(t, s, sample()); err != nil {
				t.Fatal(err)
			}
			if got := text(read(t, c, topic, 1)[0]); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestCompressions(t *testing.T) {
	for compression := range codecs() {
		t.Run(string(compression), func(t *testing.T) {
			c := newCluster(t)
			s := newTestSink(t, c, func(cfg *Config) { cfg.Compression = compression })
			e := sample()
			e.Data = []byte(strings.Repeat("x", 10_000))
			if err := deliver(t, s, e); err != nil {
				t.Fatal(err)
			}
			r := read(t, c, topic, 1)[0]
			if string(r.Value) != string(e.Data) || (r.Attrs.CompressionType() == 0) != (compression == None) {
				t.Errorf("%d bytes, compressed by %d", len(r.Value), r.Attrs.CompressionType())
			}
		})
	}
}

func TestKeysAndTemplates(t *testing.T) {
	c := newCluster(t)
	s := newTestSink(t, c, func(cfg *Config) { cfg.Topic, cfg.Key = "{{ .data.land }}.orders", `{{ .data.n // "" }}` })
	none := sample()
	none.Data = []byte(`{"land":"eu"}`)
	if err := deliver(t, s, sample(), none); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, r := range read(t, c, "eu.orders", 2) {
		got[string(r.Key)] = true
	}
	if !got["1"] || !got[""] || len(got) != 2 {
		t.Errorf("the keys are %v", got)
	}
	for data, want := range map[string]string{
		`{"land":"a b"}`: "is no name of a topic", `{"land":{}}`: "topic: ",
	} {
		e := sample()
		e.Data = []byte(data)
		if err := deliver(t, s, e); !sinks.IsPermanent(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", data, err)
		}
	}
	e := sample()
	e.Data = []byte(`{"land":"xx"}`)
	if err := deliver(t, s, e); err == nil || sinks.IsPermanent(err) || !strings.Contains(err.Error(), `"xx.orders" does not exist`) {
		t.Errorf("a topic that is not there: %v", err)
	}
}

// A record that was made an event has its own key again, and its null.
func TestKeyOfBytes(t *testing.T) {
	c := newCluster(t)
	s := newTestSink(t, c, func(cfg *Config) { cfg.Mode = Raw })
	e := sample()
	e.Data, e.Extensions = nil, map[string]any{"keybase64": "/w==", "partitionkey": "/w=="}
	if err := deliver(t, s, e); err != nil {
		t.Fatal(err)
	}
	if r := read(t, c, topic, 1)[0]; string(r.Key) != "\xff" || r.Value != nil {
		t.Errorf("got %q: %q", r.Key, r.Value)
	}
}

// What a broker says of one record is that delivery's error, and no other's.
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		refusal   *kerr.Error
		permanent bool
		want      string
	}{
		"too large":   {kerr.MessageTooLarge, true, "refuses the record"},
		"invalid":     {kerr.InvalidRecord, true, "refuses the record"},
		"not allowed": {kerr.TopicAuthorizationFailed, false, "is not allowed to"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			s := newTestSink(t, c, func(*Config) {})
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: test.refusal, Count: 1})
			if err := deliver(t, s, sample()); err == nil || sinks.IsPermanent(err) != test.permanent || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
			if err := deliver(t, s, sample()); err != nil {
				t.Errorf("the next: %v", err)
			}
		})
	}
}

// What passes is tried again within the attempt, and stored once.
func TestFaultsThatPass(t *testing.T) {
	c := newCluster(t)
	s := newTestSink(t, c, func(*Config) {})
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotLeaderForPartition, Count: 1})
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicasAfterAppend, Count: 1})
	if err := deliver(t, s, sample()); err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, s, sample()); err != nil {
		t.Fatal(err)
	}
	if n := len(read(t, c, topic, 2)); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}

// One that is too large fails alone.
func TestPartial(t *testing.T) {
	c := newCluster(t)
	s := newTestSink(t, c, func(cfg *Config) { cfg.MaxMessage = 2000 })
	large := sample()
	large.Data = []byte(strings.Repeat("x", 3000))
	err := deliver(t, s, sample(), large, sample())
	partial, is := errors.AsType[*sinks.PartialError](err)
	if !is || len(partial.Failed) != 1 || !sinks.IsPermanent(partial.Failed[1]) {
		t.Fatalf("got %v", err)
	}
	read(t, c, topic, 2)
}

func TestClosed(t *testing.T) {
	c := newCluster(t)
	s := newTestSink(t, c, func(*Config) {})
	if err := s.(sinks.Closer).Close(); err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, s, sample()); !errors.Is(err, sinks.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"brokers: it is missing":      func(c *Config) { c.Brokers = nil },
		"brokers[0]: ":                func(c *Config) { c.Brokers = []string{"http://a:9092"} },
		"topic: it is missing":        func(c *Config) { c.Topic = "" },
		`topic: "a b" is no name`:     func(c *Config) { c.Topic = "a b" },
		"topic: ":                     func(c *Config) { c.Topic = "{{ . " },
		"key: ":                       func(c *Config) { c.Key = "{{ ) }}" },
		`mode: found "x"; write`:      func(c *Config) { c.Mode = "x" },
		`compression: found "brotli"`: func(c *Config) { c.Compression = "brotli" },
		"max_message: expected":       func(c *Config) { c.MaxMessage = 1 },
		"egress: found":               func(c *Config) { c.Egress = "x" },
	} {
		c := NewConfig()
		c.Brokers, c.Topic = []string{"127.0.0.1:9092"}, topic
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
}

// A delivery that is taken back takes those behind it in its partition along; they
// are produced again within their own time.
func TestAnotherDeliveryIsTakenBack(t *testing.T) {
	c := newCluster(t)
	s := newTestSink(t, c, func(*Config) {})
	if err := deliver(t, s, sample()); err != nil {
		t.Fatal(err)
	}
	held, release := make(chan struct{}, 1), make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		select {
		case held <- struct{}{}:
		default: // nobody waits for the requests after the first
		}
		c.SleepControl(func() { <-release })
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() {
		_, err := s.Deliver(ctx, attempt(sample()))
		ended <- err
	}()
	<-held
	stays := make(chan error, 1)
	go func() { stays <- deliver(t, s, sample()) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that was cancelled ended with %v", err)
	}
	close(release)
	if err := <-stays; err != nil {
		t.Errorf("the other one ended with %v", err)
	}
}
