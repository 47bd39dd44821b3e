package bus

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

const (
	// objectGrace is how much longer than any publish can take nobody takes an
	// object away that nothing refers to.
	objectGrace = 10 * time.Minute
	// objectLinger is for how long nothing must have referred to an object: whoever
	// copies an entry or a letter has its copy stored by then.
	objectLinger = time.Minute
	// sweepEvery is the time between two sweeps.
	sweepEvery = 15 * time.Second
	// walkStep is how many sequences of the log a pass walks at most while there is
	// no hurry: what a long log refers to is found out beside other work.
	walkStep = 25_000
)

// A sweeper knows what the log refers to, and takes the objects away that
// nothing does. The janitor's lock is held by whoever calls it.
type sweeper struct {
	bus           *Bus
	letters       func(ctx context.Context, yield func(object string)) error
	log           *slog.Logger
	grace, linger time.Duration
	every         time.Duration // between two sweeps
	last          time.Time
	step          uint64 // sequences that a pass walks

	// references are what the log refers to, by sequence, as far as walked.
	references map[uint64]*event.Large
	walked     uint64
	// unneeded are the objects that nothing has referred to, since when.
	unneeded map[string]time.Time
	// freed are the sizes of those among them that the log has referred to.
	freed map[string]int64
}

func newSweeper(b *Bus, o *JanitorOptions) *sweeper {
	return &sweeper{
		bus: b, letters: o.Letters, log: o.Logger, grace: objectGrace, linger: objectLinger, every: sweepEvery, step: walkStep,
		references: map[uint64]*event.Large{}, unneeded: map[string]time.Time{}, freed: map[string]int64{},
	}
}

// A reference is what a message of the log says of its data.
type reference struct {
	large *event.Large
	newer error // the message is from a newer sluice: nobody knows what it refers to
}

func referenceOf(m *stored) any {
	e := &event.Event{}
	err := m.header.Decode(e, nil)
	if newer, found := errors.AsType[*event.NewerFormatError](err); found {
		return reference{newer: newer}
	}
	if err == nil {
		return reference{large: e.Large}
	}
	// A message that is no event for another reason may become a letter, and
	// refers to what it names.
	large, err := event.ParseLarge(m.header.Get(event.HeaderLarge))
	if err != nil {
		return reference{}
	}
	return reference{large: large}
}

// walk notes what the log refers to, in up to so many sequences, and tells
// whether that was all. It goes on where the last one has ended.
func (s *sweeper) walk(ctx context.Context, most uint64) (whole bool, err error) {
	state, err := infoOf(ctx, s.bus.events)
	if err != nil {
		return false, err
	}
	end, err := s.end(ctx)
	if err != nil {
		return false, err
	}
	s.walked = max(s.walked, state.FirstSeq-min(state.FirstSeq, 1))
	if final := min(end, s.walked+min(most, end)); final > s.walked {
		err = s.walkTo(ctx, final)
	}
	if err != nil || s.walked < end {
		return false, err
	}
	s.walked = max(s.walked, state.LastSeq) // what lies between was deleted
	return true, nil
}

func (s *sweeper) walkTo(ctx context.Context, final uint64) error {
	config := jetstream.OrderedConsumerConfig{HeadersOnly: true}
	r := s.bus.read(ctx, s.bus.catchUp, s.bus.names.Events, s.walked+1, config, referenceOf)
	defer r.close()
	for s.walked < final {
		if err := s.note(r.take(math.MaxUint64, math.MaxInt, math.MaxInt), final); err != nil {
			return err
		}
		if s.walked >= final {
			break
		}
		select {
		case <-r.ready:
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(silence):
			// The last message may have been deleted.
			last, err := s.end(ctx)
			if err != nil {
				return err
			}
			final = min(final, last)
		}
	}
	return nil
}

// end returns the sequence of the last message that the log holds.
func (s *sweeper) end(ctx context.Context) (uint64, error) {
	last, err := s.bus.lastMessage(ctx, s.bus.names.Events, s.bus.names.Prefix+".>")
	if err != nil || last == nil {
		return 0, err
	}
	return last.sequence, nil
}

// note takes up what was read, as far as final.
func (s *sweeper) note(taken []arrived, final uint64) error {
	for _, a := range taken {
		if a.sequence > final {
			s.walked = final
			break
		}
		r := a.value.(reference)
		if r.newer != nil {
			return r.newer
		}
		if r.large != nil {
			s.references[a.sequence] = r.large
		}
		s.walked = a.sequence
	}
	return nil
}

// forget drops the references of what was trimmed.
func (s *sweeper) forget(first uint64) {
	for sequence, large := range s.references {
		if sequence < first {
			delete(s.references, sequence)
			s.freed[large.Object] = large.Size
		}
	}
	for _, large := range s.references {
		delete(s.freed, large.Object)
	}
}

// trimmed is how many bytes of objects will be taken away yet, because the log
// has been trimmed.
func (s *sweeper) trimmed() (size uint64) {
	for _, one := range s.freed {
		size += uint64(one)
	}
	return size
}

// goal returns the first sequence of the log that may stay so that what it
// refers to has room, when so many bytes are stored, and so many of them must go
// for the disk.
func (s *sweeper) goal(first, stored, short uint64) uint64 {
	stored -= min(stored, s.trimmed())
	limit := min(s.limit(), stored-min(stored, short))
	if stored <= limit {
		return first
	}
	excess, seen := stored-limit+limit/16, map[string]bool{}
	for _, sequence := range slices.Sorted(maps.Keys(s.references)) {
		large := s.references[sequence]
		if seen[large.Object] {
			continue
		}
		seen[large.Object] = true
		first = max(first, sequence+1)
		if uint64(large.Size) >= excess {
			break
		}
		excess -= uint64(large.Size)
	}
	return first
}

// due tells whether it is time to sweep: now and then, because it asks for the
// names of all objects, and at once when their space runs out.
func (s *sweeper) due(stored uint64) bool {
	return stored > s.limit() || time.Since(s.last) >= s.every
}

// limit is how much the objects may take before the oldest go, so that there is
// room before publishers are refused.
func (s *sweeper) limit() uint64 { return uint64(s.bus.options.ObjectBytes) / 8 * 7 }

// sweep takes away the objects that neither the log nor a letter refers to, and
// returns how many. It is right because a reference comes from a publish, which
// stored its object within the grace, or is copied before the one that it comes
// from goes: out of the log, from which nothing is trimmed meanwhile, into a
// letter, or from a letter into the log. So the letters are read first, and then
// what the log has got until then.
func (s *sweeper) sweep(ctx context.Context) (removed int, err error) {
	if s.letters == nil {
		return 0, nil
	}
	s.last = time.Now()
	candidates, err := s.candidates(ctx)
	if err != nil || len(candidates) == 0 {
		return 0, err
	}
	if err := s.letters(ctx, func(object string) { s.need(candidates, object) }); err != nil {
		return 0, err
	}
	before := s.walked
	if _, err := s.walk(ctx, math.MaxUint64); err != nil {
		return 0, err
	}
	state, err := infoOf(ctx, s.bus.events)
	if err != nil || state.FirstSeq > before+1 {
		return 0, err // another janitor was here: what it has trimmed was not seen
	}
	for _, large := range s.references {
		s.need(candidates, large.Object)
	}
	for object := range candidates {
		if err := s.bus.objects.remove(ctx, object); err != nil {
			return removed, err
		}
		removed++
		delete(s.unneeded, object)
		delete(s.freed, object)
	}
	return removed, nil
}

func (s *sweeper) need(candidates map[string]bool, object string) {
	delete(candidates, object)
	delete(s.unneeded, object)
	delete(s.freed, object)
}

// candidates returns the objects that the log does not refer to, for long
// enough, and that nobody can be about to refer to.
func (s *sweeper) candidates(ctx context.Context) (map[string]bool, error) {
	objects, err := s.bus.objects.list(ctx)
	if err != nil {
		return nil, err
	}
	needed := make(map[string]bool, len(s.references))
	for _, large := range s.references {
		needed[large.Object] = true
	}
	now := time.Now()
	since, candidates := make(map[string]time.Time), map[string]bool{}
	for _, object := range objects {
		ended, err := generationEnd(object)
		if err != nil || needed[object] || s.bus.objects.now().Before(ended.Add(s.grace)) {
			continue // what has no name of sluice's is left alone
		}
		since[object] = now
		if at, known := s.unneeded[object]; known {
			since[object] = at
		}
		if now.Sub(since[object]) >= s.linger {
			candidates[object] = true
		}
	}
	s.unneeded = since
	return candidates, nil
}
