package kafka

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// cursorVersion is that of cursors and beginnings.
const cursorVersion = 1

// maxShard is the longest name of a shard, in bytes.
const maxShard = 128

// A cursor is the position of one partition.
type cursor struct {
	Version int `json:"v"`
	// Topic is the id of the topic; empty where brokers give none.
	Topic string `json:"topic,omitempty"`
	// Offset is that of the record to read next.
	Offset int64 `json:"offset"`
	// Generation counts how often the log was cut behind the cursor: the offsets
	// of what was read before are given to other records then.
	Generation int `json:"generation,omitempty"`
}

func (c cursor) encode() []byte {
	c.Version = cursorVersion
	data, _ := json.Marshal(c) // numbers and a string never fail
	return data
}

// decodeCursor reads what encode makes; nil data is no cursor.
func decodeCursor(data []byte) (*cursor, error) {
	if data == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	c := &cursor{}
	err := json.Unmarshal(data, c)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the cursor cannot be read: %w", err)
	case c.Version > cursorVersion:
		return nil, fmt.Errorf("the cursor was stored in format %d by a newer sluice; this one reads up to %d", c.Version, cursorVersion)
	case c.Version < 1 || c.Offset < 0 || c.Generation < 0:
		return nil, fmt.Errorf("the cursor %q cannot be read: it has no version, or is below 0", data)
	}
	return c, nil
}

// idOf returns the text of a topic's id, as Kafka's own tools print it; empty for
// none.
func idOf(id kadm.TopicID) string {
	if id == (kadm.TopicID{}) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// shardOf returns the name of the shard of a partition. It is another one for
// each partition: names of topics have dots, which become _d, and _ becomes _u.
// What is too long is hashed.
func shardOf(topic string, partition int32) string {
	name := strings.NewReplacer("_", "_u", ".", "_d").Replace(topic)
	end := "-" + strconv.Itoa(int(partition))
	if len(name)+len(end) > maxShard {
		name = "_h" + hashOf(topic)
	}
	return name + end
}

// beginningOf returns the name of the shard of an entry of the file: of a topic
// or a pattern. It is never that of a partition.
func beginningOf(entry string) string { return "_b" + hashOf(entry) }

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
