package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"sluice/event"
)

var errEnough = errors.New("enough")

// tail reads with Tail until n entries have come.
func tail(t *testing.T, b *Bus, from uint64, n int) []event.Batch {
	t.Helper()
	var batches []event.Batch
	seen := 0
	err := b.Tail(limited(t), from, func(batch event.Batch) error {
		batches = append(batches, batch)
		if seen += len(batch.Entries); seen >= n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("after %d of %d: %v", seen, n, err)
	}
	return batches
}

// checkStretches checks that batches cover the log without gap or repeat.
func checkStretches(t *testing.T, from uint64, batches []event.Batch) {
	t.Helper()
	for _, batch := range batches {
		equal(t, "from", batch.From, from)
		last := from - 1
		for _, entry := range batch.Entries {
			if entry.Sequence <= last || entry.Sequence > batch.To {
				t.Fatalf("sequence %d after %d in %d to %d", entry.Sequence, last, batch.From, batch.To)
			}
			last = entry.Sequence
		}
		from = batch.To + 1
	}
}

func TestTailFollowsTheLog(t *testing.T) {
	b := open(t, small(t))
	out := b.Source("web")
	check(t, out.Publish(limited(t), samples("a", 1500)...))
	check(t, out.PublishAt(limited(t), "0", []byte("cursor"), sample("b")))
	go func() {
		if err := out.Publish(limited(t), samples("c", 500)...); err != nil {
			t.Error(err)
		}
	}()
	batches := tail(t, b, 1, 2001)
	checkStretches(t, 1, batches)
	for _, batch := range batches {
		if len(batch.Entries) > tailBatch {
			t.Fatalf("a batch of %d", len(batch.Entries))
		}
	}
	checkStretches(t, 1400, tail(t, b, 1400, 602))
}

func TestTailEndsWithItsContext(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), sample("1")))
	ctx, cancel := context.WithCancel(limited(t))
	err := b.Tail(ctx, 1, func(event.Batch) error { cancel(); return nil })
	check(t, err)
}

// The consumer is deleted and the connection is cut, again and again, while
// the log is read.
func TestTailSurvivesResetsAndReconnects(t *testing.T) {
	o := small(t)
	o.Listen = "127.0.0.1:0"
	b := open(t, o)
	out := b.Source("web")
	const total = 30_000
	var seen atomic.Int64
	go func() {
		for i := range total / 1000 {
			for out.Publish(limited(t), samples(strconv.Itoa(i), 1000)...) != nil {
				if t.Context().Err() != nil {
					return
				}
			}
			if i%5 == 0 {
				waitFor(t, "progress", func() bool { return seen.Load() >= int64(i-5)*1000 })
				disturb(t, b, i%10 == 0)
			}
		}
	}()
	var batches []event.Batch
	var got []string
	err := b.Tail(limited(t), 1, func(batch event.Batch) error {
		batches = append(batches, batch)
		for _, entry := range batch.Entries {
			got = append(got, entry.Event.ID)
		}
		if seen.Store(int64(len(got))); len(got) >= total {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("after %d: %v", len(got), err)
	}
	checkStretches(t, 1, batches)
	for i, id := range got {
		equal(t, "id", id, fmt.Sprintf("%d-%d", i/1000, i%1000))
	}
}

// disturb deletes all consumers of EVENTS, or cuts the bus's connections.
func disturb(t *testing.T, b *Bus, cut bool) {
	t.Helper()
	if cut {
		disconnect(b)
		return
	}
	names := b.events.ConsumerNames(t.Context())
	for name := range names.Name() {
		_ = b.events.DeleteConsumer(t.Context(), name) // it may just have gone
	}
}

// disconnect has the server cut all connections.
func disconnect(b *Bus) {
	all, err := running(b).Connz(nil)
	if err != nil {
		return
	}
	for _, conn := range all.Conns {
		_ = running(b).DisconnectClientByID(conn.Cid) // it may just have gone
	}
}

// store puts a message into EVENTS as another program would.
func store(t *testing.T, b *Bus, subject string, header nats.Header, data string) {
	t.Helper()
	_, err := b.js.PublishMsg(limited(t), &nats.Msg{Subject: subject, Header: header, Data: []byte(data)})
	check(t, err)
}

func TestReadingStopsBeforeANewerFormat(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), samples("e", 3)...))
	store(t, b, "sluice.ev.0.web", nats.Header{event.HeaderFormat: {"7"}}, "future")
	check(t, b.Source("web").Publish(limited(t), sample("after")))
	seen := 0
	err := b.Tail(limited(t), 1, func(batch event.Batch) error { seen += len(batch.Entries); return nil })
	checkNewer(t, err)
	equal(t, "entries", seen, 3)
	batch, err := b.Range(limited(t), 1, 100, 1<<20)
	checkNewer(t, err)
	equal(t, "entries", len(batch.Entries), 3)
	equal(t, "to", batch.To, 3)
	_, err = b.Range(limited(t), 4, 100, 1<<20)
	checkNewer(t, err)
	_, err = b.Fetch(limited(t), []uint64{1, 4})
	checkNewer(t, err)
	equal(t, "after it", len(must(b.Range(limited(t), 5, 100, 1<<20))(t).Entries), 1)
}

func checkNewer(t *testing.T, err error) {
	t.Helper()
	var newer *event.NewerFormatError
	if !errors.As(err, &newer) || newer.Version != 7 || !strings.HasPrefix(err.Error(), "sequence 4: ") {
		t.Fatalf("got %v", err)
	}
}

func TestReadingKeepsWhatCannotBeDecoded(t *testing.T) {
	b := open(t, small(t))
	store(t, b, "sluice.ev.0.web", nil, "no header")
	store(t, b, "sluice.ev.0.web", nats.Header{event.HeaderFormat: {"1"}, "ce-id": {"1"}}, "no type")
	store(t, b, "sluice.ev.99.web", nats.Header{event.HeaderFormat: {"1"}}, "no such part")
	store(t, b, "sluice.to.x", nats.Header{event.HeaderFormat: {"1"}}, "no name")
	all := entries(t, b)
	equal(t, "entries", len(all), 4)
	for i, want := range []string{"no header", "no type", "no such part", "no name"} {
		if all[i].Err == nil || all[i].Event != nil || string(all[i].Raw) != want {
			t.Errorf("%d: %+v", i, all[i])
		}
	}
	equal(t, "header", fmt.Sprint(all[1].Header["ce-id"]), "[1]")
	equal(t, "error", all[2].Err.Error(), `subject "sluice.ev.99.web" is not one of sluice's: sluice.ev.<part>.<source> is`)
}

func TestRangeGoesInStretches(t *testing.T) {
	b := open(t, small(t))
	batch := must(b.Range(limited(t), 1, 10, 1<<20))(t)
	equal(t, "empty", batch.To, 0)
	out := b.Source("web")
	check(t, out.Publish(limited(t), samples("a", 100)...))
	check(t, out.PublishAt(limited(t), "0", []byte("cursor")))
	batch = must(b.Range(limited(t), 1, 30, 1<<20))(t)
	equal(t, "limit", batch.To, 30)
	batch = must(b.Range(limited(t), 31, 1000, 5000))(t)
	if batch.To < 31 || batch.To > 60 {
		t.Fatalf("bytes: to %d", batch.To)
	}
	batch = must(b.Range(limited(t), 90, 1000, 1<<20))(t)
	equal(t, "end", batch.To, 101)
	equal(t, "entries", len(batch.Entries), 11)
	batch = must(b.Range(limited(t), 102, 1000, 1<<20))(t)
	equal(t, "nothing", batch.To, 101)
	check(t, out.Publish(limited(t), sample("b")))
	batch = must(b.Range(limited(t), 102, 1000, 1<<20))(t)
	equal(t, "more", batch.To, 102)
	batch = must(b.Range(limited(t), 5, 10, 1<<20))(t)
	equal(t, "back", batch.To, 14)
	equal(t, "at least one", must(b.Range(limited(t), 1, 10, 1))(t).To, 1)
	equal(t, "far above", must(b.Range(limited(t), 1000, 10, 1))(t).To, 999)
}

// What is purged while a reader waits for it is passed over.
func TestRangePassesWhatWasTrimmed(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), samples("a", 100)...))
	equal(t, "first half", must(b.Range(limited(t), 1, 50, 1<<20))(t).To, 50)
	check(t, b.events.Purge(limited(t)))
	batch := must(b.Range(limited(t), 10, 1000, 1<<20))(t)
	equal(t, "purged", batch.To, 100)
	equal(t, "entries", len(batch.Entries), 0)
	first, last, err := b.Bounds(limited(t))
	check(t, err)
	equal(t, "first", first, 101)
	equal(t, "last", last, 100)
	equal(t, "empty", must(b.Range(limited(t), 101, 1000, 1<<20))(t).To, 100)
}

// What was trimmed lies between the reader and the next message, which is above
// what the reader has set out for.
func TestRangePassesAGap(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), samples("a", 100)...))
	check(t, b.events.Purge(limited(t)))
	r := b.ranges.acquire(limited(t), 51)
	r.last = 100 // as it was before the purge
	check(t, b.Source("web").Publish(limited(t), samples("b", 3)...))
	batch := must(r.fill(limited(t), b, 1000, 1<<20))(t)
	equal(t, "to", batch.To, 100)
	equal(t, "entries", len(batch.Entries), 0)
	r.next = batch.To + 1
	b.ranges.release(r)
	equal(t, "next", must(b.Range(limited(t), 101, 1000, 1<<20))(t).To, 103)
}

func TestFetchLeavesOutWhatIsMissing(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), samples("a", 50)...))
	check(t, b.Source("web").PublishAt(limited(t), "0", []byte("cursor")))
	check(t, b.events.DeleteMsg(limited(t), 7))
	got := must(b.Fetch(limited(t), []uint64{1, 7, 8, 50, 51, 99}))(t)
	var found []string
	for _, entry := range got {
		found = append(found, fmt.Sprintf("%d=%s", entry.Sequence, entry.Event.ID))
	}
	equal(t, "found", strings.Join(found, " "), "1=a-0 8=a-7 50=a-49")
	equal(t, "none", len(must(b.Fetch(limited(t), nil))(t)), 0)
}

// A replica that lags says of what is stored that there is no such message. What
// the leader has is in the log, all the same.
func TestAReplicaThatLagsLosesNothing(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), samples("a", 40)...))
	lag(t, b)
	sequences := make([]uint64, 40)
	for i := range sequences {
		sequences[i] = uint64(i) + 1
	}
	equal(t, "fetched", len(must(b.Fetch(limited(t), sequences))(t)), len(sequences))
	r := b.ranges.acquire(limited(t), 1)
	r.close() // before anything comes, or not
	for r.last = 40; len(r.take(r.last, 40, 1<<20)) > 0; {
	}
	for range 5 {
		if done, err := r.await(limited(t), b, 0, 1); done || err != nil {
			t.Fatalf("there is nothing, it says: %v", err)
		}
	}
}

// lag has a replica answer for EVENTS that has nothing of it, and no other one.
func lag(t *testing.T, b *Bus) {
	t.Helper()
	config := b.events.CachedInfo().Config
	config.AllowDirect = false // so that the server itself answers as the leader only
	must(b.js.UpdateStream(limited(t), config))(t)
	must(b.conn.Subscribe("$JS.API.DIRECT.GET."+b.names.Events, func(m *nats.Msg) {
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"404"}, "Description": {"Message Not Found"}}})
	}))(t)
}
