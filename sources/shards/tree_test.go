package shards

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/event"
)

// A history is a stream whose shards split, merge and are trimmed.
type history struct {
	shards []Shard
	made   int
}

func (h *history) grow(t *rapid.T) {
	open := h.open()
	switch {
	case len(open) == 0 || rapid.Bool().Draw(t, "new"):
		h.add()
	case len(open) > 1 && rapid.Bool().Draw(t, "merge"):
		a, b := open[0], open[rapid.IntRange(1, len(open)-1).Draw(t, "other")]
		h.shards[a].Closed, h.shards[b].Closed = true, true
		h.add(h.shards[a].ID, h.shards[b].ID)
	default:
		parent := open[rapid.IntRange(0, len(open)-1).Draw(t, "parent")]
		h.shards[parent].Closed = true
		h.add(h.shards[parent].ID)
		h.add(h.shards[parent].ID)
	}
}

func (h *history) add(parents ...string) {
	h.shards = append(h.shards, Shard{ID: fmt.Sprintf("shardId-%012d", h.made), Parents: parents})
	h.made++
}

func (h *history) open() []int {
	var open []int
	for i := range h.shards {
		if !h.shards[i].Closed {
			open = append(open, i)
		}
	}
	return open
}

// TestOrderOfShards follows random histories: each shard is read once, none
// before its parents, in as few slots as shards are known at once.
func TestOrderOfShards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{}
		h.add()
		describe := func() Description { return Description{ID: "s", Shards: slices.Clone(h.shards)} }
		r := begin(describe(), Horizon, time.Unix(0, 0), 0)
		read, done := map[string]bool{}, map[string]bool{}
		most := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				h.grow(t)
			case 1:
				r = follow(t, r, describe(), read, done)
			case 2: // what is closed and read is trimmed
				h.shards = slices.DeleteFunc(h.shards, func(s Shard) bool { return s.Closed && read[s.ID] && rapid.Bool().Draw(t, "trim") })
			}
			unread := 0
			for _, k := range r.Shards {
				if !k.Done {
					unread++
					most = max(most, int(k.Slot)+1)
				}
			}
			if most > 2*h.made || unread > len(r.Shards) {
				t.Fatalf("%d slots", most)
			}
		}
		for i := range h.shards {
			h.shards[i].Closed = true
		}
		for range h.made + 1 {
			r = follow(t, r, describe(), read, done)
		}
		if len(read) != h.made {
			t.Fatalf("%d of %d shards were read", len(read), h.made)
		}
	})
}

// follow reads the closed shards that are ready to their end.
func follow(t *rapid.T, r root, d Description, read, done map[string]bool) root {
	next, _ := r.update(d, done)
	clear(done)
	slots := map[uint32]bool{}
	for _, k := range next.Shards {
		if !k.Done && slots[k.Slot] {
			t.Fatalf("two shards have slot %d", k.Slot)
		}
		slots[k.Slot] = slots[k.Slot] || !k.Done
	}
	for _, k := range next.ready(d, done) {
		at := slices.IndexFunc(d.Shards, func(s Shard) bool { return s.ID == k.ID })
		for _, parent := range d.Shards[at].Parents {
			if !read[parent] {
				t.Fatalf("%s is read before %s", k.ID, parent)
			}
		}
		if read[k.ID] {
			t.Fatalf("%s is read twice", k.ID)
		}
		if d.Shards[at].Closed {
			read[k.ID], done[k.ID] = true, true
		}
	}
	return next
}

// TestGoneUnread keeps a shard that is gone and was not read, so that somebody is
// told.
func TestGoneUnread(t *testing.T) {
	r := begin(Description{ID: "s", Shards: []Shard{{ID: "a"}, {ID: "b"}}}, Horizon, time.Now(), 0)
	next, changed := r.update(Description{ID: "s", Shards: []Shard{{ID: "b", Closed: true}, {ID: "c", Parents: []string{"a"}}}}, map[string]bool{"b": true})
	if !changed || len(next.Shards) != 3 || !next.Shards[1].Done {
		t.Fatalf("the root is %+v", next)
	}
	ready := next.ready(Description{Shards: []Shard{{ID: "c", Parents: []string{"a"}}}}, nil)
	if len(ready) != 1 || ready[0].ID != "a" {
		t.Errorf("ready are %+v: c has to wait until it is settled what becomes of a", ready)
	}
}

// TestLatestLeavesClosedShardsOut begins with the newest: what is closed has
// nothing new.
func TestLatestLeavesClosedShardsOut(t *testing.T) {
	d := Description{ID: "s", Shards: []Shard{{ID: "a", Closed: true}, {ID: "b", Parents: []string{"a"}}}}
	latest := begin(d, Latest, time.Now(), 0)
	if ready := latest.ready(d, nil); len(ready) != 1 || ready[0].ID != "b" || ready[0].Start != Latest {
		t.Errorf("with latest, %+v", ready)
	}
	horizon := begin(d, Horizon, time.Now(), 0)
	if ready := horizon.ready(d, nil); len(ready) != 1 || ready[0].ID != "a" {
		t.Errorf("with trim_horizon, %+v", ready)
	}
	if next, _ := latest.update(Description{ID: "s", Shards: append(d.Shards, Shard{ID: "c", Parents: []string{"b"}})}, nil); next.Shards[2].Start != Horizon {
		t.Errorf("a child begins at %v", next.Shards[2].Start)
	}
}

// TestBatches divides random records, and goes on after each batch as a restart
// would: every event comes once, in its order.
func TestBatches(t *testing.T) {
	large := make([]byte, maxBytes+1)
	rapid.Check(t, func(t *rapid.T) {
		var records []Record
		var want []string
		for i := range rapid.IntRange(0, 12).Draw(t, "records") {
			r := Record{Sequence: strconv.Itoa(i + 1)}
			data := large[:rapid.SampledFrom([]int{0, 100, maxBytes / 2, maxBytes + 1}).Draw(t, "size")]
			many := 3
			if len(data) <= 100 {
				many = 1500
			}
			for j := range rapid.SampledFrom([]int{0, 1, 1, 1, many}).Draw(t, "events") {
				id := fmt.Sprintf("%d:%d", i, j)
				want = append(want, id)
				r.Events = append(r.Events, event.Event{ID: id, Data: data})
			}
			records = append(records, r)
		}
		var got []string
		at := cursor{}
		for len(records) > 0 {
			all := batches(records, &at)
			if len(all) == 0 {
				break
			}
			b := all[0]
			if len(b.events) > 1 && rapid.Bool().Draw(t, "halve") {
				b = b.halves()[0]
			}
			for i := range b.events {
				got = append(got, b.events[i].ID)
			}
			at.Sequence, at.Skip = b.end.sequence, b.end.skip
			records = behind(records, &at)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %d events, want %d", len(got), len(want))
		}
	})
}

// behind returns what a service gives for the cursor's position.
func behind(records []Record, at *cursor) []Record {
	position := at.position(Horizon, time.Time{})
	i := slices.IndexFunc(records, func(r Record) bool { return r.Sequence == at.Sequence })
	if position.From == After {
		i++
	}
	return records[i:]
}

func TestDecodeRefusesWhatIsNewer(t *testing.T) {
	data, err := encode(&cursor{Shard: "a", Sequence: "1"})
	if err != nil {
		t.Fatal(err)
	}
	var c cursor
	if err := decode(data, &c); err != nil || c.Sequence != "1" {
		t.Fatalf("%+v, %v", c, err)
	}
	data[0]++
	if err := decode(data, &c); err == nil {
		t.Error("a newer format was read")
	}
	if err := decode(nil, &c); err == nil {
		t.Error("nothing was read as a cursor")
	}
}

// TestRootFits stores the largest root that is allowed.
func TestRootFits(t *testing.T) {
	r := root{Stream: "arn:aws:dynamodb:eu-central-1:123456789012:table/" + string(make([]byte, 255))}
	for i := range MaxShards {
		r.Shards = append(r.Shards, known{ID: fmt.Sprintf("2026-01-31T12:00:00.000/shardId-%020d-%08x", i, i), Slot: uint32(i)})
	}
	data, err := encode(&r)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > maxStored {
		t.Errorf("%d bytes", len(data))
	}
	r.Shards = append(r.Shards, known{})
	if r.check() == nil {
		t.Error("more shards than allowed")
	}
}

func FuzzDecode(f *testing.F) {
	for _, value := range []any{&cursor{Shard: "a", Sequence: "1", Skip: 2}, &root{Stream: "s", Shards: []known{{ID: "a"}}}} {
		data, err := encode(value)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		_ = decode(data, &cursor{})
		_ = decode(data, &root{})
	})
}

func TestKey(t *testing.T) {
	for key, want := range map[string]string{"a b": "a b", "ü": "ü", "a\x01": "a%01", "\xff": "%FF"} {
		if got := Key(key); got != want {
			t.Errorf("%q became %q, want %q", key, got, want)
		}
	}
}
