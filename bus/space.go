package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

const (
	// defaultMinFree is the reserve when the options name none.
	defaultMinFree = 256 << 20
	// lookEvery is how old a look at the disk may become: others write to it too.
	lookEvery = 100 * time.Millisecond
	// writtenTwice is how many bytes of disk one byte to be stored may take: the
	// server stages a batch before it stores it.
	writtenTwice = 2
)

// A space watches the free space below the bus's folder, and refuses what would
// use up the reserve. The reserve is for what must be written to settle what was
// accepted: ledger and letters. Who stores those does not ask. A nil space admits
// everything.
type space struct {
	dir  string
	free func(dir string) (int64, error)
	now  func() time.Time
	// low is the reserve. Once it was reached, nothing is admitted before high is
	// free again, so that one event more or less does not turn it on and off.
	low, high int64
	pressed   chan struct{} // a token when low was reached

	mu       sync.Mutex
	seen     int64     // free at the last look
	at       time.Time // of the last look
	unknown  error     // why the last look failed
	stored   int64     // admitted and stored since the last look
	underWay int64     // admitted and not stored yet
	full     bool
}

func newSpace(dir string, low int64) *space {
	return &space{dir: dir, free: freeSpace, now: time.Now, low: low, high: low + low/4, pressed: make(chan struct{}, 1)}
}

// admit returns nil when so many bytes may be stored; then done must follow.
// Else it returns event.ErrFull, wrapped, with the numbers. It looks at the disk
// when the last look is old, or when what was admitted since may have used up what
// was free then: so no burst runs through the reserve, and not every event costs a
// look.
func (s *space) admit(bytes int64) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underWay += writtenTwice * bytes
	if s.now().Sub(s.at) >= lookEvery || !s.full && s.left() < s.low {
		s.look()
	}
	if err := s.problem(); err != nil {
		s.underWay -= writtenTwice * bytes
		return err
	}
	return nil
}

// done notes that what was admitted has been stored, or will not be.
func (s *space) done(bytes int64) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underWay -= writtenTwice * bytes
	s.stored += writtenTwice * bytes
}

// left is what is free when all is stored that was admitted. The lock is held.
func (s *space) left() int64 { return s.seen - s.stored - s.underWay }

// look asks the system. What it does not know does not keep events out. The
// lock is held.
func (s *space) look() {
	s.at, s.stored = s.now(), 0
	if s.seen, s.unknown = s.free(s.dir); s.unknown != nil {
		s.full = false
		return
	}
	switch left := s.left(); {
	case s.full:
		s.full = left < s.high
	case left < s.low:
		s.full = true
		token1(s.pressed)
	}
}

// problem says that there is no room. The lock is held.
func (s *space) problem() error {
	if !s.full {
		return nil
	}
	return fmt.Errorf("%w: the disk of %s has %d bytes free: nothing is taken below %d, and again from %d on (bus.min_free)",
		event.ErrFull, s.dir, s.seen, s.low, s.high)
}

// check looks at the disk, and returns what admit would.
func (s *space) check() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	return s.problem()
}

// short looks at the disk, and is how many bytes must go before anything is
// admitted again.
func (s *space) short() int64 {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.look(); !s.full {
		return 0
	}
	return max(0, s.high-s.left())
}

// purge removes messages from a stream, when the disk has room for what the server
// writes first: nats-server 2.15 locks itself out for ever when it purges a
// stream that has unwritten messages, and cannot write them. Else it returns
// event.ErrFull, wrapped.
func (b *Bus) purge(ctx context.Context, stream jetstream.Stream, which ...jetstream.StreamPurgeOpt) error {
	if b.space != nil {
		if free, err := b.space.free(b.space.dir); err == nil && free < startRoom { // what the system does not say is no reason
			return fmt.Errorf("%w: the disk of %s has %d bytes free, and removing needs %d: make room", event.ErrFull, b.space.dir, free, startRoom)
		}
	}
	return storeError(stream.Purge(ctx, which...))
}

// A Disk says how much room there is for the embedded server.
type Disk struct {
	// Free is how many bytes are free, MinFree below how many nothing is accepted.
	Free, MinFree int64
	// Full tells that nothing is accepted at the moment.
	Full bool
	// Failures is how often a write has failed, so that the embedded server had to
	// be started again.
	Failures uint64
}

// Disk returns how much room there is; not ok on a cluster, whose disks are
// not seen from here, and where the system does not say.
func (b *Bus) Disk() (disk Disk, ok bool) {
	if b.space == nil {
		return disk, false
	}
	full := b.space.check()
	b.space.mu.Lock()
	defer b.space.mu.Unlock()
	return Disk{
		Free: b.space.seen, MinFree: b.space.low, Full: errors.Is(full, event.ErrFull), Failures: b.server.failed(),
	}, b.space.unknown == nil
}

// room waits for nothing: it returns a channel that has a token when the disk
// has become full; nil on a cluster.
func (b *Bus) room() <-chan struct{} {
	if b.space == nil {
		return nil
	}
	return b.space.pressed
}
