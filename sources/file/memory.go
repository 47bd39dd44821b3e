package file

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"sluice/event"
	"sluice/sources"
)

const (
	formatVersion = 1
	rootShard     = "root"
	// shards is over how many cursors the files are spread, by their paths, so that
	// one event writes a small part of what is known. It is fixed for ever.
	shards = 64
	// maxCursor is the most bytes that a cursor may have.
	maxCursor = 500 << 10
	// clockStep is how far the clock of file systems may be behind.
	clockStep = 20 * time.Millisecond
	// maxPlain bounds what a cursor may expand to.
	maxPlain = 64 << 20
)

// A state is what tells one content of a path from another.
type state struct {
	inode    uint64
	modified int64 // ns since 1970
	size     int64
}

// A known is a file that was told of, or was there before.
type known struct {
	state

	walk uint32 // the last walk that has seen it
}

// A root says from when on files are new.
type root struct {
	// complete says that a walk has ended since since. Before that, what was modified
	// before is old.
	complete bool
	since    int64  // ns since 1970; 0 for everything
	folder   uint64 // hashes of the configuration
	filter   uint64
}

// A memory is what is known of the folder, on disk and here.
type memory struct {
	out   sources.Out
	root  root
	files [shards]map[string]known
}

// recall reads what is known. In another folder nothing is; with another filter,
// what comes in by it is old when it is older than now.
func recall(ctx context.Context, out sources.Out, c *Config, now time.Time) (*memory, error) {
	m := &memory{out: out}
	data, err := out.Cursor(ctx, rootShard)
	if err != nil {
		return nil, err
	}
	folder, filter := hash(string(c.Folder)), hash(append([]string{strconv.FormatBool(c.Recursive), strconv.FormatBool(c.Hidden), strconv.Itoa(len(c.Include))}, append(slices.Clone(c.Include), c.Exclude...)...)...)
	if len(data) > 0 {
		if m.root, err = decodeRoot(data); err != nil {
			return nil, damaged(rootShard, err)
		}
	}
	fresh := len(data) == 0 || m.root.folder != folder
	for i := range m.files {
		if m.files[i], err = m.read(ctx, i); err != nil {
			return nil, err
		}
		if fresh && len(m.files[i]) > 0 {
			m.files[i] = map[string]known{}
			if err := m.write(ctx, i, m.files[i]); err != nil {
				return nil, err
			}
		}
	}
	if !fresh && m.root.filter == filter {
		return m, nil
	}
	m.root = root{since: now.Add(-clockStep).UnixNano(), folder: folder, filter: filter}
	if c.Backfill {
		m.root.since = 0
	}
	return m, m.save(ctx)
}

func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, part := range parts {
		_, _ = h.Write([]byte(part + "\x00")) // never fails
	}
	return h.Sum64()
}

// finish notes that a walk has ended.
func (m *memory) finish(ctx context.Context) error {
	if m.root.complete {
		return nil
	}
	m.root.complete = true
	if err := m.save(ctx); err != nil {
		m.root.complete = false
		return err
	}
	return nil
}

func (m *memory) save(ctx context.Context) error {
	return m.out.PublishAt(ctx, rootShard, m.root.encode())
}

// old tells whether a file that is not known is none to tell of.
func (m *memory) old(s state) bool { return !m.root.complete && s.modified < m.root.since }

func shardOf(path string) int { return int(hash(path) % shards) }

func shardName(i int) string { return fmt.Sprintf("files-%02d", i) }

// A change is what a walk has found of one path.
type change struct {
	path  string
	state state
	gone  bool
	known bool // it was there before
	quiet bool // it is no event
	at    time.Time
}

// apply stores the changes of one shard together with their events, all or
// nothing.
func (m *memory) apply(ctx context.Context, shard int, changes []change, walk uint32, events []event.Event) error {
	next := maps.Clone(m.files[shard])
	for _, c := range changes {
		if c.gone {
			delete(next, c.path)
		} else {
			next[c.path] = known{state: c.state, walk: walk}
		}
	}
	if err := m.write(ctx, shard, next, events...); err != nil {
		return err
	}
	m.files[shard] = next
	return nil
}

func (m *memory) write(ctx context.Context, shard int, files map[string]known, events ...event.Event) error {
	data, err := encodeFiles(files)
	if err != nil {
		return err
	}
	if len(data) > maxCursor {
		return fmt.Errorf("the folder has too many files, about %d: watch its parts by several sources, or take away what was worked on", len(files)*shards)
	}
	return m.out.PublishAt(ctx, shardName(shard), data, events...)
}

func (m *memory) read(ctx context.Context, shard int) (map[string]known, error) {
	data, err := m.out.Cursor(ctx, shardName(shard))
	if err != nil || len(data) == 0 {
		return map[string]known{}, err
	}
	files, err := decodeFiles(data)
	if err != nil {
		return nil, damaged(shardName(shard), err)
	}
	return files, nil
}

func damaged(shard string, err error) error {
	return fmt.Errorf("the cursor %q of what is known cannot be read: %w", shard, err)
}

func (r *root) encode() []byte {
	data := []byte{formatVersion, 0}
	if r.complete {
		data[1] = 1
	}
	for _, n := range []uint64{uint64(r.since), r.folder, r.filter} {
		data = binary.BigEndian.AppendUint64(data, n)
	}
	return data
}

const rootSize = 2 + 3*8

func decodeRoot(data []byte) (root, error) {
	if err := checkVersion(data); err != nil {
		return root{}, err
	}
	if len(data) != rootSize {
		return root{}, fmt.Errorf("it has %d bytes, not %d", len(data), rootSize)
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(data[2+8*i:]) }
	return root{complete: data[1] == 1, since: int64(number(0)), folder: number(1), filter: number(2)}, nil
}

func checkVersion(data []byte) error {
	if data[0] != formatVersion {
		return fmt.Errorf("it has format %d, and this sluice knows format %d: a newer one has written it", data[0], formatVersion)
	}
	return nil
}

// encodeFiles writes the files in the order of their paths, each without what it
// shares with the one before it, compressed.
func encodeFiles(files map[string]known) ([]byte, error) {
	var plain []byte
	before := ""
	for _, path := range slices.Sorted(maps.Keys(files)) {
		shared := 0
		for shared < min(len(before), len(path)) && before[shared] == path[shared] {
			shared++
		}
		f := files[path]
		plain = binary.AppendUvarint(plain, uint64(shared))
		plain = binary.AppendUvarint(plain, uint64(len(path)-shared))
		plain = append(plain, path[shared:]...)
		plain = binary.AppendUvarint(plain, f.inode)
		plain = binary.AppendVarint(plain, f.modified)
		plain = binary.AppendVarint(plain, f.size)
		before = path
	}
	out := bytes.NewBuffer([]byte{formatVersion})
	w, err := flate.NewWriter(out, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(plain)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

var errCut = errors.New("it ends in the middle")

func decodeFiles(data []byte) (map[string]known, error) {
	if err := checkVersion(data); err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data[1:])), maxPlain))
	if err != nil {
		return nil, err
	}
	in := bytes.NewReader(plain)
	files := map[string]known{}
	before := ""
	for in.Len() > 0 {
		path, f, err := decodeFile(in, before)
		if err != nil {
			return nil, err
		}
		files[path], before = f, path
	}
	return files, nil
}

func decodeFile(in *bytes.Reader, before string) (path string, f known, err error) {
	shared, err1 := binary.ReadUvarint(in)
	length, err2 := binary.ReadUvarint(in)
	if err := errors.Join(err1, err2); err != nil || shared > uint64(len(before)) || length > uint64(in.Len()) {
		return "", known{}, errors.Join(errCut, err)
	}
	rest := make([]byte, length)
	_, _ = io.ReadFull(in, rest) // it is there
	var errs [3]error
	f.inode, errs[0] = binary.ReadUvarint(in)
	f.modified, errs[1] = binary.ReadVarint(in)
	f.size, errs[2] = binary.ReadVarint(in)
	return before[:shared] + string(rest), f, errors.Join(errs[:]...)
}
