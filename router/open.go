package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"sluice/event"
	"sluice/router/ledger"
)

// claimName is the token of a claim in the ledger's subjects.
func claimName(claim uint64) string { return strconv.FormatUint(claim, 10) }

// An InconsistentError means that the log and the ledger do not belong
// together: going on would lose or repeat deliveries.
type InconsistentError struct{ What string }

func (e *InconsistentError) Error() string {
	return e.What + "; the folder of the bus was mixed up or partly restored: bring back events and ledger of the same time, or move both away to start anew"
}

// recover takes over from the last claim: it seals it, so that nothing more is
// accepted from it, and folds it. The state that it returns carries the next
// claim.
func (r *Router) recover(ctx context.Context) (*ledger.State, uint64, error) {
	var state *ledger.State
	var last uint64
	var err error
	r.persist(ctx, "ledger", func() error {
		if state, last, err = r.tryRecover(ctx); errors.Is(err, event.ErrUnavailable) {
			return err
		}
		return nil
	})
	if err != nil || ctx.Err() != nil {
		return nil, 0, errors.Join(err, ctx.Err())
	}
	if state.Incarnation != r.options.Incarnation {
		return nil, 0, &InconsistentError{What: fmt.Sprintf("the ledger belongs to the log %q, and the log is %q", state.Incarnation, r.options.Incarnation)}
	}
	if seen := reached(state); last < seen {
		return nil, 0, &InconsistentError{What: fmt.Sprintf("the ledger has seen the log up to %d, and the log ends at %d", seen, last)}
	}
	r.logger.Info("ledger opened",
		slog.Uint64("claim", state.Claim+1), slog.Uint64("mark", state.Mark), slog.Uint64("last", last),
		slog.Int("waiting", len(state.Waiting)), slog.Bool("clean", state.Stopped))
	state.Claim, state.Number, state.Sealed = state.Claim+1, 0, false
	return state, last, nil
}

// tryRecover looks at the log only when the last claim is sealed: nothing more
// can have been seen of it then.
func (r *Router) tryRecover(ctx context.Context) (*ledger.State, uint64, error) {
	state, err := r.takeOver(ctx)
	if err != nil {
		return nil, 0, err
	}
	_, last, err := r.options.Log.Bounds(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("look at the log: %w", err)
	}
	return state, last, nil
}

// reached is the last sequence of the log that the ledger has seen.
func reached(state *ledger.State) uint64 {
	seen := state.Mark
	for _, t := range state.Triggers {
		if t.Behind {
			seen = max(seen, t.Cursor)
		}
	}
	return seen
}

// takeOver seals the newest claim and folds it. Somebody else may write to it
// meanwhile: then it looks again.
func (r *Router) takeOver(ctx context.Context) (*ledger.State, error) {
	for {
		sequence, data, err := r.options.Ledger.LastRecord(ctx, "")
		if err != nil {
			return nil, fmt.Errorf("read the last record: %w", err)
		}
		if sequence == 0 {
			return ledger.NewState(r.options.Incarnation), nil
		}
		last, err := r.codec.Decode(data)
		if err != nil {
			return nil, fmt.Errorf("ledger sequence %d: %w", sequence, err)
		}
		start := last.Snapshot
		if last.Chunk != nil {
			start = sequence - uint64(last.Chunk.Index)
		}
		if !last.Sealed {
			if err := r.seal(ctx, last, start, sequence); errors.Is(err, event.ErrFenced) {
				continue
			} else if err != nil {
				return nil, fmt.Errorf("seal claim %d: %w", last.Claim, err)
			}
		}
		return r.fold(ctx, last.Claim, start)
	}
}

func (r *Router) seal(ctx context.Context, last *ledger.Record, start, expect uint64) error {
	data, err := r.codec.Encode(&ledger.Record{
		Format: ledger.Format, Claim: last.Claim, Number: last.Number + 1, Time: last.Time, Snapshot: start, Sealed: true,
	})
	if err != nil {
		return err
	}
	_, err = r.options.Ledger.AppendRecord(ctx, claimName(last.Claim), expect, data)
	return err
}

func (r *Router) fold(ctx context.Context, claim, start uint64) (*ledger.State, error) {
	fold := ledger.NewFold(r.codec)
	err := r.options.Ledger.ReadRecords(ctx, claimName(claim), start, func(sequence uint64, _ time.Time, data []byte) error {
		return fold.Add(sequence, data)
	})
	if err != nil {
		return nil, err
	}
	state := fold.State()
	if state == nil {
		return nil, fmt.Errorf("claim %d has no whole snapshot from ledger sequence %d on", claim, start)
	}
	return state, nil
}
