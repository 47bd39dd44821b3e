package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/connect/kafkaconn"
	"sluice/sources"
)

const (
	// maxFetch is how much a broker may send at once, compressed, and maxFetchOne
	// how much of it for one partition.
	maxFetch    = 8 << 20
	maxFetchOne = 1 << 20
	// maxBatch is what one batch of records may become when it is unpacked.
	maxBatch = 128 << 20
	// maxPoll is how many records are taken at once.
	maxPoll = 20_000
	// askTimeout bounds one question to the brokers.
	askTimeout = 15 * time.Second
	// retryTimeout is how long the client tries a question again by itself.
	retryTimeout = 5 * time.Second
	// leaveTimeout bounds the goodbye to the group.
	leaveTimeout = 3 * time.Second
	// marksInterval is the time between two commits to the group.
	marksInterval = 500 * time.Millisecond
)

// A session is one life of the client.
type session struct {
	*source
	out      sources.Out
	health   *health
	buffered *buffered

	cluster *kafkaconn.Cluster
	client  *kgo.Client
	admin   *kadm.Client
	built   chan struct{}   // closed once client is set
	life    context.Context //nolint:containedctx // that of the client, which outlives run by its goodbye
	die     context.CancelFunc

	looked     atomic.Bool // once
	mu         sync.Mutex
	partitions map[string]map[int32]*partition
	starts     map[string]beginning // by entry of the file
	refused    map[string]bool      // partitions that are not read (on_lost: fail)
	failure    error                // the first that ends the session
	failed     chan struct{}        // closed when there is one
}

func newSession(ctx context.Context, s *source, out sources.Out, h *health) (*session, error) {
	n := &session{
		source: s, cluster: s.cfg.cluster(), out: out, health: h, buffered: &buffered{limit: int64(s.cfg.Buffer)},
		built: make(chan struct{}), partitions: map[string]map[int32]*partition{}, starts: map[string]beginning{}, refused: map[string]bool{}, failed: make(chan struct{}),
	}
	n.life, n.die = context.WithCancel(context.WithoutCancel(ctx))
	options, err := n.cluster.Options(s.env.Name, &net.Dialer{KeepAlive: 30 * time.Second}, s.env.Logger) //nolint:contextcheck // tokens outlive ctx
	if err != nil {
		n.die()
		return nil, err
	}
	options = append(append(options, n.consume()...), kgo.WithContext(n.life)) //nolint:contextcheck // it outlives ctx, to say goodbye
	if n.client, err = kgo.NewClient(options...); err != nil {
		n.die()
		return nil, fmt.Errorf("the client: %w", err)
	}
	n.admin = kadm.NewClient(n.client)
	n.admin.SetTimeoutMillis(int32(askTimeout.Milliseconds()))
	close(n.built)
	return n, nil
}

// consume returns the client's options. Partitions are given to it one by one,
// or, in a group, by the group; their positions are always the source's.
func (n *session) consume() []kgo.Opt {
	isolation := kgo.ReadUncommitted()
	if n.cfg.ReadCommitted {
		isolation = kgo.ReadCommitted()
	}
	refresh := time.Duration(n.cfg.Refresh)
	options := []kgo.Opt{
		kgo.FetchIsolationLevel(isolation),
		kgo.FetchMaxBytes(maxFetch), kgo.FetchMaxPartitionBytes(maxFetchOne), kgo.FetchMaxWait(time.Second),
		kgo.MaxDecompressBatchBytes(maxBatch),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.MetadataMaxAge(refresh), kgo.MetadataMinAge(min(refresh/2, time.Second)),
		kgo.RetryTimeoutFn(n.retryFor),
	}
	if n.cfg.Group == "" {
		return options
	}
	session := time.Duration(n.cfg.SessionTimeout)
	options = append(options,
		kgo.ConsumerGroup(n.cfg.Group), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(session), kgo.HeartbeatInterval(min(session/5, 3*time.Second)), kgo.RebalanceTimeout(session),
		kgo.BlockRebalanceOnPoll(),
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(marksInterval),
		kgo.AdjustFetchOffsetsFn(n.assigned),
		kgo.OnPartitionsRevoked(n.revoked), kgo.OnPartitionsLost(n.lost),
	)
	if n.cfg.Pattern != "" {
		return append(options, kgo.ConsumeRegex(), kgo.ConsumeTopics(wholeName(n.cfg.Pattern)))
	}
	return append(options, kgo.ConsumeTopics(n.cfg.Topics...))
}

// retryFor is how long the client tries a request again by itself: while the group
// would still know the member, else until it is time to tell.
func (n *session) retryFor(key int16) time.Duration {
	switch kmsg.Key(key) {
	case kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat:
		return time.Duration(n.cfg.SessionTimeout)
	default:
		return retryTimeout
	}
}

// run polls until ctx ends or something ends the session.
func (n *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := n.look(ctx); err != nil {
		return err
	}
	var looking sync.WaitGroup
	defer looking.Wait()
	defer cancel()
	looking.Go(func() { n.keepLooking(ctx) })
	looking.Go(func() {
		select {
		case <-n.failed:
			cancel()
		case <-ctx.Done():
		}
	})
	for ctx.Err() == nil {
		n.buffered.room(ctx)
		n.poll(ctx)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failure
}

// poll puts what was fetched into the queues of its partitions. The group gives
// no partition away in between.
func (n *session) poll(ctx context.Context) {
	fetches := n.client.PollRecords(ctx, maxPoll)
	if n.cfg.Group != "" {
		defer n.client.AllowRebalance()
	}
	if ctx.Err() != nil || fetches.IsClientClosed() {
		return
	}
	fetches.EachError(n.trouble)
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Err != nil {
			return
		}
		n.health.set("reading "+f.Topic, nil)
		if p := n.partition(f.Topic, f.Partition); p != nil {
			p.offer(f.Records, n.endOf(&f.FetchPartition))
		}
	})
}

// endOf returns the offset up to which there is something to read.
func (n *session) endOf(f *kgo.FetchPartition) int64 {
	if n.cfg.ReadCommitted {
		return f.LastStableOffset
	}
	return f.HighWatermark
}

func (n *session) partition(topic string, number int32) *partition {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.partitions[topic][number]
}

// trouble deals with what a poll tells instead of records.
func (n *session) trouble(topic string, number int32, err error) {
	var cutOff *kgo.ErrDataLoss
	var group *kgo.ErrGroupSession
	switch {
	case errors.As(err, &cutOff):
		n.setBack(cutOff)
	case errors.As(err, &group):
		n.health.set("group", n.groupError(group.Err))
	case errors.Is(err, kerr.OffsetOutOfRange), errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition):
		n.end(fmt.Errorf("%w: %s/%d: %w", errAnew, topic, number, err))
	case topic == "":
		n.health.set("brokers", n.cluster.Explain(err))
	default:
		n.health.set("reading "+topic, fmt.Errorf("reading %s/%d: %w", topic, number, n.cluster.Explain(err)))
	}
}

func (n *session) groupError(err error) error {
	if errors.Is(err, kerr.InconsistentGroupProtocol) {
		return fmt.Errorf("the group %q has members that share partitions in another way; sluice's is cooperative-sticky: %w", n.cfg.Group, err)
	}
	return fmt.Errorf("in the group %q: %w", n.cfg.Group, n.cluster.Explain(err))
}

// setBack has the log end earlier than what was read of it: the brokers have lost
// its end, and give the same offsets to other records now.
func (n *session) setBack(l *kgo.ErrDataLoss) {
	p := n.partition(l.Topic, l.Partition)
	if p == nil {
		return
	}
	p.letGo()
	if at := p.at; at.Offset > l.ResetTo {
		n.tellLoss(p.name(), &loss{from: l.ResetTo, to: at.Offset, reason: "the brokers have lost the end of the log"})
		at.Offset, at.Generation = l.ResetTo, at.Generation+1
		if err := n.remember(n.life, p.shard, at); err != nil {
			n.end(err)
			return
		}
	}
	n.end(fmt.Errorf("%w: %w", errAnew, l))
}

// remember stores a cursor by itself.
func (n *session) remember(ctx context.Context, shard string, at cursor) error {
	if n.cfg.Offsets == ByGroup {
		return nil
	}
	return n.out.PublishAt(ctx, shard, at.encode())
}

func (n *session) tellLoss(name string, l *loss) {
	n.env.Logger.Error("records are lost", slog.String("partition", name), slog.Int64("from", l.from), slog.Int64("to", l.to), slog.String("reason", l.reason))
	n.health.happened("lost "+name, fmt.Errorf("partition %s: %w", name, l))
}

// fail takes what a worker cannot go on with.
func (n *session) fail(p *partition, err error) {
	if !errors.Is(err, errLetGo) {
		n.end(fmt.Errorf("partition %s: %w", p.name(), err))
	}
}

// end ends the session with its first error.
func (n *session) end(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.failure == nil {
		n.failure = err
		close(n.failed)
	}
}

// close lets all partitions go, commits what is marked, leaves the group and
// closes the client.
func (n *session) close() {
	n.letGo(n.all())
	if n.cfg.Group != "" {
		ctx, cancel := context.WithTimeout(n.life, leaveTimeout)
		n.commit(ctx)
		_ = n.client.LeaveGroupContext(ctx) // the group misses a member that cannot say goodbye
		cancel()
	}
	n.die()
	n.client.CloseAllowingRebalance()
	n.letGo(n.all()) // what was assigned meanwhile
}

func (n *session) commit(ctx context.Context) {
	if err := n.client.CommitMarkedOffsets(ctx); err != nil && n.life.Err() == nil {
		n.env.Logger.Warn("offsets were not committed to the group", slog.String("group", n.cfg.Group), slog.Any("error", err))
	}
}

func (n *session) all() []*partition {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*partition
	for _, numbers := range n.partitions {
		for _, p := range numbers {
			all = append(all, p)
		}
	}
	return all
}

// letGo ends the workers of partitions, all at once, and forgets them.
func (n *session) letGo(partitions []*partition) {
	var ending sync.WaitGroup
	for _, p := range partitions {
		ending.Go(p.letGo)
	}
	ending.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range partitions {
		if n.partitions[p.topic][p.number] == p {
			delete(n.partitions[p.topic], p.number)
		}
	}
}
