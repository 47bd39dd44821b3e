package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"sluice/event"
)

// lookUps is how many questions about single keys are under way at once.
const lookUps = 8

var (
	errStopped = fmt.Errorf("%w: the source is stopping", event.ErrUnavailable)
	// errVersions is for a bucket of which the last listing saw no versions.
	errVersions = fmt.Errorf("%w: versioning was switched on, and the bucket is being listed", event.ErrUnavailable)
)

// A push is a request with notifications.
type push struct {
	hints []hint
	done  chan error // takes what became of it, once
}

// serveNotifications takes notifications that are pushed until ctx ends.
func (r *run) serveNotifications(ctx context.Context) {
	if err := r.cfg.Notify.Serve(ctx, r.env, r.pass); err != nil {
		r.failed <- err
	}
}

// pass hands the notifications of one request to loop, and returns nil when
// what they tell is durable.
func (r *run) pass(ctx context.Context, body []byte) error {
	hints, err := parsePush(r.cfg.Bucket, body)
	if err != nil {
		return err
	}
	hints = slices.DeleteFunc(hints, func(h hint) bool { return !r.server.wants(h.key) })
	if len(hints) == 0 {
		return nil
	}
	if r.away.Load() {
		return event.ErrUnavailable
	}
	p := push{hints: hints, done: make(chan error, 1)}
	select {
	case r.pushes <- p:
	case <-r.over:
		return errStopped
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", event.ErrUnavailable, ctx.Err())
	}
	select {
	case err := <-p.done:
		return err
	case <-r.over:
		return errStopped
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", event.ErrUnavailable, ctx.Err())
	}
}

// readyPushes returns no channel until it is known how to ask for keys.
func (r *run) readyPushes() <-chan push {
	if !r.ready {
		return nil
	}
	return r.pushes
}

// takePushes asks the bucket for the keys of a push and of those that wait
// behind it, publishes what is new, and answers them.
func (r *run) takePushes(ctx context.Context, first push) error {
	taken := []push{first}
	hints := first.hints
	for len(hints) < maxEvents {
		next, more := r.waitingPush()
		if !more {
			break
		}
		taken = append(taken, next)
		hints = append(hints, next.hints...)
	}
	hints = slices.DeleteFunc(slices.Clone(hints), r.asked.accounted)
	if r.bucket == unversioned && slices.ContainsFunc(hints, hint.marks) {
		r.listSoon()
		answer(taken, errVersions)
		return nil
	}
	missed, err := r.lookUpAll(ctx, keysOf(hints))
	if err != nil {
		return err
	}
	if missed != nil {
		r.listSoon()
	} else {
		for _, h := range hints {
			r.asked.note(h)
		}
	}
	answer(taken, missed)
	return nil
}

func answer(taken []push, err error) {
	for _, p := range taken {
		p.done <- err
	}
}

func (r *run) waitingPush() (push, bool) {
	select {
	case p := <-r.pushes:
		return p, true
	default:
		return push{}, false
	}
}

// keysOf returns the keys, each once.
func keysOf(hints []hint) []string {
	keys := make([]string, len(hints))
	for i, h := range hints {
		keys[i] = h.key
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// lookUpAll asks the bucket for all keys, and publishes in what it differs from
// what is known. What the bucket did not answer is in missed; err is what another
// try cannot mend.
func (r *run) lookUpAll(ctx context.Context, keys []string) (missed, err error) {
	if _, unsorted := errors.AsType[*unsortedError](r.listError); unsorted {
		return r.listError, nil // what is asked by prefix could be missed too
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return !r.server.wants(key) })
	found := make([][]object, len(keys))
	failed := make([]error, len(keys))
	var group errgroup.Group
	group.SetLimit(lookUps)
	for i, key := range keys {
		group.Go(func() error {
			found[i], failed[i] = r.lookUp(ctx, key)
			return nil
		})
	}
	_ = group.Wait() // the errors are in failed
	for i, key := range keys {
		if failed[i] != nil {
			continue
		}
		if err := r.compare(ctx, keyView(key, found[i], r.env.Now())); err != nil {
			return nil, err
		}
	}
	return errors.Join(failed...), nil
}
