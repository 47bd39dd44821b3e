package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// lookAgain is the pause after a look that has failed.
const lookAgain = time.Second

// topics returns the topics of the source, with those that are named and not there.
func (n *session) topics(ctx context.Context) (kadm.TopicDetails, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	md, err := n.admin.Metadata(ctx, n.cfg.Topics...)
	if err != nil {
		return nil, err
	}
	wanted := n.cfg.wants()
	for name, t := range md.Topics {
		if t.IsInternal || !wanted(name) {
			delete(md.Topics, name)
		}
	}
	return md.Topics, nil
}

// keepLooking looks for topics and partitions, and how far the source is behind,
// until ctx ends.
func (n *session) keepLooking(ctx context.Context) {
	wait := time.Duration(n.cfg.Refresh)
	for pause(ctx, wait) == nil {
		wait = time.Duration(n.cfg.Refresh)
		err := n.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			wait = min(wait, lookAgain)
		}
		if errors.Is(err, errAnew) {
			n.end(err)
			return
		}
		n.health.set("brokers", n.cluster.Explain(err))
		n.health.forget()
	}
}

// look finds new topics and partitions, and what has become of the known ones.
func (n *session) look(ctx context.Context) error {
	found, err := n.topics(ctx)
	if err != nil {
		return err
	}
	n.tellMissing(found)
	if err := n.compare(found); err != nil {
		return err
	}
	if n.cfg.Group == "" {
		if err := n.take(ctx, found); err != nil {
			return err
		}
	}
	n.looked.Store(true)
	return n.lookAtEnds(ctx)
}

// tellMissing tells of topics that are not there, or cannot be read.
func (n *session) tellMissing(found kadm.TopicDetails) {
	for _, name := range n.cfg.Topics {
		t, ok := found[name]
		switch {
		case !ok, errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			n.health.set("topic "+name, fmt.Errorf("the topic %q does not exist: create it, or mend topics", name))
		default:
			n.health.set("topic "+name, n.topicError(name, t.Err))
		}
	}
	if n.cfg.Pattern != "" && len(found) == 0 {
		n.health.set("pattern", fmt.Errorf("no topic matches the pattern %q, or sluice may see none", n.cfg.Pattern))
		return
	}
	n.health.set("pattern", nil)
}

func (n *session) topicError(name string, err error) error {
	if err == nil || kerr.IsRetriable(err) {
		return nil
	}
	return fmt.Errorf("the topic %q: %w", name, n.cluster.Explain(err))
}

// compare ends the session when a topic that is read has gone, or is another one.
func (n *session) compare(found kadm.TopicDetails) error {
	for _, p := range n.all() {
		t, ok := found[p.topic]
		gone := !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition)
		id := idOf(t.ID)
		if gone || t.Err == nil && id != "" && p.topicID != "" && id != p.topicID {
			return fmt.Errorf("%w: the topic %q was deleted, or created again", errAnew, p.topic)
		}
	}
	return nil
}

// take begins to read the partitions that are not read yet.
func (n *session) take(ctx context.Context, found kadm.TopicDetails) error {
	fresh := map[string]map[int32]int64{}
	for name, t := range found {
		for number := range t.Partitions {
			if t.Err != nil || n.known(name, number) {
				continue
			}
			if fresh[name] == nil {
				fresh[name] = map[int32]int64{}
			}
			fresh[name][number] = none
		}
	}
	taken, err := n.adopt(ctx, fresh)
	if err != nil {
		return err
	}
	for name, numbers := range taken {
		for number := range numbers {
			if n.partition(name, number) == nil { // on_lost: fail
				delete(numbers, number)
			}
		}
	}
	n.client.AddConsumePartitions(taken)
	return nil
}

// lookAtEnds asks how far the logs are, for the lag.
func (n *session) lookAtEnds(ctx context.Context) error {
	topics := map[string]bool{}
	for _, p := range n.all() {
		topics[p.topic] = true
	}
	if len(topics) == 0 {
		return nil
	}
	names := make([]string, 0, len(topics))
	for name := range topics {
		names = append(names, name)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	list := n.admin.ListEndOffsets
	if n.cfg.ReadCommitted {
		list = n.admin.ListCommittedOffsets
	}
	ends, err := list(ctx, names...)
	if partly(err) != nil {
		return err
	}
	ends.Each(func(o kadm.ListedOffset) {
		if p := n.partition(o.Topic, o.Partition); p != nil && o.Err == nil {
			p.end.Store(max(o.Offset, p.end.Load()))
		}
	})
	return nil
}

// lag sums up the partitions.
func (n *session) lag() (age time.Duration, items int64) {
	if !n.looked.Load() {
		return -1, -1
	}
	age = -1
	now := n.env.Now()
	for _, p := range n.all() {
		items += max(p.end.Load()-p.position.Load(), 0)
		if oldest := p.oldest.Load(); oldest > 0 {
			age = max(age, now.Sub(time.UnixMilli(oldest)))
		}
	}
	if items == 0 {
		age = 0
	}
	return age, items
}
