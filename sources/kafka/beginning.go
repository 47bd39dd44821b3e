package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"sluice/event"
)

// A beginning is where the partitions of an entry of the file, a topic or a
// pattern, were to be read from when the source first saw it. It is kept, so
// that what comes between then and the first record of a partition is not
// missed, and so that all members of a group know the same. A topic or a
// partition that is not in it is newer: it is read from its first record.
type beginning struct {
	Version int                    `json:"v"`
	Start   string                 `json:"start"`
	Topics  map[string]firstOffset `json:"topics,omitempty"`
}

// firstOffset are those of the partitions of a topic, by their numbers.
type firstOffset struct {
	ID string  `json:"id,omitempty"`
	At []int64 `json:"at"`
}

// beginningIn returns where a partition is to be read from at first; none for its
// first record.
func beginningIn(all []beginning, topic string, number int32, id string) int64 {
	for _, b := range all {
		first, found := b.Topics[topic]
		if found && first.ID == id && int(number) < len(first.At) {
			return first.At[number]
		}
	}
	return none
}

// entries are the topics or the pattern of the file.
func (n *session) entries() []string {
	if n.cfg.Pattern != "" {
		return []string{n.cfg.Pattern}
	}
	return n.cfg.Topics
}

// beginnings returns those of all entries. With start: earliest there are none.
func (n *session) beginnings(ctx context.Context) ([]beginning, error) {
	if n.cfg.Start == startEarliest {
		return nil, nil
	}
	var all []beginning
	for _, entry := range n.entries() {
		b, err := n.beginning(ctx, entry)
		if err != nil {
			return nil, fmt.Errorf("where to start with %q: %w", entry, err)
		}
		all = append(all, *b)
	}
	return all, nil
}

// beginning returns that of an entry: as it is kept, else as the brokers say now,
// which is kept then.
func (n *session) beginning(ctx context.Context, entry string) (*beginning, error) {
	n.mu.Lock()
	known, found := n.starts[entry]
	n.mu.Unlock()
	if found {
		return &known, nil
	}
	b, err := n.recall(ctx, entry)
	if errors.Is(err, event.ErrFenced) { // another member was faster
		b, err = n.recall(ctx, entry)
	}
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.starts[entry] = *b
	return b, nil
}

func (n *session) recall(ctx context.Context, entry string) (*beginning, error) {
	shard := beginningOf(entry)
	data, err := n.out.Cursor(ctx, shard)
	if err != nil {
		return nil, err
	}
	if data != nil {
		return decodeBeginning(data)
	}
	b, err := n.ask(ctx)
	if err != nil {
		return nil, err
	}
	if n.cfg.Pattern == "" {
		b.only(entry)
	}
	if data, err = json.Marshal(b); err != nil {
		return nil, err
	}
	return b, n.out.PublishAt(ctx, shard, data)
}

func decodeBeginning(data []byte) (*beginning, error) {
	b := &beginning{}
	switch err := json.Unmarshal(data, b); {
	case err != nil:
		return nil, err
	case b.Version != cursorVersion:
		return nil, fmt.Errorf("it was stored in format %d; this sluice reads %d", b.Version, cursorVersion)
	}
	return b, nil
}

// only keeps one topic.
func (b *beginning) only(topic string) {
	for name := range b.Topics {
		if name != topic {
			delete(b.Topics, name)
		}
	}
}

// ask lets the brokers say where all topics of the source begin for it.
func (n *session) ask(ctx context.Context) (*beginning, error) {
	b := &beginning{Version: cursorVersion, Start: n.cfg.Start, Topics: map[string]firstOffset{}}
	found, err := n.topics(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for name, t := range found {
		if t.Err == nil {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return b, nil
	}
	listed, err := n.startOffsets(ctx, names)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, err
	}
	for name, numbers := range listed {
		first := firstOffset{ID: idOf(found[name].ID), At: make([]int64, len(numbers))}
		for number, o := range numbers {
			if int(number) >= len(first.At) {
				return nil, fmt.Errorf("the brokers tell of partition %d of %s, and not of all before it", number, name)
			}
			first.At[number] = o.Offset
		}
		b.Topics[name] = first
	}
	return b, nil
}

func (n *session) startOffsets(ctx context.Context, topics []string) (kadm.ListedOffsets, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if at, err := time.Parse(time.RFC3339, n.cfg.Start); err == nil {
		return n.admin.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topics...)
	}
	return n.admin.ListEndOffsets(ctx, topics...)
}
