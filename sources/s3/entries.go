package s3

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What the flags of a stored object say.
const (
	flagGone    = 1 << iota // it is not there any more
	flagMarker              // it is a delete marker
	flagVersion             // it has a version id
	flagUUID                // which is a UUID, in 16 bytes
	flagHash                // its etag begins with a hash, in 16 bytes
	flagParts               // and ends with a number of parts
)

// hashSize is that of a hash or a UUID in bytes.
const hashSize = 16

// An entry is what is stored of an object: that it is there, or that it is gone.
type entry struct {
	object
	gone bool
}

// appendEntry appends e to data. Of its key it leaves out what it shares with the
// key before it.
func appendEntry(data []byte, before string, e *entry) []byte {
	shared := commonPrefix(before, e.key)
	data = binary.AppendUvarint(data, uint64(shared))
	data = appendText(data, e.key[shared:])
	at := len(data)
	data = append(data, 0)
	flags := byte(0)
	if e.gone {
		flags |= flagGone
	}
	if e.marker {
		flags |= flagMarker
	}
	data, flags = appendVersion(data, flags, e.version)
	data, flags = appendETag(data, flags, e.etag)
	data[at] = flags
	data = binary.AppendUvarint(data, uint64(e.size))
	return binary.AppendVarint(data, e.modified.UnixMilli())
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func appendText(data []byte, text string) []byte {
	return append(binary.AppendUvarint(data, uint64(len(text))), text...)
}

func appendVersion(data []byte, flags byte, version string) ([]byte, byte) {
	if version == "" {
		return data, flags
	}
	flags |= flagVersion
	if id, err := hex.DecodeString(strings.ReplaceAll(version, "-", "")); err == nil && len(id) == hashSize && uuid(id) == version {
		return append(data, id...), flags | flagUUID
	}
	return appendText(data, version), flags
}

func uuid(id []byte) string {
	text := hex.EncodeToString(id)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

func appendETag(data []byte, flags byte, etag string) ([]byte, byte) {
	hash, parts, several := strings.Cut(etag, "-")
	sum, err := hex.DecodeString(hash)
	if err != nil || len(sum) != hashSize || hex.EncodeToString(sum) != hash {
		return appendText(data, etag), flags
	}
	if !several {
		return append(data, sum...), flags | flagHash
	}
	n, err := strconv.ParseUint(parts, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != parts {
		return appendText(data, etag), flags
	}
	return binary.AppendUvarint(append(data, sum...), n), flags | flagHash | flagParts
}

var errCut = errors.New("it ends in the middle")

// A reader takes stored data apart. After its first error it returns nothing.
type reader struct {
	data []byte
	err  error
}

func (r *reader) bytes(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.data)) {
		r.fail(errCut)
		return nil
	}
	taken := r.data[:n]
	r.data = r.data[n:]
	return taken
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err, r.data = err, nil
	}
}

func (r *reader) byte() byte {
	if b := r.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.bytes(4); len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.bytes(8); len(b) == 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) milliseconds() time.Time { return time.UnixMilli(int64(r.uint64())).UTC() }

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.data)
	if size <= 0 {
		r.fail(errCut)
		return 0
	}
	r.data = r.data[size:]
	return n
}

func (r *reader) varint() int64 {
	n, size := binary.Varint(r.data)
	if size <= 0 {
		r.fail(errCut)
		return 0
	}
	r.data = r.data[size:]
	return n
}

func (r *reader) text() string { return string(r.bytes(r.uvarint())) }

// key reads a key that leaves out what it shares with the one before it.
func (r *reader) key(before string) string {
	shared := r.uvarint()
	rest := r.text()
	if r.err == nil && shared > uint64(len(before)) {
		r.fail(fmt.Errorf("a key shares %d bytes with one of %d", shared, len(before)))
	}
	if r.err != nil {
		return ""
	}
	return before[:shared] + rest
}

// entry reads what appendEntry has written.
func (r *reader) entry(before string) entry {
	var e entry
	e.key = r.key(before)
	flags := r.byte()
	e.gone, e.marker = flags&flagGone != 0, flags&flagMarker != 0
	switch {
	case flags&flagUUID != 0:
		if id := r.bytes(hashSize); r.err == nil {
			e.version = uuid(id)
		}
	case flags&flagVersion != 0:
		e.version = r.text()
	}
	e.etag = r.etag(flags)
	e.size = int64(r.uvarint())
	e.modified = time.UnixMilli(r.varint()).UTC()
	return e
}

func (r *reader) etag(flags byte) string {
	if flags&flagHash == 0 {
		return r.text()
	}
	etag := hex.EncodeToString(r.bytes(hashSize))
	if flags&flagParts != 0 {
		etag += "-" + strconv.FormatUint(r.uvarint(), 10)
	}
	return etag
}
