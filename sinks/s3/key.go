package s3

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"sluice/config"
	"sluice/connect/s3conn"
	"sluice/event/transform"
	"sluice/sinks"
	"sluice/sinks/naming"
)

// maxMetadata is how long one value may be: servers take 2 KiB in all.
const maxMetadata = 2 << 10

// extensions are what keys end with by default.
var extensions = map[Compression]string{Gzip: ".gz", Zstd: ".zst"}

// defaultKey returns the key's template where the file has none.
func (c *Config) defaultKey() string {
	if c.Format == Raw {
		return naming.Folder + "{{ ." + sinks.AttributeDelivery + " }}" + extensions[c.Compression]
	}
	return naming.Folder + "{{ ." + naming.AttributeBatch + " }}.jsonl" + extensions[c.Compression]
}

// A templates makes the keys of objects and their metadata.
type templates struct {
	key      *transform.Template
	metadata []metadata
}

// A metadata is one entry of an object's.
type metadata struct {
	name  string
	value *transform.Template
}

// templates parses what the section has of them.
func (c *Config) templates() (*templates, error) {
	text := c.Key
	if text == "" {
		text = c.defaultKey()
	}
	key, err := transform.ParseTemplate(text)
	problems := []error{c.validateKey(text)}
	if err != nil {
		problems = []error{config.Invalid("key", "%v", err)}
	}
	n := &templates{key: key}
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
	if c.Format == Raw && transform.IsTemplate(text) || naming.Unique(text) {
		return nil
	}
	if c.Format == Raw {
		return config.Invalid("key", "found no {{ in %q, so that each object would overwrite the one before: write what tells them apart, such as {{ .id }}", text)
	}
	return config.Invalid("key", "found neither .%s nor .%s in %q, so that objects would overwrite each other: write {{ .%s }} into the name", naming.AttributeBatch, sinks.AttributeDelivery, text, naming.AttributeBatch)
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

// name makes the name of the object of some deliveries, by the first of them.
func (s *sink) name(ctx context.Context, a *sinks.Attempt, deliveries []*sinks.Delivery) (n name, err error) {
	n.metadata = make(map[string]string, len(s.templates.metadata)+3)
	err = sinks.Fill(ctx, s.turns, naming.Event(a, deliveries[0], naming.Batch(deliveries)), func(ctx context.Context, in *transform.Input) (err error) {
		if n.key, err = s.templates.key.Text(ctx, in, nil); err == nil {
			err = naming.Check(n.key, s3conn.MaxKey)
		}
		if err != nil {
			return naming.Keyed("key", err)
		}
		for _, m := range s.templates.metadata {
			value, err := m.value.Text(ctx, in, nil)
			if err == nil {
				n.metadata[m.name], err = headerValue(value)
			}
			if err != nil {
				return naming.Keyed("metadata."+m.name, err)
			}
		}
		return nil
	})
	return n, err
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
