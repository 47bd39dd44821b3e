package shards

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// format is the version of what is stored. It is the first byte.
const format = 1

// maxStored is how many bytes a cursor may take.
const maxStored = 512 << 10

// rootShard is where it is stored which shards there are.
const rootShard = "root"

// slotShard is the name under which a shard's cursor is stored. Slots are used
// again, so that a stream which splits for years leaves no heap of cursors.
func slotShard(slot uint32) string { return "slot-" + strconv.FormatUint(uint64(slot), 10) }

// A root says which shards there are. It is stored before any of them is read.
type root struct {
	_ struct{} `cbor:",toarray"`
	// Stream is the identity of the stream, and Life the number of streams that
	// there were before it.
	Stream string
	Life   uint32
	// Since is when the stream was first seen, or as of when it is read, in
	// milliseconds since 1970.
	Since  int64
	Shards []known
}

// A known is a shard that has been seen and is not gone.
type known struct {
	_    struct{} `cbor:",toarray"`
	ID   string
	Slot uint32
	// Start is where it begins when there is no cursor.
	Start From
	// Done is set when it has been read to its end; the slot is then free.
	Done bool
}

// A cursor is how far a shard has been read.
type cursor struct {
	_ struct{} `cbor:",toarray"`
	// Life and Shard say whose cursor it is: a slot may have been another's.
	Life  uint32
	Shard string
	// Sequence is that of the last record of which something was published; empty
	// for none.
	Sequence string
	// Skip is how many events of that record were published; 0 for all.
	Skip uint32
	// AsOf is up to when the shard has been read, in milliseconds since 1970; 0
	// where that is not known.
	AsOf int64
	Done bool
}

// position returns where a shard goes on, or begins.
func (c *cursor) position(start From, since time.Time) Position {
	switch {
	case c.Sequence == "":
		return Position{From: start, Time: since}
	case c.Skip > 0:
		return Position{From: At, Sequence: c.Sequence}
	}
	return Position{From: After, Sequence: c.Sequence}
}

// behind says up to where a shard was read.
func (c *cursor) behind() string {
	if c.Sequence == "" {
		return "from the beginning on"
	}
	return fmt.Sprintf("behind %s, which was read at %s", c.Sequence, time.UnixMilli(c.AsOf).UTC().Format(time.RFC3339))
}

func encode(value any) ([]byte, error) {
	data, err := cbor.Marshal(value)
	if err != nil {
		return nil, err
	}
	return append([]byte{format}, data...), nil
}

var errEmpty = errors.New("it is empty")

func decode(data []byte, into any) error {
	switch {
	case len(data) == 0:
		return errEmpty
	case data[0] != format:
		return fmt.Errorf("it has format %d, and this sluice knows format %d: a newer one has written it", data[0], format)
	}
	return cbor.Unmarshal(data[1:], into)
}

func damaged(shard string, err error) error {
	return fmt.Errorf("the cursor %q cannot be read: %w", shard, err)
}
