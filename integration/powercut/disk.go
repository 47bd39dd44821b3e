package powercut

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// A Disk holds a file system in memory, twice: as programs see it, and as it is
// durable. In between are the writes and the changes of names that nobody has
// synced yet.
type Disk struct {
	// Bare says that a sync of a file makes nothing durable but its content, which
	// is all that POSIX promises. Without it the names of the file and of the
	// folders above it are durable too, as with ext4, XFS and Btrfs.
	Bare bool

	mu      sync.Mutex
	root    *inode
	next    uint64
	pending []*change
	off     bool
	risks   []string
}

// An inode is a file, a folder or a link.
type inode struct {
	number uint64
	kind   uint32 // syscall.S_IFREG, S_IFDIR or S_IFLNK
	parent *inode

	entries, kept map[string]*inode // of a folder: as seen, and as durable

	data, durable []byte // of a file, or where a link points
	writes        []write
}

// A write is a part of a file that is not durable yet, or its end, when it has no
// data.
type write struct {
	at   int
	data []byte
}

// A change of a name that is not durable yet: to is nil when it was removed, and
// from when it was made.
type change struct {
	inode    *inode
	from, to *place
}

type place struct {
	dir  *inode
	name string
}

func (p *place) in(dir *inode) bool { return p != nil && p.dir == dir }

// NewDisk returns an empty one.
func NewDisk() *Disk {
	d := &Disk{}
	d.root = d.inode(nil, kindDir)
	return d
}

// inode makes one. The lock is held, or nobody else knows the disk.
func (d *Disk) inode(parent *inode, kind uint32) *inode {
	d.next++
	i := &inode{number: d.next, kind: kind, parent: parent}
	if kind == kindDir {
		i.entries, i.kept = map[string]*inode{}, map[string]*inode{}
	}
	return i
}

// change notes one, which is seen at once.
func (d *Disk) change(c *change) {
	if c.from != nil {
		delete(c.from.dir.entries, c.from.name)
	}
	if c.to != nil {
		c.to.dir.entries[c.to.name] = c.inode
		c.inode.parent = c.to.dir
	}
	d.pending = append(d.pending, c)
}

// Risks returns the names of durable files that were replaced by a file whose
// content was not: a cut at that moment may keep the new name and lose both. A
// program that does so is unsafe, however rarely a cut comes just then.
func (d *Disk) Risks() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.risks)
}

// keep makes the pending changes durable that which is true for.
func (d *Disk) keep(which func(*change) bool) {
	for i := 0; i < len(d.pending); {
		c := d.pending[i]
		if !which(c) {
			i++
			continue
		}
		d.pending = slices.Delete(d.pending, i, i+1)
		c.apply()
		for _, older := range d.pending[:i] { // what came before has no say any more
			if c.to != nil && older.to != nil && *older.to == *c.to {
				older.to = nil
			}
		}
	}
}

func (c *change) apply() {
	if c.from != nil && c.from.dir.kept[c.from.name] == c.inode {
		delete(c.from.dir.kept, c.from.name)
	}
	if c.to != nil {
		c.to.dir.kept[c.to.name] = c.inode
	}
}

// sync makes an inode durable: the names in a folder, or the content of a file.
func (d *Disk) sync(i *inode) {
	if i.kind == kindDir {
		d.keep(func(c *change) bool { return c.from.in(i) || c.to.in(i) })
		return
	}
	for _, w := range i.writes {
		i.durable = w.apply(i.durable)
	}
	i.writes = nil
	if !d.Bare {
		d.keep(func(c *change) bool { return c.inode == i || c.inode.kind == kindDir && above(c.inode, i) })
	}
}

func above(dir, i *inode) bool {
	for ; i != nil; i = i.parent {
		if i == dir {
			return true
		}
	}
	return false
}

func (w write) apply(to []byte) []byte {
	if w.data == nil {
		return resize(to, w.at)
	}
	if end := w.at + len(w.data); end > len(to) {
		to = resize(to, end)
	}
	copy(to[w.at:], w.data)
	return to
}

func resize(data []byte, size int) []byte {
	if size <= len(data) {
		return data[:size:size]
	}
	return append(data, make([]byte, size-len(data))...)
}

// write changes the content of a file, and its durable one too when sync is set.
func (d *Disk) write(i *inode, w write, sync bool) {
	i.data = w.apply(i.data)
	i.writes = append(i.writes, w)
	if sync {
		d.sync(i)
	}
}

// block is what a disk writes as a whole, or not.
const block = 4096

// Cut ends the disk, every operation on which fails from now on, and returns what
// there is when the power is back.
func (d *Disk) Cut(rng *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	shares := []float64{0, 0.3, 0.7, 1} // nothing, something, everything had got to the disk
	names, writes := shares[rng.IntN(len(shares))], shares[rng.IntN(len(shares))]
	if d.Bare {
		d.keep(func(*change) bool { return rng.Float64() < names })
	} else { // a journal keeps the order
		n := int(names * float64(len(d.pending)))
		left := d.pending[n:]
		d.pending = d.pending[:n]
		d.keep(func(*change) bool { return true })
		d.pending = left
	}
	next := &Disk{Bare: d.Bare}
	next.root = next.survivor(d.root, nil, func() bool { return rng.Float64() < writes })
	return next
}

// survivor copies what is left of an inode. The names of a folder are looked at in
// their order, so that the same seed gives the same disk.
func (d *Disk) survivor(from, parent *inode, lucky func() bool) *inode {
	i := d.inode(parent, from.kind)
	for _, name := range sorted(from.kept) {
		child := d.survivor(from.kept[name], i, lucky)
		i.entries[name], i.kept[name] = child, child
	}
	if from.kind != kindDir {
		i.data = torn(from, lucky)
		i.durable = slices.Clone(i.data)
	}
	return i
}

// torn returns the durable content of a file with some of the blocks that were
// written since.
func torn(i *inode, lucky func() bool) []byte {
	data := slices.Clone(i.durable)
	for _, w := range i.writes {
		if w.data == nil {
			if lucky() {
				data = w.apply(data)
			}
			continue
		}
		for at := w.at; at < w.at+len(w.data); {
			end := min((at/block+1)*block, w.at+len(w.data))
			if lucky() {
				data = write{at, w.data[at-w.at : end-w.at]}.apply(data)
			}
			at = end
		}
	}
	return data
}

func sorted(entries map[string]*inode) []string {
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Export writes everything that is seen into a folder of another file system.
func (d *Disk) Export(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return export(d.root, dir)
}

func export(i *inode, path string) error {
	switch i.kind {
	case kindLink:
		return os.Symlink(string(i.data), path)
	case kindFile:
		return os.WriteFile(path, i.data, 0o600)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for name, child := range i.entries {
		if err := export(child, filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

// Links returns where the links point that are seen, in no order.
func (d *Disk) Links() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var targets []string
	var walk func(*inode)
	walk = func(i *inode) {
		if i.kind == kindLink {
			targets = append(targets, string(i.data))
		}
		for _, child := range i.entries {
			walk(child)
		}
	}
	walk(d.root)
	return targets
}
