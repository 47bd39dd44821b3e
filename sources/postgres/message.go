package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
)

// The messages of pgoutput, protocol version 1 (PostgreSQL documentation, section
// 55.9, logical replication message formats). They are read here rather than by
// pglogrepl, which trusts the lengths in a message and copies each value: these
// decoders check every length and copy nothing, so that a message holds only
// until the next one is received.

// A message is one of *begin, *commit, *relation, *change, *truncate, or nil for
// what says nothing about rows.
type message any

type begin struct {
	final pglogrepl.LSN // where the record of the commit begins
	time  time.Time     // of the commit
	xid   uint32
}

type commit struct {
	end pglogrepl.LSN // behind the record of the commit
}

type relationColumn struct {
	key      bool // of the replica identity
	name     string
	dataType uint32
}

type relation struct {
	id       uint32
	schema   string
	table    string
	identity byte // d, n, f or i, as in pg_class.relreplident
	columns  []relationColumn
}

// The kinds of a change.
const (
	inserted = 'I'
	updated  = 'U'
	deleted  = 'D'
)

type change struct {
	kind     byte
	relation uint32
	old      []field // nil when there are none
	oldIsKey bool    // old has only the columns of the replica identity
	new      []field
}

// The states of a field.
const (
	fieldNull      = 'n'
	fieldUnchanged = 'u'
	fieldText      = 't'
)

type field struct {
	state byte
	text  []byte
}

type truncate struct {
	relations       []uint32
	cascade         bool
	restartIdentity bool
}

var errShort = errors.New("it ends too early")

// decodeMessage reads one message. It never panics, whatever is in it.
func decodeMessage(data []byte) (message, error) {
	if len(data) == 0 {
		return nil, errShort
	}
	in := &input{data: data[1:]}
	m := in.message(data[0])
	if in.err == nil && len(in.data) > 0 {
		in.err = fmt.Errorf("%d bytes too many", len(in.data))
	}
	if in.err != nil {
		return nil, fmt.Errorf("a message of type %q: %w", data[0], in.err)
	}
	return m, nil
}

func (in *input) message(kind byte) message {
	switch kind {
	case 'B':
		return &begin{final: in.lsn(), time: in.time(), xid: in.uint32()}
	case 'C':
		in.byte() // flags, unused
		in.lsn()
		m := &commit{end: in.lsn()}
		in.time()
		return m
	case 'R':
		return in.relation()
	case inserted, updated, deleted:
		return in.change(kind)
	case 'T':
		return in.truncate()
	case 'Y', 'O', 'M': // a type, an origin, a logical message
		in.data = nil
		return nil
	}
	in.fail(errors.New("it is not known"))
	return nil
}

func (in *input) relation() *relation {
	r := &relation{id: in.uint32(), schema: in.string(), table: in.string(), identity: in.byte()}
	for n := in.uint16(); n > 0 && in.err == nil; n-- {
		c := relationColumn{key: in.byte()&1 != 0, name: in.string(), dataType: in.uint32()}
		in.uint32() // the modifier of the type
		r.columns = append(r.columns, c)
	}
	if r.schema == "" { // as the documentation has it, for pg_catalog
		r.schema = "pg_catalog"
	}
	return r
}

func (in *input) change(kind byte) *change {
	c := &change{kind: kind, relation: in.uint32()}
	part := in.byte()
	if kind != inserted && (part == 'K' || part == 'O') {
		c.old, c.oldIsKey = in.tuple(), part == 'K'
		if kind == deleted {
			return c
		}
		part = in.byte()
	}
	if kind == deleted || part != 'N' {
		in.fail(fmt.Errorf("its part %q is not expected", part))
		return c
	}
	c.new = in.tuple()
	return c
}

func (in *input) tuple() []field {
	n := int(in.uint16())
	fields := make([]field, 0, min(n, len(in.data)))
	for ; n > 0 && in.err == nil; n-- {
		f := field{state: in.byte()}
		switch f.state {
		case fieldNull, fieldUnchanged:
		case fieldText:
			f.text = in.bytes(int64(in.uint32()))
		default:
			in.fail(fmt.Errorf("a value of kind %q is not expected", f.state))
		}
		fields = append(fields, f)
	}
	return fields
}

func (in *input) truncate() *truncate {
	n := in.uint32()
	options := in.byte()
	t := &truncate{cascade: options&1 != 0, restartIdentity: options&2 != 0}
	for ; n > 0 && in.err == nil; n-- {
		t.relations = append(t.relations, in.uint32())
	}
	return t
}

// An input is what is left of a message. After an error it gives zero values.
type input struct {
	data []byte
	err  error
}

func (in *input) fail(err error) {
	if in.err == nil {
		in.err = err
	}
	in.data = nil
}

// bytes takes the next n bytes.
func (in *input) bytes(n int64) []byte {
	if n > int64(len(in.data)) {
		in.fail(errShort)
		return nil
	}
	taken := in.data[:n:n]
	in.data = in.data[n:]
	return taken
}

func (in *input) byte() byte {
	if b := in.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (in *input) uint16() uint16 {
	if b := in.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (in *input) uint32() uint32 {
	if b := in.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (in *input) lsn() pglogrepl.LSN {
	if b := in.bytes(8); b != nil {
		return pglogrepl.LSN(binary.BigEndian.Uint64(b))
	}
	return 0
}

// time is in microseconds since 2000-01-01.
func (in *input) time() time.Time {
	const epoch = 946684800 * 1_000_000
	return time.UnixMicro(int64(in.lsn()) + epoch).UTC()
}

func (in *input) string() string {
	for i, c := range in.data {
		if c == 0 {
			text := string(in.data[:i])
			in.data = in.data[i+1:]
			return text
		}
	}
	in.fail(errShort)
	return ""
}
