package event

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// MaxSize is the largest event that sluice can be told to take, in bytes as
// Size counts them.
const MaxSize = 64 << 20

// HeaderLarge says on a stored message where its data is kept: the object's
// name and the number of bytes, with a space between. Such a message has the
// format FormatLarge, so that an older sluice leaves it alone.
const HeaderLarge = "Sluice-Large"

// FormatLarge is the version of the stored form of an event whose data is kept
// apart.
const FormatLarge = 2

// A Large says where the data of a stored event is kept that was too large to
// be stored with it.
type Large struct {
	// Object is the name of the object: a token that says when it was stored, a
	// dot, and the digest of the data.
	Object string `json:"object"`
	// Size is the number of bytes.
	Size int64 `json:"size"`
}

// NewLarge names the object of data with a SHA-256 digest.
func NewLarge(generation string, digest [32]byte, size int) *Large {
	return &Large{Object: generation + "." + base64.RawURLEncoding.EncodeToString(digest[:]), Size: int64(size)}
}

// Digest returns the digest of the data, SHA-256 in the base64 of URLs.
func (l *Large) Digest() string {
	_, digest, _ := strings.Cut(l.Object, ".")
	return digest
}

// ParseLarge reads the value of HeaderLarge. It returns an *InvalidError for
// anything else than sluice writes.
func ParseLarge(value string) (*Large, error) {
	object, number, _ := strings.Cut(value, " ")
	generation, digest, _ := strings.Cut(object, ".")
	sum, err := base64.RawURLEncoding.DecodeString(digest)
	if err != nil || len(sum) != 32 || !isToken(generation) {
		return nil, invalid(HeaderLarge, "%s does not begin with the name of an object", quoted(value))
	}
	size, err := strconv.ParseInt(number, 10, 64)
	if err != nil || size < 1 || size > MaxSize {
		return nil, invalid(HeaderLarge, "%s does not end with a size from 1 to %d", quoted(value), MaxSize)
	}
	return &Large{Object: object, Size: size}, nil
}

func (l *Large) header() string { return l.Object + " " + strconv.FormatInt(l.Size, 10) }

// Len returns the number of bytes of the data, wherever it is kept.
func (e *Event) Len() int64 {
	if e.Large != nil {
		return e.Large.Size
	}
	return int64(len(e.Data))
}

// applyLarge reads where the data is kept.
func (f Fields) applyLarge(e *Event) (err error) {
	format := f.Get(HeaderFormat)
	large, n := f.lookup(HeaderLarge)
	switch {
	case n == 0 && format == formatText:
		return nil
	case n != 1 || format != formatLargeText:
		return invalid(HeaderLarge, "it does not agree with %s %s", HeaderFormat, quoted(format))
	case len(e.Data) > 0:
		return invalid(HeaderLarge, "there are %d bytes of data beside it", len(e.Data))
	}
	e.Large, err = ParseLarge(large)
	return err
}
