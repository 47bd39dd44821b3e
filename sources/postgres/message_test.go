package postgres

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
)

// A wire writes messages as the server does.
type wire []byte

func (w wire) u8(v byte) wire    { return append(w, v) }
func (w wire) u16(v int) wire    { return binary.BigEndian.AppendUint16(w, uint16(v)) }
func (w wire) u32(v uint32) wire { return binary.BigEndian.AppendUint32(w, v) }
func (w wire) u64(v uint64) wire { return binary.BigEndian.AppendUint64(w, v) }
func (w wire) str(v string) wire { return append(append(w, v...), 0) }
func (w wire) text(v string) wire {
	return append(w.u8('t').u32(uint32(len(v))), v...)
}

var (
	rawBegin    = wire("B").u64(0x100).u64(845000000000000).u32(7)
	rawCommit   = wire("C").u8(0).u64(0x100).u64(0x130).u64(845000000000000)
	rawRelation = wire("R").u32(16384).str("public").str("orders").u8('d').u16(2).u8(1).str("id").u32(23).u32(0xffffffff).u8(0).str("body").u32(25).u32(0xffffffff)
	rawInsert   = wire("I").u32(16384).u8('N').u16(2).text("1").u8('n')
	rawUpdate   = wire("U").u32(16384).u8('K').u16(2).text("1").u8('n').u8('N').u16(2).text("2").u8('u')
	rawFull     = wire("U").u32(16384).u8('O').u16(2).text("1").text("a").u8('N').u16(2).text("1").text("b")
	rawDelete   = wire("D").u32(16384).u8('K').u16(2).text("1").u8('n')
	rawTruncate = wire("T").u32(2).u8(3).u32(16384).u32(16385)
)

func TestDecodeMessage(t *testing.T) {
	value := func(text string) field { return field{state: fieldText, text: []byte(text)} }
	null, unchanged := field{state: fieldNull}, field{state: fieldUnchanged}
	at := time.Date(2026, 10, 11, 2, 13, 20, 0, time.UTC)
	for _, test := range []struct {
		raw  wire
		want message
	}{
		{rawBegin, &begin{final: 0x100, time: at, xid: 7}},
		{rawCommit, &commit{end: 0x130}},
		{rawRelation, &relation{id: 16384, schema: "public", table: "orders", identity: 'd', columns: []relationColumn{{true, "id", 23}, {false, "body", 25}}}},
		{rawInsert, &change{kind: inserted, relation: 16384, new: []field{value("1"), null}}},
		{rawUpdate, &change{kind: updated, relation: 16384, old: []field{value("1"), null}, oldIsKey: true, new: []field{value("2"), unchanged}}},
		{rawFull, &change{kind: updated, relation: 16384, old: []field{value("1"), value("a")}, new: []field{value("1"), value("b")}}},
		{rawDelete, &change{kind: deleted, relation: 16384, old: []field{value("1"), null}, oldIsKey: true}},
		{rawTruncate, &truncate{relations: []uint32{16384, 16385}, cascade: true, restartIdentity: true}},
		{wire("Y").u32(5).str("public").str("mood"), nil},
	} {
		got, err := decodeMessage(test.raw)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: %+v, %v, want %+v", test.raw, got, err, test.want)
		}
	}
}

// FuzzDecodeMessage gives anything: nothing panics, and what is read is what
// pglogrepl reads of it.
func FuzzDecodeMessage(f *testing.F) {
	for _, raw := range []wire{rawBegin, rawCommit, rawRelation, rawInsert, rawUpdate, rawFull, rawDelete, rawTruncate, wire("T").u32(0xffffffff).u8(0), wire("I").u32(1).u8('N').u16(65535)} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decodeMessage(raw)
		if err != nil || m == nil {
			return
		}
		theirs, err := pglogrepl.Parse(raw)
		if err != nil {
			return // it takes no message without columns, or without tables
		}
		switch m := m.(type) {
		case *begin:
			other := theirs.(*pglogrepl.BeginMessage)
			if m.final != other.FinalLSN || m.xid != other.Xid || len(raw) == 21 && !m.time.Equal(other.CommitTime) && m.time.Year() > 1800 && m.time.Year() < 2200 {
				t.Errorf("%+v, and pglogrepl has %+v", m, other)
			}
		case *commit:
			if m.end != theirs.(*pglogrepl.CommitMessage).TransactionEndLSN {
				t.Errorf("%+v, and pglogrepl has %+v", m, theirs)
			}
		case *change:
			compareChange(t, m, theirs)
		case *truncate:
			if !reflect.DeepEqual(append([]uint32{}, m.relations...), theirs.(*pglogrepl.TruncateMessage).RelationIDs) {
				t.Errorf("%+v, and pglogrepl has %+v", m, theirs)
			}
		case *relation:
			compareRelation(t, m, theirs.(*pglogrepl.RelationMessage))
		}
	})
}

func compareChange(t *testing.T, m *change, theirs pglogrepl.Message) {
	t.Helper()
	switch other := theirs.(type) {
	case *pglogrepl.InsertMessage:
		compareTuple(t, m.new, other.Tuple)
	case *pglogrepl.UpdateMessage:
		compareTuple(t, m.old, other.OldTuple)
		compareTuple(t, m.new, other.NewTuple)
	case *pglogrepl.DeleteMessage:
		compareTuple(t, m.old, other.OldTuple)
	default:
		t.Errorf("%+v, and pglogrepl has %+v", m, theirs)
	}
}

func compareTuple(t *testing.T, fields []field, other *pglogrepl.TupleData) {
	t.Helper()
	if (fields == nil) != (other == nil) {
		t.Fatalf("%+v, and pglogrepl has %+v", fields, other)
	}
	for i := range fields {
		if c := other.Columns[i]; c.DataType != fields[i].state || !bytes.Equal(c.Data, fields[i].text) {
			t.Errorf("the field %d is %+v, and pglogrepl has %+v", i, fields[i], c)
		}
	}
}

func compareRelation(t *testing.T, m *relation, other *pglogrepl.RelationMessage) {
	t.Helper()
	if m.id != other.RelationID || m.table != other.RelationName || m.identity != other.ReplicaIdentity || len(m.columns) != len(other.Columns) {
		t.Fatalf("%+v, and pglogrepl has %+v", m, other)
	}
	for i, c := range other.Columns {
		if m.columns[i] != (relationColumn{c.Flags&1 != 0, c.Name, c.DataType}) {
			t.Errorf("the column %d is %+v, and pglogrepl has %+v", i, m.columns[i], c)
		}
	}
}
