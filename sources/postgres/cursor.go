package postgres

import (
	"encoding/json"
	"fmt"

	"github.com/jackc/pglogrepl"
)

// shard is the name of the source's only cursor.
const shard = "changes"

const cursorVersion = 1

// The phases of a source's life.
const (
	// phaseSlot: the slot is about to be made. One that is there was made and not
	// yet used, and is made again.
	phaseSlot = "slot"
	// phaseSnapshot: the rows are read that were there when the slot was made.
	phaseSnapshot = "snapshot"
	// phaseStream: changes are read.
	phaseStream = "stream"
)

// A cursor is what the source keeps with its events.
type cursor struct {
	Version int `json:"v"`
	// System, Timeline and Database say of which database it is. Positions of
	// another one mean nothing here.
	System   string `json:"system"`
	Timeline int32  `json:"timeline"`
	Database string `json:"database"`
	Phase    string `json:"phase"`
	// Snapshot says in phaseSlot that a snapshot follows.
	Snapshot bool `json:"snapshot,omitempty"`
	// Point is where the slot began; it names a snapshot.
	Point pglogrepl.LSN `json:"point,omitempty"`
	// Table is the one that is being read, with those before it done, and Key that of
	// the last row of it.
	Table string   `json:"table,omitempty"`
	Key   []string `json:"key,omitempty"`

	position
}

// A position is one in the order in which the server sends changes.
type position struct {
	// LSN: of every transaction whose commit is before it, all is published.
	LSN pglogrepl.LSN `json:"lsn,omitempty"`
	// Change and Index: of the transaction whose commit is at LSN, everything up to
	// the change with this LSN and number is published. Several changes have the
	// same LSN when one record holds them.
	Change pglogrepl.LSN `json:"change,omitempty"`
	Index  int           `json:"index,omitempty"`
}

// covers tells whether a change of the transaction that is committed at final has
// been published.
func (p position) covers(final, lsn pglogrepl.LSN, index int) bool {
	switch {
	case final != p.LSN:
		return final < p.LSN
	case lsn != p.Change:
		return lsn < p.Change
	}
	return p.Change != 0 && index <= p.Index
}

func (c *cursor) encode() ([]byte, error) {
	c.Version = cursorVersion
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("the cursor: %w", err)
	}
	return data, nil
}

// decodeCursor reads a stored cursor; nil is none.
func decodeCursor(data []byte) (*cursor, error) {
	if data == nil {
		return nil, nil //nolint:nilnil // a new source has none
	}
	var c cursor
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("the cursor cannot be read: %w", err)
	}
	if c.Version != cursorVersion {
		return nil, fmt.Errorf("the cursor has format %d, and this sluice knows format %d: a newer one has written it", c.Version, cursorVersion)
	}
	switch c.Phase {
	case phaseSlot, phaseSnapshot, phaseStream:
		return &c, nil
	}
	return nil, fmt.Errorf("the cursor has the phase %q, which is not known", c.Phase)
}
