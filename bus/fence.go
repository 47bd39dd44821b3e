package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"sluice/event"
)

// A fence guards one subject that has one writer: the cursor of a shard, or
// the position of a job. It knows the last message that this writer has seen,
// and each write expects to find that one. Writes carry a name, so that a
// writer that got no answer finds out whether its write was stored, and so that
// the same message stored again by the janitor is no foreign write.
type fence struct {
	mu       sync.Mutex
	known    bool
	sequence uint64
	write    string   // the name of the last write seen; "" for none
	lost     []string // own writes of unknown fate, which may still be stored
}

// see takes what the subject holds as the truth.
func (f *fence) see(last *stored) {
	f.known, f.sequence, f.write, f.lost = true, 0, "", nil
	if last != nil {
		f.sequence, f.write = last.sequence, last.header.Get(headerWrite)
	}
}

// adopt tells whether last is the same message as before, stored again, or an
// own write whose fate was unknown; then the fence stands behind it.
func (f *fence) adopt(last *stored) bool {
	if last == nil {
		return false
	}
	write := last.header.Get(headerWrite)
	if write != f.write && !slices.Contains(f.lost, write) {
		return false
	}
	f.sequence, f.write = last.sequence, write
	return true
}

// maxLost bounds how many writes of unknown fate are remembered. One that is
// forgotten and stored after all fences its own writer, which then reads the
// subject again.
const maxLost = 256

// fenceTries bounds how often one write is repeated for a reason that passes:
// a janitor's re-append, another write under way, a duplicate that came between.
const fenceTries = 8

// writeFenced stores messages and the new content of a fenced subject, all or
// nothing. Messages with ids that the stream knows are left out.
func (b *Bus) writeFenced(ctx context.Context, f *fence, subject string, content []byte, messages []*nats.Msg) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !b.conn.IsConnected() {
		return fmt.Errorf("%w: not connected", event.ErrUnavailable)
	}
	size := int64(len(content)) + sizeOf(messages)
	if err := b.space.admit(size); err != nil {
		return err
	}
	defer b.space.done(size)
	if !f.known {
		last, err := b.lastMessage(ctx, b.names.Events, subject)
		if err != nil {
			return err
		}
		f.see(last)
	}
	w := &fencedWrite{bus: b, fence: f, subject: subject, content: content, messages: messages, name: nuid.Next()}
	for range fenceTries {
		again, err := w.try(ctx)
		if !again {
			return err
		}
	}
	return fmt.Errorf("%w: %s is too busy", event.ErrUnavailable, subject)
}

// A fencedWrite is one write of a fenced subject until its fate is known.
type fencedWrite struct {
	bus      *Bus
	fence    *fence
	subject  string
	content  []byte
	messages []*nats.Msg
	name     string
}

// try sends the write once. It returns again when the reason for a refusal has
// been dealt with.
func (w *fencedWrite) try(ctx context.Context) (again bool, err error) {
	sequence, err := w.send(ctx)
	switch {
	case err == nil:
		w.fence.sequence, w.fence.write, w.fence.lost = sequence, w.name, nil
		return false, nil
	case isDuplicate(err):
		w.messages, err = w.bus.publisher.dropStored(ctx, w.messages)
		if err != nil {
			return false, storeError(err)
		}
		return true, nil
	case isBusy(err):
		return true, pause(ctx, 5*time.Millisecond)
	case isFenced(err):
		return w.onConflict(ctx, err)
	case codeOf(err) != 0:
		return false, storeError(err)
	}
	return false, w.onUnknown(ctx, err)
}

func (w *fencedWrite) send(ctx context.Context) (uint64, error) {
	return w.bus.gathering.store(ctx, append(slices.Clip(w.messages), w.head()))
}

// head is the message of the fenced subject.
func (w *fencedWrite) head() *nats.Msg {
	return &nats.Msg{Subject: w.subject, Data: w.content, Header: nats.Header{
		event.HeaderFormat:          {strconv.Itoa(event.FormatVersion)},
		headerWrite:                 {w.name},
		headerBefore:                {strconv.Itoa(len(w.messages))},
		nats.ExpectedLastSubjSeqHdr: {strconv.FormatUint(w.fence.sequence, 10)},
	}}
}

// onConflict looks who has written: the janitor the same again, this writer in
// an earlier try, or somebody else.
func (w *fencedWrite) onConflict(ctx context.Context, conflict error) (again bool, err error) {
	last, err := w.bus.lastMessage(ctx, w.bus.names.Events, w.subject)
	if err != nil {
		return false, err
	}
	if last != nil && last.header.Get(headerWrite) == w.name {
		w.fence.sequence, w.fence.write, w.fence.lost = last.sequence, w.name, nil
		return false, nil
	}
	if w.fence.adopt(last) {
		return true, nil
	}
	return false, fmt.Errorf("%w: %w", event.ErrFenced, conflict)
}

// onUnknown asks whether a write that got no answer was stored. What was not
// stored yet may be stored later, and then this writer will know it.
func (w *fencedWrite) onUnknown(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	last, err := w.bus.lastMessage(ctx, w.bus.names.Events, w.subject)
	if err == nil && last != nil && last.header.Get(headerWrite) == w.name {
		w.fence.sequence, w.fence.write, w.fence.lost = last.sequence, w.name, nil
		return nil
	}
	w.fence.lost = append(w.fence.lost, w.name)
	w.fence.lost = w.fence.lost[max(0, len(w.fence.lost)-maxLost):]
	return storeError(cause)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lastMessage returns the last message of a subject, which may be a wildcard, as
// the stream's leader has it; nil when there is none.
func (b *Bus) lastMessage(ctx context.Context, stream, subject string) (*stored, error) {
	return b.fromLeader(ctx, stream, messageQuery{LastOf: subject})
}

// A messageQuery asks a stream for a message: that of a sequence, or the next one
// from there on of a subject, or the last one of a subject.
type messageQuery struct {
	Sequence uint64 `json:"seq,omitempty"`
	NextOf   string `json:"next_by_subj,omitempty"`
	LastOf   string `json:"last_by_subj,omitempty"`
}

// fromLeader returns a message as the stream's leader has it; nil when there is
// none. The client library would ask any replica, and one may not have got yet what
// all others have.
func (b *Bus) fromLeader(ctx context.Context, stream string, query messageQuery) (*stored, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	ctx, release := b.line.hold(ctx)
	defer release()
	request, err := json.Marshal(query)
	if err != nil {
		return nil, err
	}
	reply, err := b.conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, request)
	if err != nil {
		return nil, storeError(err)
	}
	message, err := parseGet(reply.Data)
	if errors.Is(err, jetstream.ErrMsgNotFound) || codeOf(err) == jetstream.JSErrCodeMessageNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, storeError(err)
	}
	return message, nil
}

func parseGet(data []byte) (*stored, error) {
	var reply struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(data, &reply); err != nil {
		return nil, fmt.Errorf("the server's answer: %w", err)
	}
	if reply.Error != nil {
		return nil, reply.Error
	}
	m := reply.Message
	out := &stored{subject: m.Subject, sequence: m.Sequence, time: m.Time, data: m.Data}
	if len(m.Header) == 0 {
		return out, nil
	}
	header, err := nats.DecodeHeadersMsg(m.Header)
	if err != nil {
		return nil, fmt.Errorf("the server's answer: %w", err)
	}
	out.header = event.FieldsOf(header)
	return out, nil
}
