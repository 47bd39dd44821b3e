package event

import (
	"hash/fnv"
	"testing"

	"pgregory.net/rapid"
)

// These are part of what is stored: they never change.
func TestIDsAreFixedForEver(t *testing.T) {
	if got := DedupID("uploads", "s3://photos", "1"); got != "wRLK24gX-mtFVZMVC8hUwg" {
		t.Errorf("message id %s", got)
	}
	if got := Part(&Event{ID: "1"}); got != 28 {
		t.Errorf("part %d", got)
	}
	if got := (DeliveryID{Incarnation: "kX3vT9", Sequence: 42, Trigger: "resize"}).String(); got != "kX3vT9.42.resize" {
		t.Errorf("delivery id %s", got)
	}
}

func TestDedupIDTellsPartsApart(t *testing.T) {
	seen := map[string][3]string{}
	for _, parts := range [][3]string{{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "ab", "c"}, {"a", "b", "d"}, {"\x01a", "b", "c"}} {
		id := DedupID(parts[0], parts[1], parts[2])
		if other, found := seen[id]; found || len(id) != 22 || !isToken(id) {
			t.Errorf("%q: %s; also of %q: %v", parts, id, other, found)
		}
		seen[id] = parts
	}
}

func TestPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := events(anyText).Draw(t, "event")
		key := e.ID
		if e.PartitionKey() != "" {
			key = e.PartitionKey()
		}
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(key))
		if got := Part(&e); got != int(hash.Sum32()%Parts) {
			t.Errorf("part %d of %q", got, key)
		}
	})
}

func TestPartitionKeyDecidesThePart(t *testing.T) {
	e := Event{ID: "1", Extensions: map[string]any{"partitionkey": int32(7)}}
	if e.PartitionKey() != "7" || Part(&e) != Part(&Event{ID: "7"}) {
		t.Errorf("partitionkey %q, part %d", e.PartitionKey(), Part(&e))
	}
}

func TestDeliveryIDRoundTrip(t *testing.T) {
	token := rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`)
	rapid.Check(t, func(t *rapid.T) {
		id := DeliveryID{
			Incarnation: token.Draw(t, "incarnation"),
			Sequence:    rapid.Uint64Min(1).Draw(t, "sequence"),
			Trigger:     token.Draw(t, "trigger"),
		}
		if got, err := ParseDeliveryID(id.String()); err != nil || got != id {
			t.Errorf("%v: %v, %v", id, got, err)
		}
	})
}

func TestParseDeliveryIDRefuses(t *testing.T) {
	for _, text := range []string{
		"", ".", "..", "a.1", "a.1.", ".1.t", "a..t", "a.0.t", "a.01.t", "a.+1.t", "a.-1.t", "a.1.t.u", "a b.1.t", "a.1.t\n", "a.18446744073709551616.t",
	} {
		want := quoted(text) + " is not a delivery id: one is incarnation.sequence.trigger, such as kX3vT9.42.resize"
		if _, err := ParseDeliveryID(text); message(err) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestEntryIDRoundTrip(t *testing.T) {
	token := rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`)
	rapid.Check(t, func(t *rapid.T) {
		id := EntryID{Incarnation: token.Draw(t, "incarnation"), Sequence: rapid.Uint64Min(1).Draw(t, "sequence")}
		if got, err := ParseEntryID(id.String()); err != nil || got != id {
			t.Errorf("%v: %v, %v", id, got, err)
		}
		if _, err := ParseDeliveryID(id.String()); err == nil {
			t.Errorf("%v is the id of a delivery too", id)
		}
	})
}

func TestParseEntryIDRefuses(t *testing.T) {
	for _, text := range []string{"", ".", "a.", ".1", "a.0", "a.01", "a.+1", "a.1.t", "a b.1", "a.1\n"} {
		want := quoted(text) + " is not the id of an entry: one is incarnation.sequence, such as kX3vT9.42"
		if _, err := ParseEntryID(text); message(err) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
