package s3

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	bases = 64
	// maxEntries is how many identities one base cursor holds: 512 KiB with
	// room for its head.
	maxEntries = 32_700

	formatVersion = 1
	baseHead      = 1
	rootHead      = 1 + 1 + 8 + 8 + 8
	identitySize  = len(identity{})

	flagComplete = 1
	flagLocal    = 2
)

// A seen set holds the identities of what is known, spread over the base
// cursors by their first bits. Each entry has the number of the listing that
// last found it, so that what is gone can be dropped.
type seen struct {
	shards  [bases]shard
	listing uint32
	size    int // entries in all shards
}

type shard struct {
	entries []entry // ascending by id
	dirty   bool    // not as stored
}

type entry struct {
	id      identity
	listing uint32
}

func place(id identity) int { return int(id[0]) % bases }

func (s *shard) find(id identity) (int, bool) {
	return slices.BinarySearchFunc(s.entries, id, func(e entry, id identity) int {
		return bytes.Compare(e.id[:], id[:])
	})
}

// mark tells whether id is known, and notes that it is still there.
func (s *seen) mark(id identity) bool {
	sh := &s.shards[place(id)]
	at, found := sh.find(id)
	if found {
		sh.entries[at].listing = s.listing
	}
	return found
}

// add makes the ids known.
func (s *seen) add(ids ...identity) {
	for _, id := range ids {
		sh := &s.shards[place(id)]
		at, found := sh.find(id)
		if found {
			sh.entries[at].listing = s.listing
			continue
		}
		sh.entries = slices.Insert(sh.entries, at, entry{id: id, listing: s.listing})
		sh.dirty = true
		s.size++
	}
}

// begin starts a listing: what is not marked or added before prune is gone.
func (s *seen) begin() { s.listing++ }

// prune drops what the listing that began last has not found, and returns how
// many.
func (s *seen) prune() int {
	before := s.size
	for i := range s.shards {
		sh := &s.shards[i]
		had := len(sh.entries)
		sh.entries = slices.DeleteFunc(sh.entries, func(e entry) bool { return e.listing != s.listing })
		if len(sh.entries) != had {
			sh.dirty = true
			s.size -= had - len(sh.entries)
		}
	}
	return before - s.size
}

// load fills an empty shard from its cursor.
func (s *seen) load(i int, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if err := checkVersion(data); err != nil {
		return err
	}
	ids, err := decodeIDs(data[baseHead:])
	if err != nil {
		return err
	}
	slices.SortFunc(ids, func(a, b identity) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	sh := &s.shards[i]
	sh.entries = make([]entry, len(ids))
	for j, id := range ids {
		sh.entries[j].id = id
	}
	s.size += len(ids)
	return nil
}

// encode returns the shard's cursor, or an error when it is too large.
func (s *seen) encode(i int) ([]byte, error) {
	entries := s.shards[i].entries
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("the bucket has more than %d objects below the prefix: use several sources with longer prefixes", bases*maxEntries)
	}
	data := make([]byte, baseHead, baseHead+len(entries)*identitySize)
	data[0] = formatVersion
	for _, e := range entries {
		data = append(data, e.id[:]...)
	}
	return data, nil
}

// A root is the cursor that moves with every event.
type root struct {
	// complete says that a listing has been compared to its end since the source
	// first started or its scope has changed. Before that, what was modified
	// before since is old.
	complete bool
	since    time.Time // in full milliseconds
	local    bool      // since is by this machine's clock, not yet by the server's
	listed   time.Time // when, by the server's clock, the last complete listing began
	scope    uint64    // hash of bucket, prefix and suffix
	ids      []identity
}

func (r *root) encode(more ...identity) []byte {
	data := make([]byte, 2, rootHead+(len(r.ids)+len(more))*identitySize)
	data[0] = formatVersion
	if r.complete {
		data[1] |= flagComplete
	}
	if r.local {
		data[1] |= flagLocal
	}
	data = binary.BigEndian.AppendUint64(data, uint64(r.since.UnixMilli()))
	data = binary.BigEndian.AppendUint64(data, uint64(r.listed.UnixMilli()))
	data = binary.BigEndian.AppendUint64(data, r.scope)
	for _, id := range r.ids {
		data = append(data, id[:]...)
	}
	for _, id := range more {
		data = append(data, id[:]...)
	}
	return data
}

func decodeRoot(data []byte) (root, error) {
	if err := checkVersion(data); err != nil {
		return root{}, err
	}
	if len(data) < rootHead {
		return root{}, fmt.Errorf("it ends after %d bytes, but its head has %d", len(data), rootHead)
	}
	ids, err := decodeIDs(data[rootHead:])
	return root{
		complete: data[1]&flagComplete != 0,
		local:    data[1]&flagLocal != 0,
		since:    milliseconds(data[2:]),
		listed:   milliseconds(data[10:]),
		scope:    binary.BigEndian.Uint64(data[18:]),
		ids:      ids,
	}, err
}

func milliseconds(data []byte) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(data))).UTC()
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

func decodeIDs(data []byte) ([]identity, error) {
	if len(data)%identitySize != 0 {
		return nil, fmt.Errorf("its last identity has %d bytes of %d", len(data)%identitySize, identitySize)
	}
	ids := make([]identity, 0, len(data)/identitySize)
	for chunk := range slices.Chunk(data, identitySize) {
		ids = append(ids, identity(chunk))
	}
	return ids, nil
}
