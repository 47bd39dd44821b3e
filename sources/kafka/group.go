package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// assigned gives the partitions that the group has assigned their positions. The
// offsets are those that the group has; of a partition without, it is below 0.
func (n *session) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	<-n.built
	committed := map[string]map[int32]int64{}
	for topic, numbers := range offsets {
		committed[topic] = map[int32]int64{}
		for number, offset := range numbers {
			committed[topic][number] = max(offset.EpochOffset().Offset, none)
		}
	}
	taken, err := n.adopt(ctx, committed)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		n.health.set("group", n.groupError(err))
		return nil, err
	}
	n.health.set("group", nil)
	return taken, nil
}

// revoked lets partitions go before another member is given them: what is being
// published is waited for.
func (n *session) revoked(ctx context.Context, _ *kgo.Client, gone map[string][]int32) {
	<-n.built
	n.letGo(n.some(gone))
	n.commit(ctx)
}

// lost lets partitions go that another member may have already.
func (n *session) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	<-n.built
	n.letGo(n.some(gone))
}

func (n *session) some(gone map[string][]int32) []*partition {
	n.mu.Lock()
	defer n.mu.Unlock()
	var some []*partition
	for topic, numbers := range gone {
		for _, number := range numbers {
			if p := n.partitions[topic][number]; p != nil {
				some = append(some, p)
			}
		}
	}
	return some
}
