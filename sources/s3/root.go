package s3

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"
)

const (
	formatVersion = 2

	flagComplete = 1
	flagLocal    = 2
	flagHidden   = 4

	// endKey is behind every key, as keys are UTF-8.
	endKey = "\xff"
)

// A slot is a place that holds one object at a time: a version of a key, or
// everything of a key that was written without versioning.
type slot struct{ key, version string }

func (o *object) slot() slot { return slot{o.key, o.version} }

func (s slot) compare(other slot) int {
	if order := strings.Compare(s.key, other.key); order != 0 {
		return order
	}
	return strings.Compare(s.version, other.version)
}

// A root is the cursor that moves with every event: where the pages are, and
// what has changed since they were written.
type root struct {
	// complete says that a listing has been compared to its end since the source
	// first started or its scope has changed. Before that, what was modified
	// before since is old.
	complete bool
	since    time.Time // in full milliseconds
	local    bool      // since is by this machine's clock, not yet by the server's
	listed   time.Time // when, by the server's clock, the last complete listing began
	scope    scope
	hidden   bool      // versions were not to be seen
	next     uint32    // pages from this number on were never written
	pages    []pageRef // ascending
	changes  []entry   // ascending by slot
}

// A scope is what the memory is about, as hashes.
type scope struct {
	bucket uint64
	filter uint64 // prefix and suffix
}

// A pageRef is a page as the root knows it. The page holds what is known from
// its start up to the start of the next one; the first one holds everything before, too.
type pageRef struct {
	start   slot
	number  uint32
	sum     uint32 // checksum of the stored page
	objects int
}

func (r *root) encode() []byte {
	data := []byte{formatVersion, r.flags()}
	for _, n := range []uint64{uint64(r.since.UnixMilli()), uint64(r.listed.UnixMilli()), r.scope.bucket, r.scope.filter} {
		data = binary.BigEndian.AppendUint64(data, n)
	}
	data = binary.AppendUvarint(data, uint64(r.next))
	data = appendRefs(data, r.pages)
	return appendEntries(data, r.changes)
}

func (r *root) flags() (flags byte) {
	if r.complete {
		flags |= flagComplete
	}
	if r.local {
		flags |= flagLocal
	}
	if r.hidden {
		flags |= flagHidden
	}
	return flags
}

func appendRefs(data []byte, pages []pageRef) []byte {
	data = binary.AppendUvarint(data, uint64(len(pages)))
	before := ""
	for i := range pages {
		p := &pages[i]
		shared := commonPrefix(before, p.start.key)
		data = binary.AppendUvarint(data, uint64(shared))
		data = appendText(data, p.start.key[shared:])
		data = appendText(data, p.start.version)
		data = binary.AppendUvarint(data, uint64(p.number))
		data = binary.BigEndian.AppendUint32(data, p.sum)
		data = binary.AppendUvarint(data, uint64(p.objects))
		before = p.start.key
	}
	return data
}

func appendEntries(data []byte, entries []entry) []byte {
	before := ""
	for i := range entries {
		data = appendEntry(data, before, &entries[i])
		before = entries[i].key
	}
	return data
}

func decodeRoot(data []byte) (root, error) {
	if err := checkVersion(data); err != nil {
		return root{}, err
	}
	in := &reader{data: data[1:]}
	flags := in.byte()
	r := root{
		complete: flags&flagComplete != 0, local: flags&flagLocal != 0, hidden: flags&flagHidden != 0,
		since: in.milliseconds(), listed: in.milliseconds(),
		scope: scope{bucket: in.uint64(), filter: in.uint64()},
		next:  uint32(in.uvarint()),
	}
	r.pages = in.refs()
	entries, err := in.entries()
	r.changes = entries
	return r, err
}

func (r *reader) refs() []pageRef {
	var pages []pageRef
	before := ""
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		var p pageRef
		p.start.key = r.key(before)
		p.start.version = r.text()
		p.number = uint32(r.uvarint())
		p.sum = r.uint32()
		p.objects = int(r.uvarint())
		before = p.start.key
		if len(pages) > 0 && pages[len(pages)-1].start.compare(p.start) >= 0 {
			r.fail(errOrder)
		}
		pages = append(pages, p)
	}
	return pages
}

var errOrder = errors.New("it is not in order")

// entries reads all that is left.
func (r *reader) entries() ([]entry, error) {
	var entries []entry
	before := entry{}
	for len(r.data) > 0 && r.err == nil {
		e := r.entry(before.key)
		if r.err == nil && before.slot().compare(e.slot()) >= 0 {
			r.fail(errOrder)
		}
		entries = append(entries, e)
		before = e
	}
	return entries, r.err
}

func checkVersion(data []byte) error {
	switch {
	case len(data) == 0:
		return errors.New("it is empty")
	case data[0] != formatVersion:
		return fmt.Errorf("it has format %d, and this sluice knows format %d: a newer one has written it", data[0], formatVersion)
	}
	return nil
}

func encodePage(objects []entry) []byte { return appendEntries([]byte{formatVersion}, objects) }

var errOtherPage = errors.New("it is not the one that root names: they are not of the same time")

func decodePage(data []byte, sum uint32) ([]entry, error) {
	if err := checkVersion(data); err != nil {
		return nil, err
	}
	if checksum(data) != sum {
		return nil, errOtherPage
	}
	in := &reader{data: data[1:]}
	return in.entries()
}

func checksum(data []byte) uint32 { return crc32.ChecksumIEEE(data) }

// find returns where the slot is among entries, or would be.
func find(entries []entry, s slot) (int, bool) {
	return slices.BinarySearchFunc(entries, s, func(e entry, s slot) int { return e.slot().compare(s) })
}

// between returns the entries from from up to, and without, to.
func between(entries []entry, from, to slot) []entry {
	low, _ := find(entries, from)
	high, _ := find(entries, to)
	return entries[low:max(low, high)]
}

// merged returns the entries with the changes made; an entry that is gone stays
// as such.
func merged(entries, changes []entry) []entry {
	all := make([]entry, 0, len(entries)+len(changes))
	for len(entries) > 0 && len(changes) > 0 {
		switch order := entries[0].slot().compare(changes[0].slot()); {
		case order < 0:
			all, entries = append(all, entries[0]), entries[1:]
		case order > 0:
			all, changes = append(all, changes[0]), changes[1:]
		default:
			entries = entries[1:]
		}
	}
	return append(append(all, entries...), changes...)
}

// existing returns the entries that are not gone.
func existing(entries []entry) []entry {
	return slices.DeleteFunc(entries, func(e entry) bool { return e.gone })
}

// page returns the place of the page that holds what is known of the slot.
func (r *root) page(s slot) int {
	at, found := slices.BinarySearchFunc(r.pages, s, func(p pageRef, s slot) int { return p.start.compare(s) })
	if found {
		return at
	}
	return max(0, at-1)
}

// span returns from where up to where page i, or everything without pages, holds what is known.
func (r *root) span(i int) (from, to slot) {
	to = slot{key: endKey}
	if i > 0 {
		from = r.pages[i].start
	}
	if i+1 < len(r.pages) {
		to = r.pages[i+1].start
	}
	return from, to
}

// separator returns a short slot that is behind before and not behind next.
func separator(before, next slot) slot {
	if before.key == next.key {
		return next
	}
	// The first byte in which they differ belongs to it; it may be half a letter.
	return slot{key: next.key[:commonPrefix(before.key, next.key)+1]}
}
