package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"sluice/event"
)

// JanitorOptions say how much history is kept. What is still needed is kept in
// any case.
type JanitorOptions struct {
	// MaxAge is how old an event may become; 0 means as old as there is space.
	MaxAge time.Duration
	// MaxBytes is how much the events may take before the oldest go; 0 means
	// seven eighths of the stream's limit. It is never more than that, so that
	// there is room before publishers are refused.
	MaxBytes int64
	// Every is the time between two passes; five seconds by default.
	Every time.Duration
	// Line returns the lowest sequence of the events that is still needed, and
	// the sequence of the ledger where the last snapshot starts. Not ok means that
	// it is not known yet: then nothing is trimmed.
	Line func() (needed, ledger uint64, ok bool)
	// Replays are those of history, which hold what they have still to read; nil
	// when there are none.
	Replays Replays
	// Letters calls yield with each object that a letter refers to. Without it no
	// object is taken away.
	Letters func(ctx context.Context, yield func(object string)) error
	Logger  *slog.Logger
}

// Replays of history hold the log back, as the triggers do. But where there is
// no room for new events, they yield.
type Replays interface {
	// Line returns the lowest sequence that one of them needs, or the largest
	// number.
	Line() uint64
	// Yield ends those that need anything below a sequence, and tells whether
	// there was one. From then on Line does not count them.
	Yield(below uint64) bool
}

// noReplays is what a bus has without any.
type noReplays struct{}

func (noReplays) Line() uint64      { return math.MaxUint64 }
func (noReplays) Yield(uint64) bool { return false }

// A Janitor trims history: events by age and space, oldest first, and the
// ledger with them. It never passes the line, a cursor, or a job's position. It
// takes objects away that neither an event nor a letter refers to.
type Janitor struct {
	bus     *Bus
	options JanitorOptions
	log     *slog.Logger

	now     func() time.Time
	mu      sync.Mutex // held during a pass
	sweeper *sweeper
	// positions are the last sequences of all fenced subjects as far as walked.
	positions map[string]uint64
	walked    uint64
}

// NewJanitor returns a janitor, which does nothing until Run or Pass.
func NewJanitor(b *Bus, o JanitorOptions) *Janitor {
	highest := b.options.MaxBytes / 8 * 7
	if o.MaxBytes <= 0 || o.MaxBytes > highest {
		o.MaxBytes = highest
	}
	o.Every = orDefault(o.Every, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Replays == nil {
		o.Replays = noReplays{}
	}
	return &Janitor{bus: b, options: o, log: o.Logger, now: earlier(time.Now, b.objects.now), sweeper: newSweeper(b, &o), positions: map[string]uint64{}}
}

// earlier returns a clock that shows the earlier time of two. Of the wall clock
// and one that does not jump, it makes nothing old that is not: the first is too
// far when it has jumped forward, the second when it has jumped back, and events
// are stamped by the first.
func earlier(one, other func() time.Time) func() time.Time {
	return func() time.Time {
		a, b := one().Round(0), other().Round(0)
		if a.Before(b) {
			return a
		}
		return b
	}
}

// Run makes a pass at once and then again and again, and whenever a publisher
// finds the stream full, until ctx ends.
func (j *Janitor) Run(ctx context.Context) error {
	j.bus.publisher.onFull(func(call context.Context) bool { return j.makeRoom(call).Events > 0 })
	defer j.bus.publisher.onFull(nil)
	j.bus.objects.batcher.onFull(func(call context.Context) bool { return j.makeRoom(call).Objects > 0 })
	defer j.bus.objects.batcher.onFull(nil)
	ticker := time.NewTicker(j.options.Every)
	defer ticker.Stop()
	for {
		if _, err := j.Pass(ctx); err != nil && ctx.Err() == nil {
			j.log.WarnContext(ctx, "history was not trimmed", slog.Any("error", err))
		}
		select {
		case <-ticker.C:
		case <-j.bus.room():
		case <-ctx.Done():
			return nil
		}
	}
}

// makeRoom makes a pass for a publisher that has found its stream full.
func (j *Janitor) makeRoom(ctx context.Context) Passed {
	passed, err := j.Pass(ctx)
	if err != nil {
		j.log.WarnContext(ctx, "no room was made", slog.Any("error", err))
	}
	return passed
}

// Passed says what one pass has done.
type Passed struct {
	// Events and Records are how many messages were purged from the events and
	// from the ledger.
	Events, Records uint64
	// Objects is how many objects were taken away.
	Objects int
	// First is the first sequence of the events that is left.
	First uint64
	// Held tells that history should have gone and is still needed.
	Held bool
}

// Pass trims once.
func (j *Janitor) Pass(ctx context.Context) (passed Passed, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	ctx, release := j.bus.line.hold(ctx)
	defer release()
	needed, snapshot, ok := j.options.Line()
	if !ok {
		return passed, nil
	}
	state, err := infoOf(ctx, j.bus.events)
	if err != nil {
		return passed, err
	}
	objects, err := j.lookAtObjects(ctx)
	if err != nil {
		return passed, err
	}
	for {
		more, err := j.trimEvents(ctx, state, objects, needed, &passed)
		if err != nil {
			return passed, err
		}
		if state, err = infoOf(ctx, j.bus.events); err != nil {
			return passed, err
		}
		if !more {
			break
		}
	}
	passed.First = state.FirstSeq
	passed.Records, err = j.trimLedger(ctx, state, snapshot)
	if err == nil && objects > 0 && j.sweeper.due(objects) {
		j.sweeper.forget(state.FirstSeq)
		passed.Objects, err = j.sweeper.sweep(ctx)
	}
	if passed.Events+passed.Records > 0 || passed.Objects > 0 {
		j.log.DebugContext(ctx, "history trimmed", slog.Uint64("events", passed.Events),
			slog.Uint64("records", passed.Records), slog.Uint64("first", passed.First), slog.Int("objects", passed.Objects))
	}
	return passed, err
}

// lookAtObjects returns how many bytes of objects are stored. When there are any
// it notes what the log refers to; as long as it does not know all of that, and
// there is no hurry, it returns none.
func (j *Janitor) lookAtObjects(ctx context.Context) (stored uint64, err error) {
	state, err := infoOf(ctx, j.bus.objectStream)
	if err != nil || state.Msgs == 0 {
		return 0, err
	}
	most := j.sweeper.step
	if state.Bytes > j.sweeper.limit() {
		most = math.MaxUint64
	}
	whole, err := j.sweeper.walk(ctx, most)
	if newer, found := errors.AsType[*event.NewerFormatError](err); found {
		j.log.WarnContext(ctx, "large data is not taken away", slog.Any("error", newer))
		return 0, nil
	}
	if err != nil || !whole {
		return 0, err
	}
	return state.Bytes, nil
}

// trimEvents purges what is too old or too much, as far as the line lets it.
// How many messages are too much follows from their average size: more tells
// that another look is worth it.
func (j *Janitor) trimEvents(ctx context.Context, state jetstream.StreamState, objects, needed uint64, passed *Passed) (more bool, err error) {
	goal, err := j.goal(ctx, state, objects)
	if err != nil || goal <= state.FirstSeq {
		return false, err
	}
	keep := j.line(min(goal, needed), state.Bytes, objects)
	if keep > state.FirstSeq {
		held, err := j.held(ctx, keep, state.LastSeq)
		if err != nil {
			return false, err
		}
		keep = min(keep, held)
	}
	passed.Held = keep < goal
	if keep <= state.FirstSeq {
		return false, nil
	}
	if err := j.bus.purge(ctx, j.bus.events, jetstream.WithPurgeSequence(keep)); err != nil {
		return false, err
	}
	passed.Events += keep - state.FirstSeq
	return !passed.Held, nil
}

// line returns up to where the log may go, keep at most, so that no replay of
// history misses anything. Where there is hardly any room left, replays that are
// in the way yield.
func (j *Janitor) line(keep, events, objects uint64) uint64 {
	o := &j.bus.options
	pressed := nearly(events, o.MaxBytes) || nearly(objects, o.ObjectBytes) || j.bus.space.short() > 0
	if pressed && j.options.Replays.Line() < keep && j.options.Replays.Yield(keep) {
		j.log.Warn("replays of history were in the way of new events", slog.Uint64("below", keep))
	}
	return min(keep, j.options.Replays.Line())
}

// nearly tells whether less than a thirty-second part of a limit is left.
func nearly(bytes uint64, limit int64) bool { return bytes > uint64(limit/32*31) }

// Room returns nil when replays may add to the log, else event.ErrFull, wrapped:
// they leave the last sixteenth to new events while triggers need what is there.
// What a replay holds by itself goes as it gets on.
func (j *Janitor) Room(ctx context.Context) error {
	needed, _, ok := j.options.Line()
	if !ok || needed >= j.options.Replays.Line() {
		return nil
	}
	state, err := infoOf(ctx, j.bus.events)
	if err != nil {
		return err
	}
	if limit := uint64(j.bus.options.MaxBytes); state.Bytes > limit/16*15 {
		return fmt.Errorf("%w: the log holds %d of %d bytes, which triggers still need: replays leave the rest to new events", event.ErrFull, state.Bytes, limit)
	}
	return nil
}

// Settle waits until a pass has ended that is under way: the next one asks for
// the line again.
func (j *Janitor) Settle() {
	j.mu.Lock()
	defer j.mu.Unlock()
}

// goal returns the first sequence that age and space let stay.
func (j *Janitor) goal(ctx context.Context, state jetstream.StreamState, objects uint64) (uint64, error) {
	j.sweeper.forget(state.FirstSeq)
	shortEvents, shortObjects := j.short(state.Bytes, objects)
	goal := j.sweeper.goal(state.FirstSeq, objects, shortObjects)
	if limit := min(uint64(j.options.MaxBytes), state.Bytes-shortEvents); state.Bytes > limit {
		// A sixteenth more, so that not every pass has to purge.
		excess := state.Bytes - limit + limit/16
		share := float64(excess) / float64(state.Bytes)
		goal += max(1, uint64(math.Ceil(share*float64(state.LastSeq-state.FirstSeq+1))))
	}
	if j.options.MaxAge <= 0 || state.Msgs == 0 {
		return min(goal, state.LastSeq+1), nil
	}
	oldest := j.now().Add(-j.options.MaxAge)
	if !state.FirstTime.Before(oldest) {
		return goal, nil
	}
	young, err := j.bus.firstSince(ctx, j.bus.names.Events, oldest, state.LastSeq+1)
	return max(goal, young), err
}

// short returns how many bytes of events and of objects must go until the disk
// has room, each by its share of both. What was trimmed already and will be taken
// away yet is not asked for again.
func (j *Janitor) short(events, objects uint64) (ofEvents, ofObjects uint64) {
	trimmed := j.sweeper.trimmed()
	objects -= min(objects, trimmed)
	short := uint64(j.bus.space.short())
	short = min(short-min(short, trimmed), events+objects)
	if short == 0 {
		return 0, 0
	}
	ofObjects = uint64(float64(short) / float64(events+objects) * float64(objects))
	return min(short-min(short, ofObjects), events), min(ofObjects, objects)
}

// firstSince returns the sequence of the first message of a stream that is not
// older than at, or fallback when there is none.
func (b *Bus) firstSince(ctx context.Context, stream string, at time.Time, fallback uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	ctx, release := b.line.hold(ctx)
	defer release()
	messages, err := jetstreamext.GetBatch(ctx, b.js, stream, 1, jetstreamext.GetBatchStartTime(at))
	if err != nil {
		return 0, storeError(err)
	}
	for m, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return fallback, nil
		}
		if err != nil {
			return 0, storeError(err)
		}
		return m.Sequence, nil
	}
	return 0, fmt.Errorf("%w: no answer for the first message since a time", event.ErrUnavailable)
}

// held returns the lowest sequence that a cursor or position stands at, after
// those below keep have been stored again at the end.
func (j *Janitor) held(ctx context.Context, keep, last uint64) (uint64, error) {
	if err := j.walk(ctx, last); err != nil {
		return 0, err
	}
	lowest := uint64(math.MaxUint64)
	for _, subject := range slices.Sorted(maps.Keys(j.positions)) {
		if at := j.positions[subject]; at >= keep {
			lowest = min(lowest, at)
			continue
		}
		at, err := j.moveUp(ctx, subject, keep)
		if err != nil {
			return 0, err
		}
		if at == 0 { // forgotten
			delete(j.positions, subject)
			continue
		}
		j.positions[subject] = at
		lowest = min(lowest, at)
	}
	return lowest, nil
}

// moveUp stores the last message of a fenced subject again. When the stream is
// so full that there is no room even for that, the events below keep go first:
// by a filtered purge, which is slow, but leaves cursors and positions.
func (j *Janitor) moveUp(ctx context.Context, subject string, keep uint64) (uint64, error) {
	at, err := j.bus.appendAgain(ctx, subject, keep)
	if !errors.Is(err, event.ErrFull) {
		return at, err
	}
	for _, kind := range []string{kindEvent, kindDirected} {
		filter := jetstream.WithPurgeSubject(j.bus.names.all(kind))
		if err := j.bus.purge(ctx, j.bus.events, filter, jetstream.WithPurgeSequence(keep)); err != nil {
			return 0, err
		}
	}
	return j.bus.appendAgain(ctx, subject, keep)
}

// walk notes where the fenced subjects stand, up to the sequence last. It goes
// on where the last pass has ended.
func (j *Janitor) walk(ctx context.Context, last uint64) error {
	n := j.bus.names
	config := jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{n.all(kindCursor), n.all(kindJob)},
		HeadersOnly:    true,
	}
	final := uint64(0)
	for _, subject := range config.FilterSubjects {
		at, err := j.bus.lastMessage(ctx, n.Events, subject)
		if err != nil {
			return err
		}
		if at != nil {
			final = max(final, min(at.sequence, last))
		}
	}
	if final <= j.walked {
		return nil
	}
	return j.walkTo(ctx, final, last, config)
}

func (j *Janitor) walkTo(ctx context.Context, final, last uint64, config jetstream.OrderedConsumerConfig) error {
	r := j.bus.read(ctx, j.bus.catchUp, j.bus.names.Events, j.walked+1, config, func(m *stored) any { return m.subject })
	defer r.close()
	for j.walked < final {
		taken := r.take(math.MaxUint64, math.MaxInt, math.MaxInt)
		for _, a := range taken {
			j.positions[a.value.(string)] = a.sequence
			j.walked = a.sequence
		}
		if len(taken) > 0 {
			continue
		}
		select {
		case <-r.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	j.walked = max(j.walked, min(final, last))
	return nil
}

// appendAgain stores the last message of a fenced subject again, when it stands
// below keep, and returns where it stands then; 0 means that there is none. The
// message's writer knows it again by its name.
func (b *Bus) appendAgain(ctx context.Context, subject string, keep uint64) (uint64, error) {
	last, err := b.lastMessage(ctx, b.names.Events, subject)
	if err != nil || last == nil {
		return 0, err
	}
	if last.sequence >= keep {
		return last.sequence, nil
	}
	msg := &nats.Msg{Subject: subject, Data: last.data, Header: nats.Header{
		nats.ExpectedLastSubjSeqHdr: {strconv.FormatUint(last.sequence, 10)},
	}}
	for _, name := range []string{event.HeaderFormat, headerWrite} {
		if value := last.header.Get(name); value != "" {
			msg.Header[name] = []string{value}
		}
	}
	ack, err := b.js.PublishMsg(ctx, msg)
	if err == nil {
		err = b.Keep(b.names.Events)
	}
	switch {
	case err == nil:
		return ack.Sequence, nil
	case isFenced(err) || isBusy(err): // its writer has just moved it
		return last.sequence, nil
	}
	return 0, storeError(err)
}

// trimLedger purges records that are older than the first event left, or that
// take the space which new ones need; never what the last snapshot needs.
func (j *Janitor) trimLedger(ctx context.Context, events jetstream.StreamState, snapshot uint64) (uint64, error) {
	state, err := infoOf(ctx, j.bus.ledger)
	if err != nil || state.Msgs == 0 || snapshot <= state.FirstSeq {
		return 0, err
	}
	keep := snapshot
	if limit := uint64(j.bus.options.LedgerBytes) / 8 * 7; events.Msgs > 0 && state.Bytes <= limit {
		young, err := j.bus.firstSince(ctx, j.bus.names.Ledger, events.FirstTime, snapshot)
		if err != nil {
			return 0, err
		}
		keep = min(keep, young)
	}
	if keep <= state.FirstSeq {
		return 0, nil
	}
	if err := j.bus.purge(ctx, j.bus.ledger, jetstream.WithPurgeSequence(keep)); err != nil {
		return 0, err
	}
	return keep - state.FirstSeq, nil
}
