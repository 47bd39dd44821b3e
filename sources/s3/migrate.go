package s3

import (
	"context"
	"fmt"
)

const (
	// formerVersion is the format of cursors that had hashes of what is known.
	// What was gone could not be told from them.
	formerVersion = 1
	formerBases   = 64
	formerHead    = 1 + 1 + 8 + 8 + 8
)

// migrate begins anew from the moment of the last listing of a root in the
// former format, and empties the cursors beside it. The root goes last, so that a
// crash leaves work that is done again.
func (c *catalog) migrate(ctx context.Context, data []byte) error {
	if len(data) < formerHead {
		return damaged(rootShard, fmt.Errorf("it ends after %d bytes, but its head has %d", len(data), formerHead))
	}
	in := &reader{data: data[1:]}
	flags := in.byte()
	c.root.since, c.root.listed, c.root.local = in.milliseconds(), in.milliseconds(), flags&flagLocal != 0
	if flags&flagComplete != 0 {
		c.root.since = c.root.listed
	}
	c.former = true
	for i := range formerBases {
		shard := fmt.Sprintf("base-%02d", i)
		base, err := c.out.Cursor(ctx, shard)
		if err != nil {
			return err
		}
		if len(base) <= 1 {
			continue
		}
		if err := c.out.PublishAt(ctx, shard, []byte{formerVersion}); err != nil {
			return err
		}
	}
	return c.save(ctx)
}
