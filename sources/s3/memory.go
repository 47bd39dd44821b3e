package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice/event"
	"sluice/sources"
)

const (
	rootShard = "root"

	// maxEvents keeps a batch far from the store's limit on bytes: an event of
	// the longest key has about 8 KiB.
	maxEvents = 500
	// maxRootIDs keeps the root below half of the largest cursor.
	maxRootIDs = 16_000
	// foldCost stands for the fixed cost of a fold, in bytes written.
	foldCost = 512 << 10
	// rootAge is how old the root's time of the last listing may become while
	// nothing happens, because writing it at every listing would fill the log.
	rootAge = time.Hour
)

func baseShard(i int) string { return fmt.Sprintf("base-%02d", i) }

// A memory is the durable set of what is known. It is kept like a log-structured
// tree of two levels: the root cursor moves in one batch with the events of the
// new objects and lists their identities; a fold moves these into the base
// cursors and empties the root. A fold is made when the roots written since the
// last one have cost as many bytes as it will. The known set is the union of
// all cursors, so that a crash between two writes of a fold loses nothing.
type memory struct {
	out      sources.Out
	bucket   string
	seen     seen
	root     root
	exists   bool      // the root has been stored
	stored   time.Time // root.listed as stored
	rootCost int       // bytes of roots written since the last fold
	removed  int       // dropped since the last fold
}

// recall reads the cursors. A new scope makes the memory incomplete again:
// what the new scope shows and was there at the last listing is old.
func recall(ctx context.Context, out sources.Out, bucket string, scope uint64) (*memory, error) {
	m := &memory{out: out, bucket: bucket, root: root{scope: scope}}
	data, err := out.Cursor(ctx, rootShard)
	if err != nil || len(data) == 0 {
		return m, err
	}
	if m.root, err = decodeRoot(data); err != nil {
		return nil, damaged(rootShard, err)
	}
	for i := range bases {
		if err := m.recallBase(ctx, i); err != nil {
			return nil, err
		}
	}
	m.seen.add(m.root.ids...)
	m.exists, m.stored = true, m.root.listed
	if m.root.scope != scope {
		m.rescope(scope)
	}
	return m, nil
}

func (m *memory) recallBase(ctx context.Context, i int) error {
	data, err := m.out.Cursor(ctx, baseShard(i))
	if err != nil {
		return err
	}
	if err := m.seen.load(i, data); err != nil {
		return damaged(baseShard(i), err)
	}
	return nil
}

func damaged(shard string, err error) error {
	return fmt.Errorf("the cursor %q of what is known cannot be read: %w", shard, err)
}

func (m *memory) rescope(scope uint64) {
	if m.root.complete {
		m.root.since = m.root.listed
	}
	m.root.complete = false
	m.root.scope = scope
}

// start stores, once, from when on objects are new: from now on, by this
// machine's clock, or with everything all that there is.
func (m *memory) start(ctx context.Context, now time.Time, everything bool) error {
	if m.exists {
		return nil
	}
	m.root.since, m.root.local = now.UTC().Truncate(time.Millisecond), true
	if everything {
		m.root.since, m.root.local = time.Time{}, false
	}
	m.root.listed = m.root.since
	return m.writeRoot(ctx, nil, nil)
}

// adjust brings the moment of the first start to the server's clock, which is
// ahead of this machine's. It is stored with the next root.
func (m *memory) adjust(ahead time.Duration) {
	if m.root.local {
		m.root.since = m.root.since.Add(ahead).Truncate(time.Millisecond)
		m.root.local = false
	}
}

// learn publishes the objects that are neither known nor old, in their order,
// and remembers them all. After an error it can be called again with the same.
func (m *memory) learn(ctx context.Context, objects []object) (published int, err error) {
	fresh := m.fresh(objects)
	for len(fresh) > 0 {
		n := min(len(fresh), maxEvents)
		if err := m.publish(ctx, fresh[:n]); err != nil {
			return published, err
		}
		published += n
		fresh = fresh[n:]
		if err := m.foldIfDue(ctx); err != nil {
			return published, err
		}
	}
	return published, nil
}

// fresh returns the objects that are to become events, each once.
func (m *memory) fresh(objects []object) []object {
	var fresh []object
	var taken map[identity]bool
	for _, o := range objects {
		id := o.identity()
		switch {
		case m.seen.mark(id) || taken[id]:
		case m.old(o):
			m.seen.add(id)
		default:
			if taken == nil {
				taken = map[identity]bool{}
			}
			taken[id] = true
			fresh = append(fresh, o)
		}
	}
	sortVersions(fresh)
	return fresh
}

// sortVersions orders neighbours of one key from the oldest to the newest, as
// not every server lists them the other way round.
func sortVersions(objects []object) {
	for from := 0; from < len(objects); {
		to := from + 1
		for to < len(objects) && objects[to].key == objects[from].key {
			to++
		}
		slices.SortStableFunc(objects[from:to], func(a, b object) int { return a.modified.Compare(b.modified) })
		from = to
	}
}

func (m *memory) old(o object) bool {
	return !m.root.complete && o.modified.Before(m.root.since)
}

func (m *memory) publish(ctx context.Context, objects []object) error {
	ids := make([]identity, len(objects))
	events := make([]event.Event, len(objects))
	for i, o := range objects {
		var err error
		if events[i], err = o.event(m.bucket); err != nil {
			return err
		}
		ids[i] = o.identity()
	}
	if err := m.writeRoot(ctx, ids, events); err != nil {
		return err
	}
	m.seen.add(ids...)
	return nil
}

func (m *memory) writeRoot(ctx context.Context, ids []identity, events []event.Event) error {
	data := m.root.encode(ids...)
	if err := m.out.PublishAt(ctx, rootShard, data, events...); err != nil {
		return err
	}
	m.root.ids = append(m.root.ids, ids...)
	m.exists, m.stored = true, m.root.listed
	m.rootCost += len(data)
	return nil
}

// beginListing starts to watch what is still there.
func (m *memory) beginListing() { m.seen.begin() }

// endListing drops what a complete listing has not found. began is when, by
// the server's clock, it began.
func (m *memory) endListing(ctx context.Context, began time.Time) error {
	m.removed += m.seen.prune()
	first := !m.root.complete
	m.root.complete, m.root.listed = true, began
	switch {
	case first || m.removed > max(1000, m.seen.size/4):
		return m.fold(ctx)
	case began.Sub(m.stored) > rootAge:
		return m.writeRoot(ctx, nil, nil)
	}
	return nil
}

func (m *memory) foldIfDue(ctx context.Context) error {
	if len(m.root.ids) < maxRootIDs && m.rootCost < foldCost+m.seen.size*identitySize {
		return nil
	}
	return m.fold(ctx)
}

// fold stores the bases that have changed and then, and only then, empties the
// root.
func (m *memory) fold(ctx context.Context) error {
	for i := range m.seen.shards {
		if !m.seen.shards[i].dirty {
			continue
		}
		data, err := m.seen.encode(i)
		if err != nil {
			return err
		}
		if err := m.out.PublishAt(ctx, baseShard(i), data); err != nil {
			return err
		}
		m.seen.shards[i].dirty = false
	}
	emptied := m.root
	emptied.ids = nil
	if err := m.out.PublishAt(ctx, rootShard, emptied.encode()); err != nil {
		return err
	}
	m.root, m.exists, m.stored = emptied, true, emptied.listed
	m.rootCost, m.removed = 0, 0
	return nil
}

// final tells whether publishing again cannot help.
func final(err error) bool {
	return errors.Is(err, event.ErrFenced) || errors.Is(err, event.ErrTooLarge)
}
