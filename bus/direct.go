package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

// Direct makes the entries and the job's new position durable together: all or
// nothing. It returns event.ErrFenced when somebody else has moved the position
// since this Bus has read or written it. A job's id is made of letters, digits,
// - and _.
func (b *Bus) Direct(ctx context.Context, job string, position []byte, entries ...event.Directed) error {
	if len(entries) > MaxBatch {
		return fmt.Errorf("%d entries at once: at most %d", len(entries), MaxBatch)
	}
	if err := errors.Join(checkToken("job", job), checkPosition("position", position)); err != nil {
		return err
	}
	messages, err := b.directedMessages(ctx, entries)
	if err != nil {
		return err
	}
	return b.writeFenced(ctx, b.job(job), b.names.Job(job), position, messages)
}

// PublishDirected stores entries that belong to no job, and returns their
// sequences. After an error any of them may have been stored.
func (b *Bus) PublishDirected(ctx context.Context, entries ...event.Directed) ([]uint64, error) {
	messages, err := b.directedMessages(ctx, entries)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	outcomes, err := b.publisher.publish(ctx, messages)
	if err != nil {
		return nil, err
	}
	sequences := make([]uint64, len(outcomes))
	for i, o := range outcomes {
		sequences[i] = o.sequence
	}
	return sequences, nil
}

// PublishReplies makes the events durable that a delivery was answered with,
// under the name of what has answered. Their message ids follow from the
// delivery and their places: a second answer to the same delivery within the
// de-duplication window adds only what it has more. The errors are those of
// Out.Publish.
func (b *Bus) PublishReplies(ctx context.Context, name, delivery string, events ...event.Event) error {
	messages, err := b.Source(name).messages(ctx, events)
	if err != nil || len(messages) == 0 {
		return err
	}
	for i, msg := range messages {
		event.SetOrigin(msg.Header, delivery)
		msg.Header[nats.MsgIdHdr] = []string{event.DedupID(name, delivery, strconv.Itoa(i))}
	}
	_, err = b.publisher.publish(ctx, messages)
	return err
}

// PublishResults makes the records durable of deliveries that have ended, each
// for its trigger. Their message ids follow from the trigger and the origin, which
// is the delivery: the same again within the de-duplication window is not stored
// twice. The errors are those of Out.Publish.
func (b *Bus) PublishResults(ctx context.Context, entries ...event.Directed) error {
	messages, err := b.directedMessages(ctx, entries)
	if err != nil || len(messages) == 0 {
		return err
	}
	for i, msg := range messages {
		msg.Header[nats.MsgIdHdr] = []string{event.DedupID(entries[i].Trigger, entries[i].Origin, "result")}
	}
	_, err = b.publisher.publish(ctx, messages)
	return err
}

func (b *Bus) directedMessages(ctx context.Context, entries []event.Directed) ([]*nats.Msg, error) {
	messages := make([]*nats.Msg, len(entries))
	for i := range entries {
		var err error
		if messages[i], err = b.directed(ctx, &entries[i]); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return messages, nil
}

// Position returns what the last Direct of the job has stored, or nil.
func (b *Bus) Position(ctx context.Context, job string) ([]byte, error) {
	if err := checkToken("job", job); err != nil {
		return nil, err
	}
	return b.readFenced(ctx, b.job(job), b.names.Job(job))
}

// Positions returns the ids of all jobs that have a position, sorted.
func (b *Bus) Positions(ctx context.Context) ([]string, error) {
	info, err := b.events.Info(ctx, jetstream.WithSubjectFilter(b.names.all(kindJob)))
	if err != nil {
		return nil, storeError(err)
	}
	jobs := make([]string, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		jobs = append(jobs, strings.TrimPrefix(subject, b.names.Job("")))
	}
	slices.Sort(jobs)
	return jobs, nil
}

// Forget removes a job's position: the job is over and need not be known any
// more.
func (b *Bus) Forget(ctx context.Context, job string) error {
	if err := checkToken("job", job); err != nil {
		return err
	}
	f := b.job(job)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := b.purge(ctx, b.events, jetstream.WithPurgeSubject(b.names.Job(job))); err != nil {
		return err
	}
	f.see(nil)
	return nil
}

func (b *Bus) job(id string) *fence {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, found := b.jobs[id]
	if !found {
		f = &fence{}
		b.jobs[id] = f
	}
	return f
}

// checkWrite refuses to read what a newer sluice has written.
func checkWrite(last *stored) error {
	if last == nil {
		return nil
	}
	version, err := strconv.Atoi(last.header.Get(event.HeaderFormat))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %s is %q, not a format of sluice", last.subject, event.HeaderFormat, last.header.Get(event.HeaderFormat))
	case version > event.FormatVersion:
		return fmt.Errorf("%s: %w", last.subject, &event.NewerFormatError{Version: version})
	}
	return nil
}
