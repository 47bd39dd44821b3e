package nats

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/sources"
	"sluice/sources/upstream"
)

// laterTooLarge is when a message that is too large is given to the source again.
const laterTooLarge = time.Minute

// A durable reads a stream by a durable consumer.
type durable struct {
	*run
	left map[uint64]struct{} // messages that are too large, and not acknowledged
}

func (d *durable) read(ctx context.Context, well func()) error {
	_, info, err := d.info(ctx)
	if err != nil {
		return err
	}
	consumer, err := d.consumer(ctx)
	if err != nil {
		return err
	}
	config := consumer.CachedInfo().Config
	if config.AckPolicy != jetstream.AckExplicitPolicy {
		return fmt.Errorf("the consumer %q does not ask for each message to be acknowledged (ack policy %v): write another one in consumer, which is made", d.cfg.Consumer, config.AckPolicy)
	}
	from, err := messages(consumer)
	if err != nil {
		return err
	}
	defer from.Stop()
	d.setLag(int64(consumer.CachedInfo().NumPending), d.env.Now())
	well()
	for {
		all, err := d.batch(ctx, from, info.Created)
		if len(all) > 0 {
			if err := d.take(ctx, all, config.AckWait); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// consumer returns the one that is there, as it is, or makes it.
func (d *durable) consumer(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	found, err := d.js.Consumer(ctx, d.cfg.Stream, d.cfg.Consumer)
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return found, err
	}
	s, err := d.cfg.start()
	if err != nil {
		return nil, err
	}
	wanted := jetstream.ConsumerConfig{
		Durable: d.cfg.Consumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Duration(d.cfg.AckWait),
		MaxAckPending: 4 * sources.MaxBatch, FilterSubjects: d.cfg.Subjects, Description: "the source " + d.env.Name + " of sluice",
	}
	switch {
	case s.new:
		wanted.DeliverPolicy = jetstream.DeliverNewPolicy
	case !s.at.IsZero():
		wanted.DeliverPolicy, wanted.OptStartTime = jetstream.DeliverByStartTimePolicy, &s.at
	case s.after > 0:
		wanted.DeliverPolicy, wanted.OptStartSeq = jetstream.DeliverByStartSequencePolicy, s.after+1
	}
	return d.js.CreateConsumer(ctx, d.cfg.Stream, wanted)
}

// take publishes messages and acknowledges them; meanwhile the server is told
// that they are being worked on.
func (d *durable) take(ctx context.Context, all []pulled, wait time.Duration) error {
	long, cancel := upstream.Grace(ctx, grace)
	defer cancel()
	defer hold(long, all, wait)()
	events := d.events(plain(all))
	tooLarge, err := upstream.Divide(len(events), func(from, to int) error {
		return d.health.Until(long, "bus", func(ctx context.Context) error { return d.out.Publish(ctx, events[from:to]...) })
	})
	if err != nil {
		return err
	}
	for i := range all {
		if slices.Contains(tooLarge, i) {
			d.left[all[i].sequence] = struct{}{}
			err = all[i].msg.NakWithDelay(laterTooLarge)
		} else {
			delete(d.left, all[i].sequence)
			err = all[i].msg.Ack()
		}
		if err != nil {
			return fmt.Errorf("acknowledging: %w", err)
		}
	}
	d.tell()
	last := all[len(all)-1]
	d.setLag(int64(last.meta.NumPending), last.time)
	flush, stop := context.WithTimeout(long, apiTimeout)
	defer stop()
	return d.conn.FlushWithContext(flush)
}

// hold asks the server for time, until release is called.
func hold(ctx context.Context, all []pulled, wait time.Duration) (release func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(max(wait/3, 100*time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				for i := range all {
					_ = all[i].msg.InProgress() // else it comes again
				}
			}
		}
	}()
	return func() { cancel(); <-ended }
}

func (d *durable) tell() {
	if len(d.left) == 0 {
		d.health.Set("left", nil)
		return
	}
	d.health.Set("left", fmt.Errorf("stream %q: messages are larger than bus.max_event, and are tried again every minute: raise that, or delete them: %s",
		d.cfg.Stream, some(slices.Sorted(maps.Keys(d.left)))))
}
