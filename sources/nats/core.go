package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"golang.org/x/sync/errgroup"

	"sluice/sources"
	"sluice/sources/upstream"
)

const (
	// maxPending is how many messages of one subject wait in memory at most, and
	// maxPendingBytes how many bytes. What comes beyond is lost, and told.
	maxPending      = 65_536
	maxPendingBytes = 64 << 20
	// slowFor is how long it is told that messages were lost.
	slowFor = time.Minute
	// idle is how often it is looked whether that is over.
	idle = 5 * time.Second
)

// core publishes what comes to core subjects.
func (r *run) core(ctx context.Context) error {
	workers, working := errgroup.WithContext(ctx)
	for _, subject := range r.cfg.Subjects {
		subscription, err := r.subscribe(subject)
		if err != nil {
			return errors.Join(err, workers.Wait())
		}
		workers.Go(func() error { return r.listen(working, subscription) })
	}
	return workers.Wait()
}

func (r *run) subscribe(subject string) (*nats.Subscription, error) {
	subscription, err := r.conn.QueueSubscribeSync(subject, r.cfg.Queue)
	if err == nil {
		err = subscription.SetPendingLimits(maxPending, maxPendingBytes)
	}
	if err == nil {
		err = r.conn.FlushTimeout(dialTimeout)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribing to %q: %w", subject, err)
	}
	return subscription, nil
}

// listen publishes what comes to one subscription. What has come before the end
// has a moment to become durable.
func (r *run) listen(ctx context.Context, s *nats.Subscription) error {
	for {
		all, err := r.heard(ctx, s)
		if len(all) > 0 {
			if err := r.publish(ctx, all); err != nil {
				return err
			}
		}
		switch {
		case ctx.Err() != nil:
			return r.last(ctx, s)
		case err != nil && !errors.Is(err, nats.ErrSlowConsumer) && !errors.Is(err, context.DeadlineExceeded):
			return explain(err)
		}
		r.calm()
	}
}

// last publishes what has been received when the end comes.
func (r *run) last(ctx context.Context, s *nats.Subscription) error {
	rest, _, err := s.Pending()
	if err != nil || rest == 0 {
		return nil //nolint:nilerr // there is nothing more
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	for rest > 0 {
		all, err := r.heard(ctx, s)
		if len(all) == 0 {
			return err
		}
		if err := r.publish(ctx, all); err != nil {
			return err
		}
		rest -= len(all)
	}
	return nil
}

// heard returns the next message, and those that wait behind it.
func (r *run) heard(ctx context.Context, s *nats.Subscription) ([]message, error) {
	wait, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	var all []message
	size := 0
	for len(all) < sources.MaxBatch && size < maxBytes {
		m, err := s.NextMsgWithContext(wait)
		if err != nil {
			return all, err
		}
		all = append(all, r.received(m))
		size += len(m.Data)
		if waiting, _, err := s.Pending(); err != nil || waiting == 0 {
			break
		}
	}
	return all, nil
}

// received gives a message an id: its own, or a random one.
func (r *run) received(m *nats.Msg) message {
	id := m.Header.Get(nats.MsgIdHdr)
	if id == "" || !valid(id) {
		id = nuid.Next()
	}
	return message{subject: m.Subject, header: m.Header, data: m.Data, time: r.env.Now(), origin: "core", id: id}
}

func (r *run) publish(ctx context.Context, all []message) error {
	long, cancel := upstream.Grace(ctx, grace)
	defer cancel()
	events := r.events(all)
	tooLarge, err := upstream.Divide(len(events), func(from, to int) error {
		return r.health.Until(long, "bus", func(ctx context.Context) error { return r.out.Publish(ctx, events[from:to]...) })
	})
	for _, i := range tooLarge {
		r.slow.Store(time.Now().UnixNano())
		r.env.Logger.Error("a message is larger than bus.max_event, and is lost", slog.String("subject", all[i].subject), slog.Int("bytes", len(all[i].data)))
		r.health.Set("large", fmt.Errorf("a message to %q is larger than bus.max_event, and is lost: raise that", all[i].subject))
	}
	return err
}

// calm ends the report of what was lost.
func (r *run) calm() {
	if at := r.slow.Load(); at != 0 && time.Since(time.Unix(0, at)) > slowFor && r.slow.CompareAndSwap(at, 0) {
		r.health.Set("slow", nil)
		r.health.Set("large", nil)
	}
}
