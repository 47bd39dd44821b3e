package s3

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"sluice/event"
	"sluice/sources"
)

const (
	rootShard = "root"

	// pageSize is how many bytes a page has, about: small enough to be rewritten
	// for a few changes, and large enough for the root to name all pages.
	pageSize = 128 << 10
	// maxChanges is how many bytes of changes the root holds; a batch may add as
	// many again. Together with maxRefs they are below the largest cursor.
	maxChanges = 128 << 10
	maxRefs    = 192 << 10
	// foldCost stands for the fixed cost of a fold, in bytes written.
	foldCost = 512 << 10
	// maxCached is how many decoded pages are kept in memory.
	maxCached = 8
	// spareClutter is how many pages may lie unused.
	spareClutter = 16
)

func pageShard(n uint32) string { return fmt.Sprintf("page-%d", n) }

// A catalog is the durable, sorted record of what is in the bucket as far as
// it is known. It is kept like a log-structured tree of two levels: the root
// cursor moves in one batch with the events and lists what has changed; a fold
// writes the pages anew that the changes touch, to shards that the root does not
// name, and then the root, which names them. So a crash at any point leaves the
// root and pages that belong together. A fold is made when the roots written
// since the last one have cost as many bytes as it will.
//
// Whatever the number of objects, it holds the root and a few pages in memory.
type catalog struct {
	out     sources.Out
	root    root
	exists  bool            // the root has been stored
	former  bool            // it was stored in the former format
	stored  time.Time       // root.listed as stored
	unsaved bool            // root.changes has more than what is stored
	cost    int             // bytes of roots written since the last fold
	weight  int             // of root.changes, in bytes, at most
	cached  []cachedPage    // the last used at the end
	blank   map[uint32]bool // unused pages that are known to be empty
}

type cachedPage struct {
	number  uint32
	objects []entry
}

// load reads the root, if there is one.
func (c *catalog) load(ctx context.Context) error {
	data, err := c.out.Cursor(ctx, rootShard)
	if err != nil || len(data) == 0 {
		return err
	}
	if data[0] == formerVersion {
		return c.migrate(ctx, data)
	}
	if c.root, err = decodeRoot(data); err != nil {
		return damaged(rootShard, err)
	}
	c.exists, c.stored, c.weight = true, c.root.listed, weigh(c.root.changes)
	return nil
}

func damaged(shard string, err error) error {
	return fmt.Errorf("the cursor %q of what is known cannot be read: %w", shard, err)
}

// weigh returns how many bytes the entries take at most.
func weigh(entries []entry) int {
	weight := 0
	for i := range entries {
		weight += entries[i].weight()
	}
	return weight
}

func (e *entry) weight() int { return len(e.key) + len(e.version) + len(e.etag) + 40 }

// known returns what is known of the keys from from up to, and without, to, in
// order. After an error it ends.
func (c *catalog) known(ctx context.Context, from, to string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		for i := c.root.page(slot{key: from}); i == 0 || (i < len(c.root.pages) && c.root.pages[i].start.key < to); i++ {
			entries, err := c.contents(ctx, i, slot{key: from}, slot{key: to})
			if err != nil {
				yield(object{}, err)
				return
			}
			for j := range entries {
				if !yield(entries[j].object, nil) {
					return
				}
			}
		}
	}
}

// contents returns what page i holds of the slots from from up to to, with the
// changes made since it was written.
func (c *catalog) contents(ctx context.Context, i int, from, to slot) ([]entry, error) {
	stored, err := c.read(ctx, i)
	if err != nil {
		return nil, err
	}
	low, high := c.root.span(i)
	if from.compare(low) > 0 {
		low = from
	}
	if to.compare(high) < 0 {
		high = to
	}
	return existing(merged(between(stored, low, high), between(c.root.changes, low, high))), nil
}

// read returns page i as it is stored.
func (c *catalog) read(ctx context.Context, i int) ([]entry, error) {
	if i >= len(c.root.pages) {
		return nil, nil
	}
	page := &c.root.pages[i]
	at := slices.IndexFunc(c.cached, func(p cachedPage) bool { return p.number == page.number })
	if at >= 0 {
		found := c.cached[at]
		c.cached = append(slices.Delete(c.cached, at, at+1), found)
		return found.objects, nil
	}
	data, err := c.out.Cursor(ctx, pageShard(page.number))
	if err != nil {
		return nil, err
	}
	objects, err := decodePage(data, page.sum)
	if err != nil {
		return nil, damaged(pageShard(page.number), err)
	}
	if len(c.cached) >= maxCached {
		c.cached = slices.Delete(c.cached, 0, 1)
	}
	c.cached = append(c.cached, cachedPage{page.number, objects})
	return objects, nil
}

// lookup returns what the slot is known to hold.
func (c *catalog) lookup(ctx context.Context, s slot) (object, bool, error) {
	if at, found := find(c.root.changes, s); found {
		return c.root.changes[at].object, !c.root.changes[at].gone, nil
	}
	stored, err := c.read(ctx, c.root.page(s))
	if err != nil {
		return object{}, false, err
	}
	at, found := find(stored, s)
	if !found {
		return object{}, false, nil
	}
	return stored[at].object, true, nil
}

// change makes the changes, together with the events if there are any: all or
// nothing. Without events they are stored with what is stored next.
func (c *catalog) change(ctx context.Context, changes []entry, events []event.Event) error {
	if len(changes)+len(events) == 0 {
		return nil
	}
	next := c.root
	next.changes = merged(c.root.changes, sorted(changes))
	if len(events) > 0 {
		if err := c.store(ctx, &next, events); err != nil {
			return err
		}
	}
	c.unsaved = len(events) == 0
	c.root = next
	c.weight += weigh(changes)
	return nil
}

func (c *catalog) foldIfDue(ctx context.Context) error {
	if c.weight <= maxChanges && c.cost <= foldCost+min(len(c.root.pages), len(c.root.changes))*pageSize {
		return nil
	}
	return c.fold(ctx)
}

// sorted returns the changes in order; of several of one slot the last one.
func sorted(changes []entry) []entry {
	ordered := slices.Clone(changes)
	slices.Reverse(ordered)
	slices.SortStableFunc(ordered, func(a, b entry) int { return a.slot().compare(b.slot()) })
	return slices.CompactFunc(ordered, func(a, b entry) bool { return a.slot() == b.slot() })
}

// save stores the root as it is.
func (c *catalog) save(ctx context.Context) error {
	if err := c.store(ctx, &c.root, nil); err != nil {
		return err
	}
	c.unsaved = false
	return nil
}

func (c *catalog) store(ctx context.Context, r *root, events []event.Event) error {
	data := r.encode()
	if err := c.out.PublishAt(ctx, rootShard, data, events...); err != nil {
		return err
	}
	c.exists, c.stored = true, r.listed
	c.cost += len(data)
	return nil
}

// fold writes the pages anew that the changes touch, and then, and only then,
// the root without the changes.
func (c *catalog) fold(ctx context.Context) error {
	w := &pageWriter{catalog: c, next: c.root.next, free: c.free()}
	for i := range max(1, len(c.root.pages)) {
		from, to := c.root.span(i)
		touched := len(between(c.root.changes, from, to)) > 0
		if !touched && (i >= len(c.root.pages) || !w.small()) {
			if err := w.keep(ctx, c.root.pages[i:min(i+1, len(c.root.pages))]); err != nil {
				return err
			}
			continue
		}
		objects, err := c.contents(ctx, i, from, to)
		if err != nil {
			return err
		}
		if err := w.write(ctx, from, objects); err != nil {
			return err
		}
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	return c.install(ctx, w)
}

// install stores the root with the pages that were written.
func (c *catalog) install(ctx context.Context, w *pageWriter) error {
	if size := len(appendRefs(nil, w.pages)); size > maxRefs {
		return fmt.Errorf("the bucket has too many objects below the prefix (their pages take %d bytes to name, at most %d): use several sources with longer prefixes", size, maxRefs)
	}
	next := c.root
	next.pages, next.changes, next.next = w.pages, nil, w.next
	if err := c.store(ctx, &next, nil); err != nil {
		return err
	}
	c.root, c.unsaved, c.cost, c.weight = next, false, 0, 0
	c.cached = slices.DeleteFunc(c.cached, func(p cachedPage) bool {
		return !slices.ContainsFunc(next.pages, func(r pageRef) bool { return r.number == p.number })
	})
	return nil
}

// free returns the numbers of the pages that the root does not name, ascending.
func (c *catalog) free() []uint32 {
	used := make(map[uint32]bool, len(c.root.pages))
	for i := range c.root.pages {
		used[c.root.pages[i].number] = true
	}
	var free []uint32
	for n := range c.root.next {
		if !used[n] {
			free = append(free, n)
		}
	}
	return free
}

// tidy empties the pages that are not used any more when there are many.
func (c *catalog) tidy(ctx context.Context) error {
	free := c.free()
	if len(free) <= len(c.root.pages)+spareClutter {
		return nil
	}
	for _, n := range free {
		if c.blank[n] {
			continue
		}
		if err := c.out.PublishAt(ctx, pageShard(n), []byte{formatVersion}); err != nil {
			return err
		}
		if c.blank == nil {
			c.blank = map[uint32]bool{}
		}
		c.blank[n] = true
	}
	return nil
}

// objects returns how many objects are known, about.
func (c *catalog) objects() int {
	n := 0
	for i := range c.root.pages {
		n += c.root.pages[i].objects
	}
	for i := range c.root.changes {
		if !c.root.changes[i].gone {
			n++
		}
	}
	return n
}

// A pageWriter writes pages during a fold, to shards that the root does not name.
type pageWriter struct {
	*catalog
	next  uint32
	free  []uint32
	pages []pageRef

	start   slot // of the page that is being filled
	objects []entry
	size    int
}

// small tells whether the page that is being filled should get more.
func (w *pageWriter) small() bool { return len(w.objects) > 0 && w.size < pageSize/4 }

// keep takes over a page as it is.
func (w *pageWriter) keep(ctx context.Context, page []pageRef) error {
	if err := w.flush(ctx); err != nil {
		return err
	}
	w.pages = append(w.pages, page...)
	return nil
}

func (w *pageWriter) write(ctx context.Context, start slot, objects []entry) error {
	if len(w.objects) == 0 {
		w.start = start
	}
	for i := range objects {
		if w.size >= pageSize {
			from := separator(w.objects[len(w.objects)-1].slot(), objects[i].slot())
			if err := w.flush(ctx); err != nil {
				return err
			}
			w.start = from
		}
		w.objects = append(w.objects, objects[i])
		w.size += w.added()
	}
	return nil
}

// added returns how many bytes the last object adds to its page.
func (w *pageWriter) added() int {
	last := len(w.objects) - 1
	before := ""
	if last > 0 {
		before = w.objects[last-1].key
	}
	return w.objects[last].weight() - commonPrefix(before, w.objects[last].key)
}

// flush stores the page that is being filled.
func (w *pageWriter) flush(ctx context.Context) error {
	if len(w.objects) == 0 {
		return nil
	}
	if len(w.free) == 0 {
		w.free = append(w.free, w.next)
		w.next++
	}
	number := w.free[0]
	data := encodePage(w.objects)
	if err := w.out.PublishAt(ctx, pageShard(number), data); err != nil {
		return err
	}
	delete(w.blank, number)
	w.free = w.free[1:]
	w.pages = append(w.pages, pageRef{start: w.start, number: number, sum: checksum(data), objects: len(w.objects)})
	w.objects, w.size = nil, 0
	return nil
}
