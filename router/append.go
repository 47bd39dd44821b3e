package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"sluice/event"
	"sluice/router/core"
)

// A chain appends the records of one claim, each expecting the one before.
type chain struct {
	run  *run
	last uint64 // ledger sequence of the claim's last message
}

// writeRecords appends what the core asks for, one after the other.
func (u *run) writeRecords(ctx context.Context) {
	c := chain{run: u}
	for {
		select {
		case <-ctx.Done():
			return
		case next := <-u.appends:
			appended, err := c.append(ctx, next)
			if err != nil {
				u.fail(err)
				return
			}
			if ctx.Err() == nil {
				u.inbox.put(appended)
			}
		}
	}
}

// append makes one append durable. While its fate is unknown it is tried again
// with the same bytes and the same expectation, so that it is stored once.
func (c *chain) append(ctx context.Context, next core.Append) (core.Appended, error) {
	appended := core.Appended{Number: next.Number}
	var chunks [][]byte
	for _, r := range next.Records {
		data, err := c.run.codec.Encode(r)
		if err != nil {
			return appended, err
		}
		appended.Bytes += len(data)
		chunks = append(chunks, data)
	}
	var fatal error
	c.run.persist(ctx, "ledger append", func() error {
		first, err := c.store(ctx, chunks)
		appended.Sequence = first
		if errors.Is(err, event.ErrFenced) {
			fatal = fmt.Errorf("append record %d of claim %s: %w", next.Number, c.run.claim, err)
			return nil
		}
		return err
	})
	return appended, fatal
}

// store returns the sequence of the first chunk. When it is refused it looks
// whether an earlier try has been stored after all.
func (c *chain) store(ctx context.Context, chunks [][]byte) (first uint64, err error) {
	first, last, err := c.put(ctx, chunks)
	if errors.Is(err, event.ErrFenced) {
		sequence, data, lookErr := c.run.options.Ledger.LastRecord(ctx, c.run.claim)
		if lookErr != nil {
			return 0, fmt.Errorf("look at the last record: %w", lookErr)
		}
		if !bytes.Equal(data, chunks[len(chunks)-1]) {
			return 0, err
		}
		first, last = sequence-uint64(len(chunks)-1), sequence
	} else if err != nil {
		return 0, err
	}
	c.last = last
	return first, nil
}

func (c *chain) put(ctx context.Context, chunks [][]byte) (first, last uint64, err error) {
	if len(chunks) > 1 {
		return c.run.options.Ledger.AppendSnapshot(ctx, c.run.claim, c.last, chunks)
	}
	last, err = c.run.options.Ledger.AppendRecord(ctx, c.run.claim, c.last, chunks[0])
	return last, last, err
}
