package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"sluice/event"
)

// adopters is how many cursors are read at once.
const adopters = 16

// A survey is what the brokers say of topics at one time.
type survey struct {
	topics      kadm.TopicDetails
	starts, end kadm.ListedOffsets
}

func (n *session) survey(ctx context.Context, topics []string) (s survey, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	md, err := n.admin.Metadata(ctx, topics...)
	if err != nil {
		return s, err
	}
	s.topics = md.Topics
	if s.starts, err = n.admin.ListStartOffsets(ctx, topics...); partly(err) != nil {
		return s, err
	}
	s.end, err = n.admin.ListEndOffsets(ctx, topics...)
	return s, partly(err)
}

// partly returns no error when some brokers have answered.
func partly(err error) error {
	if some, is := errors.AsType[*kadm.ShardErrors](err); is && !some.AllFailed {
		return nil
	}
	return err
}

// adopt begins to read partitions, with what the group has committed of each. It
// returns their positions. One that is read already begins anew.
func (n *session) adopt(ctx context.Context, committed map[string]map[int32]int64) (map[string]map[int32]kgo.Offset, error) {
	taken := map[string]map[int32]kgo.Offset{}
	if len(committed) == 0 {
		return taken, nil
	}
	starts, err := n.beginnings(ctx)
	if err != nil {
		return nil, err
	}
	s, err := n.survey(ctx, slices.Collect(maps.Keys(committed)))
	if err != nil {
		return nil, err
	}
	for topic := range committed {
		taken[topic] = map[int32]kgo.Offset{}
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(adopters)
	for topic, numbers := range committed {
		for number, offset := range numbers {
			group.Go(func() error {
				at, err := n.adoptOne(ctx, &s, topic, number, offset, starts)
				mu.Lock()
				defer mu.Unlock()
				taken[topic][number] = kgo.NewOffset().At(at)
				return err
			})
		}
	}
	return taken, group.Wait()
}

func (n *session) adoptOne(ctx context.Context, s *survey, topic string, number int32, committed int64, starts []beginning) (int64, error) {
	name := fmt.Sprintf("%s/%d", topic, number)
	found := s.standing(topic, number)
	if n.cfg.Offsets == ByCursor {
		data, err := n.out.Cursor(ctx, shardOf(topic, number))
		if err == nil {
			found.cursor, err = decodeCursor(data)
		}
		if err != nil {
			return 0, fmt.Errorf("partition %s: %w", name, err)
		}
	}
	found.committed = committed
	found.beginning = beginningIn(starts, topic, number, found.topic)
	at, lost := locate(found, n.cfg.OnLost)
	if lost != nil {
		if err := n.lose(ctx, topic, number, at, lost); err != nil {
			return 0, err
		}
		if n.cfg.OnLost == LostFail {
			return found.start, nil
		}
	}
	n.begin(topic, number, at, found) //nolint:contextcheck // the worker outlives this call
	return at.Offset, nil
}

// standing returns what the survey knows of a partition. Where that is nothing,
// because it has no leader at the moment, it is taken as it stands: a position that
// is out of range ends the session later.
func (s *survey) standing(topic string, number int32) standing {
	found := standing{topic: idOf(s.topics[topic].ID), end: math.MaxInt64}
	start, ok := s.starts.Lookup(topic, number)
	end, also := s.end.Lookup(topic, number)
	if ok && also && start.Err == nil && end.Err == nil {
		found.start, found.end = start.Offset, end.Offset
	}
	return found
}

// lose tells of a loss, and keeps the position behind it, so that it is told
// once. With LostFail the partition is not read; its cursor stays.
func (n *session) lose(ctx context.Context, topic string, number int32, at cursor, lost *loss) error {
	name := fmt.Sprintf("%s/%d", topic, number)
	n.tellLoss(name, lost)
	if n.cfg.OnLost == LostFail {
		n.health.set("failed "+name, fmt.Errorf("the partition %s is not read any more (on_lost: fail): %w", name, lost))
		n.client.PauseFetchPartitions(map[string][]int32{topic: {number}})
		n.mu.Lock()
		defer n.mu.Unlock()
		n.refused[name] = true
		return nil
	}
	err := n.remember(ctx, shardOf(topic, number), at)
	if errors.Is(err, event.ErrFenced) {
		return fmt.Errorf("%w: %w", errAnew, err)
	}
	return err
}

// begin starts the worker of a partition.
func (n *session) begin(topic string, number int32, at cursor, found standing) {
	if before := n.partition(topic, number); before != nil {
		n.letGo([]*partition{before})
	}
	ctx, cancel := context.WithCancel(n.life)
	p := &partition{
		session: n, topic: topic, topicID: found.topic, number: number, shard: shardOf(topic, number),
		maker: newMaker(&n.cfg, topic, number, at, n.env.Logger),
		quit:  make(chan struct{}), cancel: cancel, ended: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	p.move(at)
	if p.end.Store(at.Offset); found.end != math.MaxInt64 {
		p.end.Store(found.end)
	}
	n.mu.Lock()
	if n.partitions[topic] == nil {
		n.partitions[topic] = map[int32]*partition{}
	}
	n.partitions[topic][number] = p
	n.mu.Unlock()
	go p.run(ctx)
}

// known tells whether a partition is read, or refused because of a loss.
func (n *session) known(topic string, number int32) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.partitions[topic][number] != nil || n.refused[fmt.Sprintf("%s/%d", topic, number)]
}
