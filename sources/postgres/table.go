package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pglogrepl"

	"sluice/event"
)

// The types of the events.
const (
	TypeInserted  = "postgres.row.inserted"
	TypeUpdated   = "postgres.row.updated"
	TypeDeleted   = "postgres.row.deleted"
	TypeRead      = "postgres.row.read" // a row that a snapshot has found
	TypeTruncated = "postgres.table.truncated"
)

// maxKey is the most bytes of a key in an attribute; a longer one is hashed.
const maxKey = 512

// A table makes events of what a table's rows are and were.
type table struct {
	source    string // the attribute source of the events
	subject   string
	bigAsText bool
	prefix    []byte // the first members of the data
	columns   []tableColumn
	wanted    bool
}

type tableColumn struct {
	column
	name string
	key  bool
}

func newTable(source, schema, name string, columns []tableColumn) *table {
	t := &table{source: source, subject: attribute(schema + "." + name), columns: columns}
	t.prefix = event.AppendQuoted([]byte(`{"schema":`), schema)
	t.prefix = event.AppendQuoted(append(t.prefix, `,"table":`...), name)
	return t
}

// attribute returns a name as attributes may have it (CloudEvents 1.0.2, section
// 3.1.1).
func attribute(name string) string {
	forbidden := func(r rune) bool {
		return unicode.IsControl(r) || r == utf8.RuneError || r&0xFFFE == 0xFFFE || r >= 0xFDD0 && r <= 0xFDEF
	}
	if strings.ContainsFunc(name, forbidden) {
		return url.PathEscape(name)
	}
	return name
}

// A place is where a change stands in the log of the server.
type place struct {
	system string
	lsn    pglogrepl.LSN
	index  int
	tx     *begin
}

// event makes the event of a change.
func (t *table) event(p place, c *change) event.Event {
	kind := TypeInserted
	switch c.kind {
	case updated:
		kind = TypeUpdated
	case deleted:
		kind = TypeDeleted
	}
	now := t.complete(c)
	key := now
	if key == nil {
		key = c.old
	}
	data := t.appendKey(make([]byte, 0, 256+2*size(now)+2*size(c.old)), key)
	if c.old != nil {
		data = t.appendRow(append(data, `,"old":`...), c.old, c.oldIsKey)
	}
	if now != nil {
		data = t.appendRow(append(data, `,"new":`...), now, false)
		data = t.appendUnchanged(data, now)
	}
	return t.build(p, kind, t.partitionKey(key), p.appendTo(data))
}

// truncated makes the event of a table that was emptied.
func (t *table) truncated(p place, m *truncate) event.Event {
	data := fmt.Appendf(append([]byte(nil), t.prefix...), `,"cascade":%t,"restart_identity":%t`, m.cascade, m.restartIdentity)
	return t.build(p, TypeTruncated, t.subject, p.appendTo(data))
}

func (t *table) build(p place, kind, partition string, data []byte) event.Event {
	return event.Event{
		ID:              fmt.Sprintf("%s/%s/%d", p.system, p.lsn, p.index),
		Source:          t.source,
		Type:            kind,
		Subject:         t.subject,
		Time:            p.tx.time,
		DataContentType: "application/json",
		Extensions:      map[string]any{"partitionkey": partition},
		Data:            data,
	}
}

// read makes the event of a row that a snapshot has found; row names it.
func (t *table) read(system string, point pglogrepl.LSN, at time.Time, row string, fields []field) event.Event {
	data := t.appendKey(make([]byte, 0, 256+2*size(fields)), fields)
	data = t.appendRow(append(data, `,"new":`...), fields, false)
	data = fmt.Appendf(data, `,"lsn":"%s"}`, point)
	return event.Event{
		ID:              system + "/" + point.String() + "/" + row,
		Source:          t.source,
		Type:            TypeRead,
		Subject:         t.subject,
		Time:            at,
		DataContentType: "application/json",
		Extensions:      map[string]any{"partitionkey": t.partitionKey(fields)},
		Data:            data,
	}
}

// complete returns the new row with what has not changed, where the old one has it.
func (t *table) complete(c *change) []field {
	if c.new == nil || c.old == nil {
		return c.new
	}
	for i := range c.new {
		if c.new[i].state == fieldUnchanged && i < len(c.old) && c.old[i].state == fieldText && (!c.oldIsKey || t.isKey(i)) {
			c.new[i] = c.old[i]
		}
	}
	return c.new
}

func (t *table) isKey(i int) bool { return i < len(t.columns) && t.columns[i].key }

func size(fields []field) (n int) {
	for i := range fields {
		n += len(fields[i].text) + 24
	}
	return n
}

// appendKey begins the data, up to the values of the key.
func (t *table) appendKey(dst []byte, fields []field) []byte {
	return t.appendRow(append(append(dst, t.prefix...), `,"key":`...), fields, true)
}

// appendRow appends the values that are known as an object, or those of the key.
func (t *table) appendRow(dst []byte, fields []field, onlyKey bool) []byte {
	dst = append(dst, '{')
	first := true
	for i := range fields[:min(len(fields), len(t.columns))] {
		c := &t.columns[i]
		if onlyKey && !c.key || fields[i].state == fieldUnchanged {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(event.AppendQuoted(dst, c.name), ':')
		if fields[i].state == fieldNull {
			dst = append(dst, "null"...)
			continue
		}
		dst = c.appendValue(dst, fields[i].text, t.bigAsText)
	}
	return append(dst, '}')
}

func (t *table) appendUnchanged(dst []byte, fields []field) []byte {
	first := true
	for i := range fields[:min(len(fields), len(t.columns))] {
		if fields[i].state != fieldUnchanged {
			continue
		}
		if first {
			dst = append(dst, `,"unchanged":[`...)
		} else {
			dst = append(dst, ',')
		}
		first = false
		dst = event.AppendQuoted(dst, t.columns[i].name)
	}
	if !first {
		dst = append(dst, ']')
	}
	return dst
}

// appendTo ends the data with where the change stands.
func (p place) appendTo(dst []byte) []byte {
	dst = fmt.Appendf(dst, `,"lsn":"%s","transaction":{"id":%d,"lsn":"%s","time":"`, p.lsn, p.tx.xid, p.tx.final)
	dst = p.tx.time.AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	return append(dst, `"}}`...)
}

// partitionKey returns the table and the values of the row's key.
func (t *table) partitionKey(fields []field) string {
	var b strings.Builder
	for i := range fields[:min(len(fields), len(t.columns))] {
		if t.columns[i].key {
			b.WriteByte('/')
			b.WriteString(url.PathEscape(string(fields[i].text)))
		}
	}
	if b.Len() <= maxKey {
		return t.subject + b.String()
	}
	sum := sha256.Sum256([]byte(b.String()))
	return t.subject + "/sha256:" + hex.EncodeToString(sum[:])
}
