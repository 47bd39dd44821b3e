package awssink

import (
	"context"
	"errors"
	"fmt"

	"sluice/sinks"
)

// An Entry is what one delivery is in a request of several.
type Entry[T any] struct {
	// Index is that of the delivery in its attempt.
	Index int
	// Size is what it counts, in bytes.
	Size int
	// Group is where order is kept; empty for none. After a failure what follows in
	// the same group is not sent.
	Group string
	Value T
}

// Limits are those of one request.
type Limits struct{ Count, Bytes int }

// A Batch sends the deliveries of an attempt in as few requests as the limits
// allow, one after the other.
type Batch[T any] struct {
	Limits Limits
	// Most is the largest entry that the service takes, in bytes.
	Most int
	// Make returns the entry of a delivery, without its index. Its errors are those
	// of sinks.
	Make func(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) (Entry[T], error)
	// Send makes one request. It returns what has become of entries by their place
	// in it, or the error of the client for all.
	Send func(ctx context.Context, entries []Entry[T]) (failed map[int]error, err error)
	// Refused tells whether the error of a request says that one of its entries is
	// what the service never takes, and that it has taken none; nil where entries
	// are told one by one.
	Refused func(err error) bool
}

// Deliver sends an attempt.
func (b *Batch[T]) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	if err := ctx.Err(); err != nil {
		return sinks.Response{}, err
	}
	t := &tally{failed: map[int]error{}, behind: map[string]error{}}
	entries := make([]Entry[T], 0, len(a.Deliveries))
	for i := range a.Deliveries {
		e, err := b.Make(ctx, &a, &a.Deliveries[i])
		if err == nil && e.Size > b.Most {
			err = sinks.Permanent(fmt.Errorf("it has %d bytes with its attributes, and the service takes %d", e.Size, b.Most))
		}
		if err != nil {
			t.fail(i, e.Group, err)
			continue
		}
		e.Index = i
		entries = append(entries, e)
	}
	for len(entries) > 0 {
		n := b.Limits.fit(len(entries), func(i int) int { return entries[i].Size })
		b.request(ctx, t, entries[:n])
		entries = entries[n:]
	}
	return t.result(len(a.Deliveries))
}

// fit returns how many of the first entries go into one request: at least one.
func (l Limits) fit(n int, size func(int) int) int {
	total := 0
	for i := range min(n, l.Count) {
		if total += size(i); total > l.Bytes && i > 0 {
			return i
		}
	}
	return min(n, l.Count)
}

// request makes one request, or several where the service says that it is too
// long, as its limit may be lower than ours, or that one of its entries is wrong,
// until it is known which one that is.
func (b *Batch[T]) request(ctx context.Context, t *tally, entries []Entry[T]) {
	ready := make([]Entry[T], 0, len(entries))
	for _, e := range entries {
		switch {
		case t.ended != nil:
			t.failed[e.Index] = t.ended
		case e.Group != "" && t.behind[e.Group] != nil:
			t.failed[e.Index] = t.behind[e.Group]
		default:
			ready = append(ready, e)
		}
	}
	if len(ready) == 0 {
		return
	}
	failed, err := b.Send(ctx, ready)
	switch {
	case err == nil:
		t.sent = true
		for i, problem := range failed {
			t.fail(ready[i].Index, ready[i].Group, problem)
		}
	case b.divides(err) && len(ready) > 1:
		b.request(ctx, t, ready[:len(ready)/2])
		b.request(ctx, t, ready[len(ready)/2:])
	case b.divides(err):
		t.fail(ready[0].Index, ready[0].Group, sinks.Permanent(Verdict(ctx, err)))
	default:
		t.ended = Verdict(ctx, err)
		for _, e := range ready {
			t.fail(e.Index, e.Group, t.ended)
		}
	}
}

// divides tells whether a request is to be made again in halves.
func (b *Batch[T]) divides(err error) bool {
	return TooLong(err) || (b.Refused != nil && b.Refused(err))
}

var errBehind = errors.New("not sent: an earlier one of its group has failed")

// A tally is what has become of the deliveries of an attempt.
type tally struct {
	failed map[int]error
	behind map[string]error // why no more of a group is sent, in which something has failed
	ended  error            // of a request as a whole; nothing more is sent then
	sent   bool             // a request was answered
}

func (t *tally) fail(index int, group string, err error) {
	t.failed[index] = err
	if group == "" || sinks.IsPermanent(err) {
		return
	}
	t.behind[group] = errBehind
	if _, ok := errors.AsType[*sinks.ThrottledError](err); ok {
		t.behind[group] = &sinks.ThrottledError{Err: errBehind}
	}
}

// result returns the error of one delivery, of all, or of some.
func (t *tally) result(deliveries int) (sinks.Response, error) {
	response := sinks.Response{Status: Status(t.ended)}
	if t.ended == nil && !t.sent {
		response.Status = 0
	}
	switch {
	case len(t.failed) == 0:
		return response, nil
	case deliveries == 1:
		return response, t.failed[0]
	case !t.sent && len(t.failed) == deliveries && t.ended != nil && t.same():
		return response, t.ended
	}
	return response, &sinks.PartialError{Failed: t.failed}
}

// same tells whether all have failed for what has ended the attempt.
func (t *tally) same() bool {
	for _, err := range t.failed {
		if err != t.ended { //nolint:errorlint // the very same one
			return false
		}
	}
	return true
}
