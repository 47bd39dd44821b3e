package s3

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sluice/event"
)

// The types of the events. A listing cannot tell how an object was written, so
// all ways go by its etag: that of a multi-part upload ends in "-" and the
// number of parts.
const (
	TypePut       = "s3.object.created.put"
	TypeMultipart = "s3.object.created.complete-multipart-upload"
	// TypeRemoved is for an object without versions, or one version, that is not
	// there any more.
	TypeRemoved = "s3.object.removed.delete"
	// TypeMarker is for an object that is hidden by a delete marker.
	TypeMarker = "s3.object.removed.delete-marker-created"
)

// timeLayout is RFC 3339 with the milliseconds that S3 listings have.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// An object is the description of one upload, or of one delete marker, on which
// all ways of seeing agree.
type object struct {
	key      string
	etag     string // without quotes
	version  string // empty in a bucket without versioning
	size     int64
	modified time.Time // UTC, in full milliseconds
	marker   bool      // a delete marker
}

// nullVersion is the version id of what was written without versioning.
const nullVersion = "null"

// newObject brings what the server says into the form on which all ways
// agree.
func newObject(key, etag, version string, size int64, modified time.Time) object {
	if version == nullVersion {
		version = ""
	}
	return object{
		key:      key,
		etag:     strings.Trim(etag, `"`),
		version:  version,
		size:     size,
		modified: modified.UTC().Truncate(time.Millisecond),
	}
}

// unversioned returns the object as a listing without versions shows it.
func (o object) unversioned() object {
	o.version = ""
	return o
}

// state names what is stored under the key: the version, or else etag and time.
func (o object) state() string {
	if o.version != "" {
		return o.version
	}
	return o.etag + "-" + strconv.FormatInt(o.modified.UnixMilli(), 10)
}

// same tells whether two objects of one slot are one.
func (o *object) same(other *object) bool {
	if o.version != "" {
		return o.version == other.version
	}
	return o.etag == other.etag && o.marker == other.marker && o.modified.Equal(other.modified)
}

// An identity is the hash of what identifies an upload within a bucket. It is
// long enough that two never meet.
type identity [16]byte

func (o object) identity() identity {
	buffer := make([]byte, 0, 128)
	buffer = binary.AppendUvarint(buffer, uint64(len(o.key)))
	buffer = append(buffer, o.key...)
	buffer = append(buffer, o.state()...)
	sum := sha256.Sum256(buffer)
	return identity(sum[:16])
}

type payload struct {
	Bucket       string `json:"bucket"`
	Key          string `json:"key"`
	Size         *int64 `json:"size,omitempty"`
	ETag         string `json:"etag,omitempty"`
	VersionID    string `json:"version_id,omitempty"`
	LastModified string `json:"last_modified"`

	ContentType string            `json:"content_type,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

func (o object) payload(bucket string) payload {
	p := payload{
		Bucket: bucket, Key: o.key, ETag: o.etag, VersionID: o.version,
		LastModified: o.modified.Format(timeLayout),
	}
	if !o.marker {
		p.Size = &o.size
	}
	return p
}

// event returns the event of the object's creation. It depends on the bucket,
// the object and its details, if they are known, alone.
func (o object) event(bucket string, known *details) (event.Event, error) {
	p := o.payload(bucket)
	if known != nil {
		p.ContentType, p.Metadata = known.contentType, known.metadata
	}
	return o.build(&p, o.eventType(), o.state(), o.modified)
}

// removal returns the event of what was the object not being there any more,
// which was found at a time.
func (o object) removal(bucket string, at time.Time) (event.Event, error) {
	p := o.payload(bucket)
	return o.build(&p, TypeRemoved, o.state()+"/removed", at.UTC().Truncate(time.Millisecond))
}

func (o object) build(p *payload, kind, state string, at time.Time) (event.Event, error) {
	data, err := marshal(p)
	if err != nil {
		return event.Event{}, err
	}
	subject := attribute(o.key)
	return event.Event{
		ID:              p.Bucket + "/" + escape(o.key) + "/" + state,
		Source:          "s3://" + p.Bucket,
		Type:            kind,
		Subject:         subject,
		Time:            at,
		DataContentType: "application/json",
		Extensions:      map[string]any{"partitionkey": subject},
		Data:            data,
	}, nil
}

// marshal encodes without escaping <, > and &, which are common in keys.
func marshal(v any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

func (o object) eventType() string {
	if o.marker {
		return TypeMarker
	}
	_, parts, found := strings.Cut(o.etag, "-")
	if n, err := strconv.Atoi(parts); found && err == nil && n > 0 {
		return TypeMultipart
	}
	return TypePut
}

// attribute returns the key as the value of an attribute: as it stands, or
// escaped when it has characters that attributes may not have (CloudEvents
// 1.0.2, section 3.1.1: control characters and noncharacters). The data always
// has the key as it stands.
func attribute(key string) string {
	if strings.ContainsFunc(key, forbidden) {
		return escape(key)
	}
	return key
}

func forbidden(r rune) bool {
	return unicode.IsControl(r) || r == utf8.RuneError || r&0xFFFE == 0xFFFE || (r >= 0xFDD0 && r <= 0xFDEF)
}

// escape percent-encodes what attributes may not have, and the percent sign, so
// that no two keys become the same.
func escape(key string) string {
	var b strings.Builder
	for i := 0; i < len(key); {
		r, size := utf8.DecodeRuneInString(key[i:])
		if r != '%' && !forbidden(r) {
			b.WriteString(key[i : i+size])
		} else {
			escapeBytes(&b, key[i:i+size])
		}
		i += size
	}
	return b.String()
}

func escapeBytes(b *strings.Builder, text string) {
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		b.WriteByte('%')
		b.WriteByte(digits[text[i]>>4])
		b.WriteByte(digits[text[i]&15])
	}
}
