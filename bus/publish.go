package bus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/semaphore"

	"sluice/event"
)

// The bounds of the publisher. A batch costs the server about a millisecond and one
// sync however small it is, five syncs more when it is staged on the disk, and a
// single message one sync: so few go singly.
const (
	maxGroup      = 1000    // messages; the server's limit for an atomic batch, unless it has another
	maxGroupBytes = 8 << 20 // unless one message alone is larger
	minBatch      = 4       // messages, from which on a batch is faster,
	minOnDisk     = 20      // and from which on, when it is staged on the disk
	minGather     = 20      // callers, from which on the next group waits for them
	maxWaiting    = 64 << 20
	storeTimeout  = 15 * time.Second // an election of a cluster takes up to 9 s
	// gatherFor is how long the next group waits for those whose last publish was
	// in a batch that has just been stored.
	gatherFor = time.Millisecond
)

// An outcome is what became of one message.
type outcome struct {
	sequence uint64
	err      error
}

// A call is what one caller has given to the publisher. Only the committing
// goroutine touches it until done is closed.
type call struct {
	outcomes  []outcome
	remaining int
	weight    int64
	done      chan struct{}
}

func (c *call) err() error {
	for _, o := range c.outcomes {
		if o.err != nil {
			return o.err
		}
	}
	return nil
}

// An item is one message of a call.
type item struct {
	msg   *nats.Msg
	size  int
	call  *call
	index int
}

// A publisher commits in groups: while one group is being stored, the next
// gathers, and all of a group share one sync. One group is in flight at a time,
// so what one caller publishes stays in its order.
type publisher struct {
	*batcher
	room *semaphore.Weighted // in bytes

	mu      sync.Mutex
	waiting []item
	closed  bool
	wake    chan struct{} // holds a token when something waits or closed is set
	stopped chan struct{}
}

// newPublisher returns a publisher that stores once run is called.
func newPublisher(b *batcher) *publisher {
	return &publisher{
		batcher: b,
		room:    semaphore.NewWeighted(maxWaiting),
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
}

// publish stores messages and returns what became of each, or ctx's error: then
// they may be stored yet.
func (p *publisher) publish(ctx context.Context, messages []*nats.Msg) ([]outcome, error) {
	c := &call{outcomes: make([]outcome, len(messages)), remaining: len(messages), done: make(chan struct{})}
	items := make([]item, len(messages))
	for i, msg := range messages {
		items[i] = item{msg: msg, size: messageSize(msg), call: c, index: i}
		c.weight += int64(items[i].size)
	}
	c.weight = min(c.weight, maxWaiting)
	if err := p.room.Acquire(ctx, c.weight); err != nil {
		return nil, fmt.Errorf("%w: waiting for room to publish: %w", event.ErrUnavailable, err)
	}
	if err := p.space.admit(c.weight); err != nil {
		p.room.Release(c.weight)
		return nil, err
	}
	if !p.enqueue(items) {
		p.release(c)
		return nil, fmt.Errorf("%w: it is closed", event.ErrUnavailable)
	}
	select {
	case <-c.done:
		return c.outcomes, c.err()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: waiting for the acknowledgement: %w", event.ErrUnavailable, ctx.Err())
	}
}

// release gives back the room that a call has taken.
func (p *publisher) release(c *call) {
	p.room.Release(c.weight)
	p.space.done(c.weight)
}

func (p *publisher) enqueue(items []item) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.waiting = append(p.waiting, items...)
	p.signal()
	return true
}

func (p *publisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// close refuses what comes and waits until all that was taken is stored.
func (p *publisher) close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.signal()
	p.mu.Unlock()
	select {
	case <-p.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: storing what waits took too long: %w", event.ErrUnavailable, ctx.Err())
	}
}

// run commits groups until close is called and nothing waits any more.
func (p *publisher) run(ctx context.Context) {
	defer close(p.stopped)
	for {
		group, closed := p.take()
		switch {
		case len(group) > 0:
			p.gather(p.commit(ctx, group))
		case closed:
			return
		default:
			<-p.wake
		}
	}
}

// gather waits a moment, when many callers have just been told, until as many
// have come again: else half of them would find a batch under way, and there
// would be two of half the size by turns, for ever.
func (p *publisher) gather(told int) {
	if told < minGather {
		return
	}
	timer := time.NewTimer(gatherFor)
	defer timer.Stop()
	for most := min(p.standing()+told, maxGroup); p.standing() < most; {
		select {
		case <-p.wake:
		case <-timer.C:
			return
		}
	}
}

// standing returns how many messages wait; as many as can when closed is set.
func (p *publisher) standing() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return maxGroup
	}
	return len(p.waiting)
}

// take removes the next group from what waits.
func (p *publisher) take() (group []item, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, size := 0, 0
	for n < len(p.waiting) && n < maxGroup && (n == 0 || size+p.waiting[n].size <= maxGroupBytes) {
		size += p.waiting[n].size
		n++
	}
	group = p.waiting[:n:n]
	if p.waiting = p.waiting[n:]; len(p.waiting) == 0 {
		p.waiting = nil
	}
	return group, p.closed
}

// commit stores a group, tells each caller, and returns how many. Of several
// messages with one id the first is stored, and the others share its outcome.
func (p *publisher) commit(ctx context.Context, group []item) (told int) {
	ctx, cancel := context.WithTimeout(ctx, 2*storeTimeout)
	defer cancel()
	unique, index := distinct(group)
	outcomes := p.store(ctx, unique)
	for i, it := range group {
		it.call.outcomes[it.index] = outcomes[index[i]]
		if it.call.remaining--; it.call.remaining == 0 {
			p.release(it.call)
			close(it.call.done)
			told++
		}
	}
	return told
}

// distinct returns the messages without those whose id came before, and for
// each item of the group which of them stands for it.
func distinct(group []item) (unique []*nats.Msg, index []int) {
	unique, index = make([]*nats.Msg, 0, len(group)), make([]int, len(group))
	seen := make(map[string]int, len(group))
	for i, it := range group {
		id := messageID(it.msg)
		at, found := seen[id]
		if id == "" || !found {
			at = len(unique)
			unique = append(unique, it.msg)
			seen[id] = at
		}
		index[i] = at
	}
	return unique, index
}

func messageID(msg *nats.Msg) string {
	if values := msg.Header[nats.MsgIdHdr]; len(values) > 0 {
		return values[0]
	}
	return ""
}
