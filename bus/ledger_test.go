package bus

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"sluice/event"
)

// records reads a claim.
func records(t *testing.T, b *Bus, claim string, from uint64) string {
	t.Helper()
	var got []string
	check(t, b.ReadRecords(limited(t), claim, from, func(sequence uint64, at time.Time, data []byte) error {
		if time.Since(at) > time.Minute {
			t.Errorf("record %d is from %v", sequence, at)
		}
		got = append(got, fmt.Sprintf("%d=%s", sequence, data))
		return nil
	}))
	return fmt.Sprint(got)
}

func TestLedgerIsAFencedChain(t *testing.T) {
	b := open(t, small(t))
	sequence, data, err := b.LastRecord(limited(t), "")
	check(t, err)
	equal(t, "none", fmt.Sprint(sequence, len(data)), "0 0")
	equal(t, "no records", records(t, b, "", 1), "[]")

	one := must(b.AppendRecord(limited(t), "c1", 0, []byte("a")))(t)
	two := must(b.AppendRecord(limited(t), "c2", 0, []byte("b")))(t)
	three := must(b.AppendRecord(limited(t), "c1", one, []byte("c")))(t)
	for claim, expect := range map[string]uint64{"c1": one, "c2": three, "c3": two} {
		if _, err := b.AppendRecord(limited(t), claim, expect, []byte("x")); !errors.Is(err, event.ErrFenced) {
			t.Fatalf("claim %s: got %v", claim, err)
		}
	}
	for claim, want := range map[string]string{"": "3 c", "c1": "3 c", "c2": "2 b", "c3": "0 "} {
		sequence, data, err := b.LastRecord(limited(t), claim)
		check(t, err)
		equal(t, "last of "+claim, fmt.Sprintf("%d %s", sequence, data), want)
	}
	equal(t, "all", records(t, b, "", 1), "[1=a 2=b 3=c]")
	equal(t, "claim", records(t, b, "c1", 1), "[1=a 3=c]")
	equal(t, "from", records(t, b, "c1", 2), "[3=c]")
	equal(t, "beyond", records(t, b, "c1", 4), "[]")
}

func TestSnapshotIsAllOrNothing(t *testing.T) {
	b := open(t, small(t))
	chunks := [][]byte{[]byte("1"), []byte("2"), bytes.Repeat([]byte("3"), MaxRecord)}
	first, last, err := b.AppendSnapshot(limited(t), "c", 0, chunks)
	check(t, err)
	equal(t, "bounds", fmt.Sprint(first, last), "1 3")
	if _, _, err = b.AppendSnapshot(limited(t), "c", 2, chunks); !errors.Is(err, event.ErrFenced) {
		t.Fatalf("got %v", err)
	}
	sequence, _, err := b.LastRecord(limited(t), "c")
	check(t, err)
	equal(t, "nothing stored", sequence, 3)
	first, last, err = b.AppendSnapshot(limited(t), "c", 3, chunks[:1])
	check(t, err)
	equal(t, "one chunk", fmt.Sprint(first, last), "4 4")
}

// A snapshot that is larger than what may be under way at once is sent in
// steps.
func TestSnapshotOfManyChunks(t *testing.T) {
	b := open(t, small(t))
	chunk := make([]byte, MaxRecord)
	chunks := make([][]byte, 20)
	for i := range chunks {
		chunks[i] = chunk
	}
	first, last, err := b.AppendSnapshot(limited(t), "c", 0, chunks)
	check(t, err)
	equal(t, "bounds", fmt.Sprint(first, last), "1 20")
	seen := 0
	check(t, b.ReadRecords(limited(t), "c", 1, func(_ uint64, _ time.Time, data []byte) error {
		seen += len(data)
		return nil
	}))
	equal(t, "bytes", seen, 20*MaxRecord)
}

func TestLedgerRefuses(t *testing.T) {
	b := open(t, small(t))
	_, err := b.AppendRecord(limited(t), "a.b", 0, nil)
	equal(t, "claim", fmt.Sprint(err), `claim "a.b": write 1 to 128 letters, digits, - or _`)
	_, err = b.AppendRecord(limited(t), "c", 0, make([]byte, MaxRecord+1))
	equal(t, "record", fmt.Sprint(err), "the event is too large: a record of 1044481 bytes, at most 1044480")
	_, _, err = b.AppendSnapshot(limited(t), "c", 0, nil)
	equal(t, "snapshot", fmt.Sprint(err), "a snapshot of 0 chunks: 1 to 1000 are possible")
	_, _, err = b.LastRecord(limited(t), "*")
	equal(t, "wildcard", fmt.Sprint(err), `claim "*": write 1 to 128 letters, digits, - or _`)
	stop := errors.New("stop")
	must(b.AppendRecord(limited(t), "c", 0, []byte("a")))(t)
	err = b.ReadRecords(limited(t), "", 0, func(uint64, time.Time, []byte) error { return stop })
	if !errors.Is(err, stop) {
		t.Fatalf("got %v", err)
	}
}

func TestRecordSince(t *testing.T) {
	b := open(t, small(t))
	for n := range uint64(3) {
		_, err := b.AppendRecord(limited(t), "c", n, []byte("r"))
		check(t, err)
	}
	times := map[uint64]time.Time{}
	check(t, b.ReadRecords(limited(t), "", 1, func(sequence uint64, at time.Time, _ []byte) error {
		times[sequence] = at
		return nil
	}))
	for at, want := range map[time.Time]uint64{times[1].Add(-time.Hour): 1, times[2]: 2, times[3].Add(time.Hour): math.MaxUint64} {
		sequence, err := b.RecordSince(limited(t), at)
		check(t, err)
		equal(t, "since "+at.String(), sequence, want)
	}
	check(t, b.ReadRecords(limited(t), "", math.MaxUint64, func(uint64, time.Time, []byte) error {
		t.Error("a record beyond all")
		return nil
	}))
}
