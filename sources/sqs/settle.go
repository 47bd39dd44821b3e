package sqs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"sluice/connect/awsconn"
	"sluice/event"
)

// deleteTries is how often one message is tried to be deleted that the service
// does not delete, while it deletes others.
const deleteTries = 5

// A held message is one that the queue hides from others for this source.
type held struct {
	id, handle, group string
	event             event.Event
}

// settle publishes the messages of one answer, in their order, and deletes those
// that are durable. Meanwhile they are held. When ctx ends first, those that are
// not durable are given back.
func (r *run) settle(ctx context.Context, messages []types.Message) {
	batch := make([]held, len(messages))
	for i := range messages {
		batch[i] = r.held(&messages[i])
	}
	release := r.hold(ctx, batch)
	defer release()
	stored, left := r.publish(ctx, batch)
	r.delete(ctx, stored)
	if len(left) > 0 && ctx.Err() != nil {
		r.giveBack(ctx, left)
	}
}

func (r *run) held(m *types.Message) held {
	h := held{id: aws.ToString(m.MessageId), handle: aws.ToString(m.ReceiptHandle), event: r.event(m)}
	if r.queue.FIFO() {
		h.group = m.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)]
	}
	return h
}

// publish returns what is durable now, and what is not. What was durable before
// and could not be deleted is not published again.
func (r *run) publish(ctx context.Context, batch []held) (stored, left []held) {
	var fresh []held
	for _, h := range batch {
		if r.settled.has(h.id) {
			stored = append(stored, h)
		} else {
			fresh = append(fresh, h)
		}
	}
	events := make([]event.Event, len(fresh))
	for i := range fresh {
		events[i] = fresh[i].event
	}
	switch err := r.persist(ctx, events...); {
	case err == nil:
		return append(stored, fresh...), nil
	case !refuses(err):
		return stored, fresh
	}
	one, left := r.publishOneByOne(ctx, fresh)
	return append(stored, one...), left
}

// publishOneByOne finds out which messages the bus does not take. Those of a
// group that come after such a one are left too: their order is the queue's.
func (r *run) publishOneByOne(ctx context.Context, batch []held) (stored, left []held) {
	behind := map[string]bool{}
	for _, h := range batch {
		if h.group != "" && behind[h.group] {
			left = append(left, h)
			continue
		}
		err := r.persist(ctx, h.event)
		if err == nil {
			stored = append(stored, h)
			continue
		}
		left = append(left, h)
		behind[h.group] = true
		if refuses(err) {
			r.refuse(&h, err)
		}
	}
	return stored, left
}

// refuses tells whether the bus never takes the events.
func refuses(err error) bool {
	_, invalid := errors.AsType[*event.InvalidError](err)
	return invalid || errors.Is(err, event.ErrTooLarge)
}

// persist publishes until the events are durable, the bus refuses them, or ctx
// ends.
func (r *run) persist(ctx context.Context, events ...event.Event) error {
	if len(events) == 0 {
		return nil
	}
	pause := newBackoff()
	for {
		err := r.out.Publish(ctx, events...)
		if err == nil || refuses(err) || ctx.Err() != nil {
			if err == nil {
				r.health.set(publishing, nil)
			}
			return err
		}
		r.health.set(publishing, err)
		sleep(ctx, pause.NextBackOff())
	}
}

// refuse leaves a message in the queue: it comes again when it is no longer
// hidden, until the queue's redrive policy takes it to its dead-letter queue.
func (r *run) refuse(h *held, err error) {
	r.refused.Store(r.env.Now().UnixNano())
	r.health.set(refusing, fmt.Errorf("message %s cannot become an event; it stays in the queue until its redrive policy takes it to a dead-letter queue: %w", h.id, err))
	r.env.Logger.Error("a message cannot become an event and stays in the queue",
		slog.String("queue", r.queue.Name), slog.String("message", h.id),
		slog.String("received", h.event.Extension("receivecount")), slog.Any("error", err))
}

// forgetRefused ends the trouble when none was seen for a while.
func (r *run) forgetRefused() {
	last := r.refused.Load()
	if last == 0 || r.env.Now().Sub(time.Unix(0, last)) < max(refusedFor, 2*time.Duration(r.config.Visibility)) {
		return
	}
	r.refused.Store(0)
	r.health.set(refusing, nil)
}

// hold keeps messages hidden until release is called.
func (r *run) hold(ctx context.Context, batch []held) (release func()) {
	ctx, cancel := context.WithCancel(ctx)
	var worker sync.WaitGroup
	worker.Go(func() {
		tick := time.NewTicker(time.Duration(r.config.Visibility) / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := r.hide(ctx, batch, r.visibility()); ctx.Err() == nil {
				r.health.set(holding, err)
			}
		}
	})
	return func() {
		cancel()
		worker.Wait()
	}
}

// hide hides messages for so many seconds from now on. What was deleted meanwhile
// is no trouble.
func (r *run) hide(ctx context.Context, batch []held, seconds int32) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	entries := make([]types.ChangeMessageVisibilityBatchRequestEntry, len(batch))
	for i, h := range batch {
		entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &h.handle, VisibilityTimeout: seconds}
	}
	_, err := r.api.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &r.url, Entries: entries})
	if err != nil {
		return fmt.Errorf("messages cannot be held, and may be given to others: %w", awsconn.Explain(err))
	}
	return nil
}

// giveBack shows messages to others at once.
func (r *run) giveBack(ctx context.Context, batch []held) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := r.hide(ctx, batch, 0); err != nil {
		r.env.Logger.Info("messages could not be given back: they come again when they are no longer hidden",
			slog.String("queue", r.queue.Name), slog.Any("error", err))
	}
}

// delete deletes what is durable. It goes on until the service answers, or ctx
// ends. What the service does not delete is remembered.
func (r *run) delete(ctx context.Context, batch []held) {
	pause := newBackoff()
	for try := 1; len(batch) > 0; {
		again, err := r.deleteOnce(ctx, batch)
		if err == nil {
			try++
			batch = again
		}
		if err == nil && len(again) == 0 {
			r.health.set(deleting, nil)
			return
		}
		if ctx.Err() != nil || try > deleteTries {
			r.settled.remember(batch)
			return
		}
		r.health.set(deleting, err)
		sleep(ctx, pause.NextBackOff())
	}
}

// deleteOnce returns those that may be tried again.
func (r *run) deleteOnce(ctx context.Context, batch []held) (again []held, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	entries := make([]types.DeleteMessageBatchRequestEntry, len(batch))
	for i, h := range batch {
		entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &h.handle}
	}
	answer, err := r.api.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &r.url, Entries: entries})
	if err != nil {
		return batch, fmt.Errorf("messages whose events are durable cannot be deleted: %w", r.explain(err))
	}
	failed := map[int]bool{}
	for _, f := range answer.Failed {
		i, err := strconv.Atoi(aws.ToString(f.Id))
		if err != nil || i < 0 || i >= len(batch) {
			continue
		}
		failed[i] = true
		r.env.Logger.Warn("a message whose event is durable was not deleted", slog.String("queue", r.queue.Name),
			slog.String("message", batch[i].id), slog.String("code", aws.ToString(f.Code)), slog.String("reason", aws.ToString(f.Message)))
		if f.SenderFault { // it would be refused again
			r.settled.remember(batch[i : i+1])
		} else {
			again = append(again, batch[i])
		}
	}
	for i, h := range batch {
		if !failed[i] {
			r.settled.forget(h.id)
		}
	}
	return again, nil
}
