package s3

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"sluice/event"
	"sluice/sources"
)

const (
	// maxEvents and maxWeight (in bytes of what is stored for them) keep a batch
	// far from the store's limit on bytes: an event of the longest key has about
	// 8 KiB.
	maxEvents = 500
	maxWeight = 128 << 10
	// maxDescribed keeps a batch in which each object is asked for small.
	maxDescribed = 100
	// rootAge is how old the root's time of the last listing may become while
	// nothing happens, because writing it at every listing would fill the log.
	rootAge = time.Hour
)

// A memory decides what is new and what is gone, by comparing what the bucket
// shows with the catalog, and publishes it.
type memory struct {
	catalog
	bucket string
	wants  func(key string) bool
	recent recent
	// describe tells the details of what is published; nil for none.
	describe describer
	// passed holds the slots that were found changed by other ways while a
	// listing is under way: what it says of them may be older.
	passed map[slot]bool
}

// A view is all that the bucket has, at one moment, of the keys from from up
// to, and without, to: by key, and of each key from the oldest to the newest.
type view struct {
	from, to string
	objects  []object
	at       time.Time
	listing  bool // it is a part of the listing under way
}

// keyView is the view of one key.
func keyView(key string, objects []object, at time.Time) view {
	return view{from: key, to: key + "\x00", objects: objects, at: at}
}

// A step is one change to be made.
type step struct {
	entry
	quiet bool      // it is no event
	stale bool      // what is known is newer, and stays
	at    time.Time // when it was found to be gone
}

// recall reads what is known. In a new scope it is incomplete again: what the
// new scope shows and was there at the last listing is old.
func recall(ctx context.Context, out sources.Out, bucket string, in scope, wants func(string) bool) (*memory, error) {
	m := &memory{catalog: catalog{out: out, root: root{scope: in}}, bucket: bucket, wants: wants}
	if err := m.load(ctx); err != nil {
		return nil, err
	}
	before := m.root.scope
	m.root.scope = in
	switch {
	case !m.exists || m.former:
	case before.bucket != in.bucket:
		m.forget()
	case before.filter != in.filter:
		m.incomplete()
	}
	return m, nil
}

// incomplete has the next listing find out what is old.
func (m *memory) incomplete() {
	if m.root.complete {
		m.root.since = m.root.listed
	}
	m.root.complete = false
}

// forget drops all that is known.
func (m *memory) forget() {
	m.incomplete()
	m.root.pages, m.root.changes, m.weight, m.cached = nil, nil, 0, nil
	m.unsaved = true
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
	return m.save(ctx)
}

// adjust brings the moment of the first start to the server's clock, which is
// ahead of this machine's. It is stored with the next root.
func (m *memory) adjust(ahead time.Duration) {
	if m.root.local {
		m.root.since = m.root.since.Add(ahead).Truncate(time.Millisecond)
		m.root.local = false
	}
}

func (m *memory) old(o *object) bool {
	return !m.root.complete && o.modified.Before(m.root.since)
}

// learn publishes the objects that are new, in their order. They may come late:
// nothing follows from what is not among them. After an error it can be called
// again with the same.
func (m *memory) learn(ctx context.Context, objects []object) error {
	var steps []step
	latest := map[slot]object{}
	for i := range objects {
		o := objects[i]
		known, found := latest[o.slot()]
		if !found {
			var err error
			if known, found, err = m.lookup(ctx, o.slot()); err != nil {
				return err
			}
		}
		if (found && known.same(&o)) || m.recent.has(&o) {
			continue
		}
		s := step{entry: entry{object: o}, quiet: m.old(&o), stale: found && known.modified.After(o.modified)}
		if !s.stale {
			latest[o.slot()] = o
		}
		steps = append(steps, s)
	}
	return m.make(ctx, steps, true)
}

// compare publishes in what the view differs from what is known. After an error
// it can be called again with the same view.
func (m *memory) compare(ctx context.Context, v view) error {
	for v.from < v.to {
		steps, rest, err := m.diff(ctx, v)
		if err != nil {
			return err
		}
		if err := m.make(ctx, steps, !v.listing); err != nil {
			return err
		}
		v = rest
	}
	return nil
}

// diff returns the steps that bring what is known to what the view shows, and
// the rest of the view when they are many.
func (m *memory) diff(ctx context.Context, v view) (steps []step, rest view, err error) {
	next, stop := iter.Pull2(m.known(ctx, v.from, v.to))
	defer stop()
	k, err, more := next()
	var known []object
	for (more || len(v.objects) > 0) && err == nil {
		key := k.key
		if len(v.objects) > 0 && (!more || v.objects[0].key < key) {
			key = v.objects[0].key
		}
		if v.from = key; len(steps) >= maxEvents {
			return steps, v, nil
		}
		for known = known[:0]; more && err == nil && k.key == key; k, err, more = next() {
			known = append(known, k)
		}
		n := sameKey(v.objects)
		if len(v.objects) == 0 || v.objects[0].key != key {
			n = 0
		}
		if err == nil {
			steps = m.compareKey(steps, known, v.objects[:n], &v)
		}
		v.objects = v.objects[n:]
	}
	v.from = v.to
	return steps, v, err
}

// sameKey returns how many objects have the key of the first one.
func sameKey(objects []object) int {
	n := 0
	for n < len(objects) && objects[n].key == objects[0].key {
		n++
	}
	return n
}

// compareKey appends the steps for one key of the view, of which known is in the
// order of slots.
func (m *memory) compareKey(steps []step, known, shown []object, v *view) []step {
	left := make([]bool, len(known)) // true for what is not gone
	first := len(steps)
	for i := range shown {
		o := &shown[i]
		n, found := slices.BinarySearchFunc(known, o.slot(), func(k object, s slot) int { return k.slot().compare(s) })
		if found {
			left[n] = true
		}
		if !m.isPassed(o, v) && (!found || !known[n].same(o)) {
			steps = append(steps, step{entry: entry{object: *o}, quiet: m.old(o) || m.recent.has(o)})
		}
	}
	// Not every server lists the versions of a key in order.
	slices.SortStableFunc(steps[first:], func(a, b step) int { return a.modified.Compare(b.modified) })
	for n := range known {
		if k := &known[n]; !left[n] && !m.isPassed(k, v) {
			steps = append(steps, step{
				entry: entry{object: *k, gone: true}, at: v.at,
				quiet: k.marker || !m.wants(k.key),
			})
		}
	}
	return steps
}

// isPassed tells whether the view is of a listing that may be behind what is
// known of the object's slot.
func (m *memory) isPassed(o *object, v *view) bool { return v.listing && m.passed[o.slot()] }

// make publishes the steps and makes what they say known. While a listing is
// under way, those that come from elsewhere are kept from it.
func (m *memory) make(ctx context.Context, steps []step, elsewhere bool) error {
	for {
		// First, because an earlier one may have failed.
		if err := m.foldIfDue(ctx); err != nil || len(steps) == 0 {
			return err
		}
		n := m.batch(steps)
		if err := m.makeBatch(ctx, steps[:n]); err != nil {
			return err
		}
		for i := range steps[:n] {
			if elsewhere && m.passed != nil {
				m.passed[steps[i].slot()] = true
			}
		}
		steps = steps[n:]
	}
}

// batch returns how many of the steps are made at once.
func (m *memory) batch(steps []step) int {
	most := min(len(steps), maxEvents)
	if m.describe != nil {
		most = min(most, maxDescribed)
	}
	weight := 0
	for n := range most {
		weight += steps[n].weight()
		if n > 0 && weight > maxWeight {
			return n
		}
	}
	return most
}

func (m *memory) makeBatch(ctx context.Context, steps []step) error {
	events, err := m.events(ctx, steps)
	if err != nil {
		return err
	}
	var changes []entry
	for i := range steps {
		if !steps[i].stale {
			changes = append(changes, steps[i].entry)
		}
	}
	if err := m.change(ctx, changes, events); err != nil {
		return err
	}
	for i := range steps {
		if s := &steps[i]; !s.quiet && !s.gone {
			m.recent.add(&s.object)
		}
	}
	return nil
}

// events returns the events of the steps that are some.
func (m *memory) events(ctx context.Context, steps []step) ([]event.Event, error) {
	known, err := m.details(ctx, steps)
	if err != nil {
		return nil, err
	}
	var events []event.Event
	for i := range steps {
		s := &steps[i]
		var e event.Event
		switch {
		case s.quiet:
			continue
		case s.gone:
			e, err = s.removal(m.bucket, s.at)
		default:
			e, err = s.event(m.bucket, known[s.slot()])
		}
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// details returns what is to be told of the objects that are new.
func (m *memory) details(ctx context.Context, steps []step) (map[slot]*details, error) {
	if m.describe == nil {
		return nil, nil //nolint:nilnil // nothing is to be told
	}
	var objects []object
	for i := range steps {
		if s := &steps[i]; !s.quiet && !s.gone && !s.marker {
			objects = append(objects, s.object)
		}
	}
	found, err := m.describe(ctx, objects)
	if err != nil {
		return nil, err
	}
	all := make(map[slot]*details, len(objects))
	for i := range objects {
		all[objects[i].slot()] = found[i]
	}
	return all, nil
}

// beginListing starts to watch what changes beside a listing. Where versions
// are hidden and were not before, or the other way round, all would look new.
func (m *memory) beginListing(hidden bool) {
	if m.root.hidden != hidden {
		m.root.hidden = hidden
		if m.objects() > 0 {
			m.forget()
		}
	}
	m.passed = map[slot]bool{}
}

// abandonListing ends a listing that is not complete.
func (m *memory) abandonListing() { m.passed = nil }

// endListing ends a complete listing; began is when, by the server's clock, it
// began.
func (m *memory) endListing(ctx context.Context, began time.Time) error {
	m.passed = nil
	first := !m.root.complete
	m.root.complete, m.root.listed = true, began
	m.unsaved = m.unsaved || first
	var err error
	switch {
	case first:
		err = m.fold(ctx)
	case m.unsaved || began.Sub(m.stored) > rootAge:
		err = m.save(ctx)
	}
	if err != nil {
		return err
	}
	return m.tidy(ctx)
}

// maxRecent is how many uploads are known by more than what their slot holds now.
const maxRecent = 16_384

// recent holds the identities of what was published last, so that a late
// notification of what has been overwritten or removed since is not taken for
// something new.
type recent struct {
	ids   map[identity]bool
	order []identity
	next  int // to be replaced
}

func (r *recent) has(o *object) bool { return r.ids[o.identity()] }

func (r *recent) add(o *object) {
	id := o.identity()
	if r.ids[id] {
		return
	}
	if r.ids == nil {
		r.ids = map[identity]bool{}
	}
	if len(r.order) < maxRecent {
		r.order = append(r.order, id)
	} else {
		delete(r.ids, r.order[r.next])
		r.order[r.next] = id
		r.next = (r.next + 1) % maxRecent
	}
	r.ids[id] = true
}

// final tells whether publishing again cannot help.
func final(err error) bool {
	return errors.Is(err, event.ErrFenced) || errors.Is(err, event.ErrTooLarge)
}
