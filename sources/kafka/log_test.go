package kafka

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/sources/sourcetest"
)

// With read_committed a transaction that was aborted leaves nothing, and without
// what it wrote.
func TestTransactions(t *testing.T) {
	for committed, want := range map[bool]int{true: 3, false: 6} {
		c := newCluster(t)
		client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("shop"))
		if err != nil {
			t.Fatal(err)
		}
		for from, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
			err := client.BeginTransaction()
			if err == nil {
				err = client.ProduceSync(t.Context(), records(4*from, 3)...).FirstErr()
			}
			if err == nil {
				err = client.EndTransaction(t.Context(), end)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		client.Close()
		cfg := newConfig(c)
		cfg.ReadCommitted = committed
		out := sourcetest.NewOut()
		r := run(t, cfg, out)
		if n := len(out.Wait(t, want)); n != want {
			t.Errorf("read_committed: %v: %d events, want %d", committed, n, want)
		}
		produce(t, c, record(7))
		out.Wait(t, want+1)
		sourcetest.Eventually(t, "no lag", func() bool { _, items := lagOf(r); return items <= 4 }) // markers of transactions
	}
}

func TestCompressedRecords(t *testing.T) {
	c := newCluster(t)
	out := sourcetest.NewOut()
	run(t, newConfig(c), out)
	n := 0
	for _, codec := range []kgo.CompressionCodec{kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(), kgo.NoCompression()} {
		client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec))
		if err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), records(n, 40)...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		client.Close()
		n += 40
	}
	wantEach(t, out, n)
}

// When the brokers have lost the end of a log, what takes its place is read, under
// other ids.
func TestCutLog(t *testing.T) {
	c := newCluster(t)
	cfg := newConfig(c)
	out := sourcetest.NewOut()
	info := c.TopicInfo(topic)
	at := cursor{Topic: idOf(info.TopicID), Offset: 50}
	if err := out.PublishAt(t.Context(), shardOf(topic, 0), at.encode()); err != nil {
		t.Fatal(err)
	}
	produce(t, c, records(0, 8)...)
	r := run(t, cfg, out.Restart())
	r.ill(t, "orders/0: the records from offset 50 to 2 are lost: the log ends before them")
	out.Wait(t, 6) // the other partitions
	produce(t, c, record(8))
	events := out.Wait(t, 7)
	if last := events[6]; string(last.Data) != `{"n":8}` || !strings.HasSuffix(last.ID, "/1") || !strings.HasPrefix(last.ID, "orders/0/2/") {
		t.Errorf("got %s %s", last.ID, last.Data)
	}
}

// What the client tells of a log that was cut while it was read.
func TestCutWhileReading(t *testing.T) {
	c := newCluster(t)
	out := sourcetest.NewOut()
	r := run(t, newConfig(c), out)
	produce(t, c, records(0, 40)...)
	out.Wait(t, 40)
	current := r.source.(*source).current.Load()
	current.trouble(topic, 0, &kgo.ErrDataLoss{Topic: topic, Partition: 0, ConsumedTo: 10, ResetTo: 7})
	r.ill(t, "orders/0: the records from offset 7 to 10 are lost")
	events := out.Wait(t, 43)
	for _, e := range events[40:] {
		if !strings.HasSuffix(e.ID, "/1") {
			t.Errorf("%s is an id that was there before", e.ID)
		}
	}
}

// A group that others share by another protocol, or that sluice may not join.
func TestGroupTrouble(t *testing.T) {
	for want, failure := range map[string]*kerr.Error{
		"cooperative-sticky": kerr.InconsistentGroupProtocol, "is not allowed to": kerr.GroupAuthorizationFailed,
	} {
		t.Run(want, func(t *testing.T) {
			c := newCluster(t)
			fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: "sluice", TopLevel: true, Err: failure, Count: -1})
			cfg := newConfig(c)
			cfg.Group = "sluice"
			out := sourcetest.NewOut()
			r := run(t, cfg, out)
			r.ill(t, want)
			fault.Remove()
			produce(t, c, records(0, 4)...)
			wantEach(t, out, 4)
			r.ill(t, "<nil>")
		})
	}
}

// A bus that is full stops the reading at the buffer's size.
func TestBounded(t *testing.T) {
	c := newCluster(t)
	cfg := newConfig(c)
	cfg.Buffer = minBuffer
	out := sourcetest.NewOut()
	unblock := out.Block()
	r := run(t, cfg, out)
	large := records(0, 200)
	for _, rec := range large {
		rec.Value = append(rec.Value, strings.Repeat(" ", 50_000)...)
	}
	produce(t, c, large...) // 10 MB
	out.WaitBlocked(t, 4)
	current := r.source.(*source).current.Load()
	sourcetest.Eventually(t, "full", func() bool { return current.buffered.full() })
	if held := current.held(); held > minBuffer+maxFetch {
		t.Errorf("%d bytes are held", held)
	}
	unblock()
	wantEach(t, out, 200)
}

// full and held are for the tests.
func (b *buffered) full() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.free != nil }

func (n *session) held() int64 {
	n.buffered.mu.Lock()
	defer n.buffered.mu.Unlock()
	return n.buffered.used
}
