package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"sluice/router/ledger"
)

func codec(tb testing.TB) *ledger.Codec {
	tb.Helper()
	c, err := ledger.NewCodec()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// sample returns a state with something of everything.
func sample(tb testing.TB) *ledger.State {
	tb.Helper()
	s := ledger.NewState("inc")
	s.Claim = 3
	records := []*ledger.Record{
		{Number: 1, Mark: 0, Gates: []ledger.Gate{
			{Trigger: 1, Name: "a", Fingerprint: "f", Start: 1, Since: 1},
			{Trigger: 2, Name: "b", Fingerprint: "g", Start: 1, Since: 1, Behind: true, Cursor: 0, Paused: true},
		}, Pauses: []ledger.Pause{{Trigger: 2, Since: 77, Reason: ledger.PausedGone, Error: "answered 410 Gone"}}},
		{Number: 2, Mark: 4, Waiting: []ledger.Key{{Trigger: 1, Sequence: 2}}, Outcomes: []ledger.Outcome{
			{Key: ledger.Key{Trigger: 1, Sequence: 1}, Kind: ledger.Done, Attempt: 1, Status: 200},
			{Key: ledger.Key{Trigger: 1, Sequence: 9}, Kind: ledger.Done, Attempt: 1},
			{Key: ledger.Key{Trigger: 1, Sequence: 4}, Kind: ledger.Retry, Attempt: 1, Status: 500, Detail: &ledger.Detail{Due: 99, Error: "no"}},
			{Key: ledger.Key{Trigger: 2, Sequence: 3}, Kind: ledger.Dying, Attempt: 2, Detail: &ledger.Detail{Reason: "exhausted"}},
		}, Matched: []ledger.Count{{Trigger: 1, N: 3}}, Started: []ledger.Key{{Trigger: 1, Sequence: 2}}},
	}
	for _, r := range records {
		r.Format, r.Claim = ledger.Format, 3
		if err := s.Apply(r); err != nil {
			tb.Fatal(err)
		}
	}
	s.Gaps = []ledger.Gap{{At: 50, For: 7}, {At: 60, For: 8}}
	return s
}

func TestReading(t *testing.T) {
	s := sample(t)
	settled := map[ledger.Key]bool{
		{Trigger: 1, Sequence: 1}: true,  // below the mark, done
		{Trigger: 1, Sequence: 2}: false, // below the mark, waiting
		{Trigger: 1, Sequence: 3}: true,  // below the mark, never matched
		{Trigger: 1, Sequence: 4}: false, // waits for its retry
		{Trigger: 1, Sequence: 8}: false, // above the mark
		{Trigger: 1, Sequence: 9}: true,  // above the mark, done
		{Trigger: 2, Sequence: 1}: false, // above the cursor of a trigger that is behind
		{Trigger: 2, Sequence: 3}: false, // dying
		{Trigger: 7, Sequence: 1}: true,  // a trigger that is gone
	}
	for key, want := range settled {
		if got := s.Settled(key); got != want {
			t.Errorf("settled %+v: %v, want %v", key, got, want)
		}
	}
	if low := s.Low(); low != 1 {
		t.Errorf("low is %d: trigger b is behind at 0", low)
	}
	for id, off := range s.Unbalanced() {
		if off != 0 {
			t.Errorf("trigger %d is off by %d", id, off)
		}
	}
}

// TestSnapshotKeepsEverything: a fold over a snapshot's chunks gives the state.
func TestSnapshotKeepsEverything(t *testing.T) {
	c, s := codec(t), sample(t)
	for n := range uint64(5000) { // more than one chunk
		if err := s.Apply(&ledger.Record{Claim: 3, Number: s.Number + 1, Mark: s.Mark, Outcomes: []ledger.Outcome{{
			Key: ledger.Key{Trigger: 1, Sequence: 100 + n}, Kind: ledger.Retry, Attempt: 1, Detail: &ledger.Detail{Error: strings.Repeat("x", 100)},
		}}}); err != nil {
			t.Fatal(err)
		}
	}
	s.Recount()
	chunks := s.Chunks(3, s.Number+1, s.Time)
	if len(chunks) < 2 {
		t.Fatalf("%d chunks", len(chunks))
	}
	fold := ledger.NewFold(c)
	for i, r := range chunks {
		if fold.State() != nil {
			t.Fatal("whole before the last chunk")
		}
		data, err := c.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 2*ledger.ChunkSize {
			t.Errorf("chunk %d has %d bytes", i, len(data))
		}
		if err := fold.Add(uint64(50+i), data); err != nil {
			t.Fatal(err)
		}
	}
	s.Number, s.Snapshot = s.Number+1, 50
	if diff := cmp.Diff(s, fold.State(), cmpopts.IgnoreUnexported(ledger.State{}), cmp.AllowUnexported(ledger.Sequences{}),
		cmpopts.IgnoreTypes(struct{}{}), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if s.Low() != fold.State().Low() {
		t.Errorf("low %d, want %d", fold.State().Low(), s.Low())
	}
}

func TestRecordsMustFollow(t *testing.T) {
	tests := map[string]struct {
		record ledger.Record
		want   string
	}{
		"a gap":           {ledger.Record{Claim: 3, Number: 4}, "the record does not follow its predecessor: claim 3 number 4 after claim 3 number 2"},
		"another claim":   {ledger.Record{Claim: 4, Number: 3}, "the record does not follow its predecessor: claim 4 number 3 after claim 3 number 2"},
		"a falling mark":  {ledger.Record{Claim: 3, Number: 3, Mark: 3}, "the mark falls from 4 to 3"},
		"unknown trigger": {ledger.Record{Claim: 3, Number: 3, Mark: 4, Waiting: []ledger.Key{{Trigger: 9, Sequence: 1}}}, "sequence 1 waits for trigger 9, which is not known"},
		"unknown outcome": {ledger.Record{Claim: 3, Number: 3, Mark: 4, Outcomes: []ledger.Outcome{{Key: ledger.Key{Trigger: 9, Sequence: 1}}}}, "outcome of sequence 1 for trigger 9, which is not known"},
		"cursor of who is not behind": {
			ledger.Record{Claim: 3, Number: 3, Mark: 4, Cursors: []ledger.Cursor{{Trigger: 1, Sequence: 8}}}, "cursor 8 of trigger 1, which is not behind it",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := sample(t).Apply(&tt.record)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	sealed := sample(t)
	if err := sealed.Apply(&ledger.Record{Claim: 3, Number: 3, Sealed: true}); err != nil {
		t.Fatal(err)
	}
	if err := sealed.Apply(&ledger.Record{Claim: 3, Number: 4, Mark: 4}); !errors.Is(err, ledger.ErrOrder) {
		t.Errorf("after the seal: %v", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	c := codec(t)
	newer, err := c.Encode(&ledger.Record{Format: ledger.Format + 1})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		data []byte
		want string
	}{
		"nothing":         {nil, "decode ledger record: EOF"},
		"a newer format":  {newer, fmt.Sprintf("the ledger has format %d, and this sluice knows formats up to %d: use the newer sluice that has written it", ledger.Format+1, ledger.Format)},
		"an empty map":    {[]byte{0xa0}, "decode ledger record: format 0 is not known"},
		"something else":  {[]byte(`"x"`), "decode ledger record: "},
		"trailing bytes":  {[]byte{0xa1, 0x01, 0x01, 0x00}, "decode ledger record: "},
		"repeated fields": {[]byte{0xa2, 0x01, 0x01, 0x01, 0x01}, "decode ledger record: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := c.Decode(tt.data)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	c := codec(f)
	for _, r := range sample(f).Chunks(3, 3, 1) {
		data, err := c.Encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := c.Decode(data)
		if err != nil {
			return
		}
		if _, err := c.Encode(r); err != nil {
			t.Errorf("decoded and not encodable: %v", err)
		}
		fold := ledger.NewFold(c)
		if fold.Add(1, data) == nil && fold.State() != nil {
			fold.State().Low()
		}
	})
}

// TestSequences compares the set with a plain map.
func TestSequences(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s ledger.Sequences
		model := map[uint64]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			n := rapid.Uint64Range(1, 40).Draw(t, "n")
			if rapid.Bool().Draw(t, "add") {
				s.Add(n)
				model[n] = true
			} else {
				s.Drop(n)
				for have := range model {
					if have <= n {
						delete(model, have)
					}
				}
			}
		}
		if s.Len() != len(model) || !slices.IsSorted(s.All()) {
			t.Fatalf("%v, want %v", s.All(), model)
		}
		for n := range uint64(42) {
			if s.Has(n) != model[n] {
				t.Fatalf("has %d: %v", n, s.Has(n))
			}
		}
	})
}

// TestPausesOfEarlierVersions: records from before pauses had reasons are read,
// and a gate that is open again forgets them.
func TestPausesOfEarlierVersions(t *testing.T) {
	s := ledger.NewState("inc")
	paused := ledger.Gate{Trigger: 1, Name: "a", Start: 1, Paused: true}
	open := ledger.Gate{Trigger: 1, Name: "a", Start: 1}
	why := ledger.Pause{Trigger: 1, Since: 5, Reason: ledger.PausedByCommand}
	for i, step := range []struct {
		record ledger.Record
		want   ledger.Pause
	}{
		{ledger.Record{Gates: []ledger.Gate{paused}}, ledger.Pause{}},
		{ledger.Record{Gates: []ledger.Gate{paused}, Pauses: []ledger.Pause{why}}, why},
		{ledger.Record{Gates: []ledger.Gate{paused}}, why},
		{ledger.Record{Gates: []ledger.Gate{open}}, ledger.Pause{}},
	} {
		step.record.Format, step.record.Number = ledger.Format, uint64(i+1)
		data, err := codec(t).Encode(&step.record)
		if err != nil {
			t.Fatal(err)
		}
		read, err := codec(t).Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(read); err != nil || s.Triggers[1].Pause != step.want {
			t.Errorf("after record %d: %+v, %v", i+1, s.Triggers[1].Pause, err)
		}
	}
	if err := s.Apply(&ledger.Record{Number: 5, Pauses: []ledger.Pause{why}}); err == nil {
		t.Error("a pause of a trigger that is not paused was taken")
	}
}
