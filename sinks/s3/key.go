package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"sluice/config"
	"sluice/event"
	"sluice/event/transform"
	"sluice/s3bucket"
	"sluice/sinks"
)

// What templates see beside the event's own attributes. Nothing of it changes
// from attempt to attempt, so that a repeat has the same key.
const (
	// AttributeTrigger is the name of the trigger.
	AttributeTrigger = "sluicetrigger"
	// AttributeBatch is a hash of the ids of the deliveries in the object.
	AttributeBatch = "sluicebatch"
)

// maxMetadata is how long one value may be: servers take 2 KiB in all.
const maxMetadata = 2 << 10

// extensions are what keys end with by default.
var extensions = map[Compression]string{Gzip: ".gz", Zstd: ".zst"}

// defaultKey returns the key's template where the file has none.
func (c *Config) defaultKey() string {
	const folder = `{{ .` + AttributeTrigger + ` }}/{{ .time[:10] // "undated" }}/`
	if c.Format == Raw {
		return folder + "{{ ." + sinks.AttributeDelivery + " }}" + extensions[c.Compression]
	}
	return folder + "{{ ." + AttributeBatch + " }}.jsonl" + extensions[c.Compression]
}

// A naming makes the keys of objects and their metadata.
type naming struct {
	key      *transform.Template
	metadata []metadata
}

// A metadata is one entry of an object's.
type metadata struct {
	name  string
	value *transform.Template
}

// templates parses what the section has of them.
func (c *Config) templates() (*naming, error) {
	text := c.Key
	if text == "" {
		text = c.defaultKey()
	}
	key, err := transform.ParseTemplate(text)
	problems := []error{c.validateKey(text)}
	if err != nil {
		problems = []error{config.Invalid("key", "%v", err)}
	}
	n := &naming{key: key}
	for _, name := range slices.Sorted(maps.Keys(c.Metadata)) {
		value, err := parseMetadata(name, c.Metadata[name])
		problems = append(problems, err)
		n.metadata = append(n.metadata, metadata{name: name, value: value})
	}
	return n, errors.Join(problems...)
}

// validateKey refuses keys by which the objects of one batch would overwrite
// those of another.
func (c *Config) validateKey(text string) error {
	if c.Format == Raw && transform.IsTemplate(text) || strings.Contains(text, AttributeBatch) || strings.Contains(text, sinks.AttributeDelivery) {
		return nil
	}
	if c.Format == Raw {
		return config.Invalid("key", "found no {{ in %q, so that each object would overwrite the one before: write what tells them apart, such as {{ .id }}", text)
	}
	return config.Invalid("key", "found neither .%s nor .%s in %q, so that objects would overwrite each other: write {{ .%s }} into the name", AttributeBatch, sinks.AttributeDelivery, text, AttributeBatch)
}

func parseMetadata(name, text string) (*transform.Template, error) {
	key := "metadata." + name
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return nil, config.Invalid(key, "%q cannot be a part of a header's name", name)
	case strings.HasPrefix(strings.ToLower(name), "sluice-"):
		return nil, config.Invalid(key, "names that begin with sluice- are those of sluice: take another one")
	}
	value, err := transform.ParseTemplate(text)
	if err != nil {
		return nil, config.Invalid(key, "%v", err)
	}
	return value, nil
}

// A name is what one object is called.
type name struct {
	key      string
	metadata map[string]string
}

// group fills the key for one delivery, as it would be if the name of the batch
// were empty: what is to be in one object has the same one.
func (s *sink) group(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) (key string, err error) {
	err = sinks.Fill(ctx, s.turns, seen(a, d, ""), func(ctx context.Context, in *transform.Input) (err error) {
		key, err = s.naming.key.Text(ctx, in, nil)
		return keyed("key", err)
	})
	return key, err
}

// name makes the name of the object of some deliveries, by the first of them.
func (s *sink) name(ctx context.Context, a *sinks.Attempt, deliveries []*sinks.Delivery) (n name, err error) {
	n.metadata = make(map[string]string, len(s.naming.metadata)+3)
	err = sinks.Fill(ctx, s.turns, seen(a, deliveries[0], batchName(deliveries)), func(ctx context.Context, in *transform.Input) (err error) {
		if n.key, err = s.naming.key.Text(ctx, in, nil); err == nil {
			err = checkKey(n.key)
		}
		if err != nil {
			return keyed("key", err)
		}
		for _, m := range s.naming.metadata {
			value, err := m.value.Text(ctx, in, nil)
			if err == nil {
				n.metadata[m.name], err = headerValue(value)
			}
			if err != nil {
				return keyed("metadata."+m.name, err)
			}
		}
		return nil
	})
	return n, err
}

func keyed(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", key, err)
}

// seen returns the event of a delivery as templates see it.
func seen(a *sinks.Attempt, d *sinks.Delivery, batch string) *event.Event {
	e := *d.Event
	e.Extensions = make(map[string]any, len(d.Event.Extensions)+3)
	maps.Copy(e.Extensions, d.Event.Extensions)
	e.Extensions[sinks.AttributeDelivery], e.Extensions[AttributeTrigger], e.Extensions[AttributeBatch] = d.ID, a.Trigger, batch
	return &e
}

// batchName is the same for the same deliveries: 32 hexadecimal digits.
func batchName(deliveries []*sinks.Delivery) string {
	hash := sha256.New()
	for _, d := range deliveries {
		hash.Write([]byte(d.ID + "\n"))
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// checkKey refuses what servers refuse, and keys that mean something else than
// they say.
func checkKey(key string) error {
	switch {
	case len(key) > s3bucket.MaxKey:
		return fmt.Errorf("it makes a key of %d bytes, at most %d", len(key), s3bucket.MaxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("it makes %q, which is not UTF-8", key)
	case strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("it makes %q, which has a control character", key)
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch segment {
		case "":
			return fmt.Errorf(`it makes %q, which has nothing before, between or after slashes; write what stands there then, as in .subject // "none"`, key)
		case ".", "..":
			return fmt.Errorf("it makes %q, which has the segment %q", key, segment)
		}
	}
	return nil
}

// headerValue returns a text as the value of a header: what is not ASCII is
// encoded as S3 itself shows it (RFC 2047).
func headerValue(text string) (string, error) {
	if len(text) > maxMetadata {
		return "", fmt.Errorf("it yields %d bytes, at most %d", len(text), maxMetadata)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("it yields %q, which has a control character", text)
	}
	return mime.QEncoding.Encode("utf-8", text), nil
}
