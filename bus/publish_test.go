package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"sluice/event"
)

func TestPublishStoresEverythingOfAnEvent(t *testing.T) {
	b := open(t, small(t))
	e := sample("1")
	e.Subject, e.Time = "a thing", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	e.Extensions = map[string]any{"partitionkey": "k", "count": int32(7), "flag": true}
	check(t, b.Source("web").Publish(limited(t), e))
	all := entries(t, b)
	equal(t, "entries", len(all), 1)
	got := all[0]
	equal(t, "sequence", got.Sequence, 1)
	equal(t, "source", got.Source, "web")
	equal(t, "trigger", got.Trigger, "")
	equal(t, "part", got.Part, event.Part(&e))
	equal(t, "event", fmt.Sprintf("%+v", *got.Event), fmt.Sprintf("%+v", e))
	if age := time.Since(got.Time); age < 0 || age > time.Minute {
		t.Fatalf("time: %v ago", age)
	}
}

// The same event again is stored once (invariant I5).
func TestPublishSeesAnEventOnce(t *testing.T) {
	b := open(t, small(t))
	web, s3 := b.Source("web"), b.Source("s3")
	check(t, web.Publish(limited(t), sample("1"), sample("1"), sample("2")))
	check(t, web.Publish(limited(t), sample("1")))
	check(t, s3.Publish(limited(t), sample("1")))
	equal(t, "ids", fmt.Sprint(ids(t, b)), "[1 2 1]")
}

// A batch with one id that is stored already is refused as a whole (10201). Its
// messages are stored singly then, in their order.
func TestPublishARefusedBatchInOrder(t *testing.T) {
	b := open(t, small(t))
	out := b.Source("web")
	check(t, out.Publish(limited(t), sample("e-7"), sample("e-20")))
	check(t, out.Publish(limited(t), samples("e", 60)...))
	got := ids(t, b)
	want := []string{"e-7", "e-20"}
	for i := range 60 {
		if i != 7 && i != 20 {
			want = append(want, fmt.Sprintf("e-%d", i))
		}
	}
	equal(t, "ids", fmt.Sprint(got), fmt.Sprint(want))
	for _, entry := range raw(t, b) {
		for _, name := range []string{jetstreamext.BatchIDHeader, jetstreamext.BatchSeqHeader, jetstreamext.BatchCommitHeader} {
			if entry.header.Get(name) != "" {
				t.Fatalf("sequence %d still has %s", entry.sequence, name)
			}
		}
	}
}

// raw reads the messages of EVENTS as they are stored.
func raw(t *testing.T, b *Bus) []*stored {
	t.Helper()
	_, last, err := b.Bounds(limited(t))
	check(t, err)
	var all []*stored
	for sequence := uint64(1); sequence <= last; sequence++ {
		m := must(b.events.GetMsg(limited(t), sequence))(t)
		all = append(all, &stored{subject: m.Subject, sequence: m.Sequence, header: event.FieldsOf(m.Header), data: m.Data})
	}
	return all
}

func TestPublishKeepsTheOrderOfACaller(t *testing.T) {
	b := open(t, small(t))
	var group sync.WaitGroup
	for caller := range 40 {
		group.Go(func() {
			for i := range 10 {
				if err := b.Source(fmt.Sprintf("s%d", caller)).Publish(limited(t), sample(strconv.Itoa(i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	next := map[string]int{}
	for _, entry := range entries(t, b) {
		equal(t, "order of "+entry.Source, entry.Event.ID, strconv.Itoa(next[entry.Source]))
		next[entry.Source]++
	}
	equal(t, "callers", len(next), 40)
}

// Concurrent callers share syncs: what waits while a group is stored becomes
// one batch, which the stored messages show. Doubles among them share one fate.
func TestPublishGroupsCallers(t *testing.T) {
	b := open(t, small(t))
	p := newPublisher(b.newBatcher(b.names.Events))
	const callers = 300
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			messages, err := b.Source("web").messages(t.Context(), []event.Event{sample(strconv.Itoa(i % 250))})
			if err == nil {
				_, err = p.publish(limited(t), messages)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, "callers that gather", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.waiting) == callers
	})
	go p.run(limited(t))
	group.Wait()
	check(t, p.close(limited(t)))
	batches := map[string]int{}
	for _, m := range raw(t, b) {
		batches[m.header.Get(jetstreamext.BatchIDHeader)]++
	}
	equal(t, "batches", len(batches), 1)
	equal(t, "events", len(ids(t, b)), 250)
}

func waitFor(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("no %s in time", what)
		}
	}
}

func TestPublishACallerThatLeavesDisturbsNobody(t *testing.T) {
	b := open(t, small(t))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	err := b.Source("web").Publish(gone, sample("gone"))
	if !errors.Is(err, event.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	check(t, b.Source("web").Publish(limited(t), sample("here")))
	if all := ids(t, b); all[len(all)-1] != "here" {
		t.Fatalf("got %v", all)
	}
}

func TestPublishRefuses(t *testing.T) {
	o := small(t)
	o.MaxEventSize = 4096
	b := open(t, o)
	for _, test := range []struct {
		name, source, want string
		is                 error
		event              event.Event
	}{
		{
			"data", "web", `event "big": the event is too large: 4143 bytes with its attributes, at most 4096`,
			event.ErrTooLarge, sized("big", 4096),
		},
		{"no name", "", `source "": write 1 to 128 letters, digits, - or _`, nil, sample("1")},
		{"dots", "a.b", `source "a.b": write 1 to 128 letters, digits, - or _`, nil, sample("1")},
		{"control", "a\n", `source "a\n": write 1 to 128 letters, digits, - or _`, nil, sample("1")},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := b.Source(test.source).Publish(limited(t), test.event)
			if err == nil || err.Error() != test.want {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Fatalf("%v is not %v", err, test.is)
			}
		})
	}
	_, last, err := b.Bounds(limited(t))
	check(t, err)
	equal(t, "stored", last, 0)
}

// Attributes become headers, of which the server takes 64 KiB.
func TestPublishRefusesAttributesThatFitNoHeader(t *testing.T) {
	b := open(t, small(t))
	e := sample("1")
	long := make([]byte, 70<<10)
	for i := range long {
		long[i] = 'x'
	}
	e.Subject = string(long)
	err := b.Source("web").Publish(limited(t), e)
	if !errors.Is(err, event.ErrTooLarge) {
		t.Fatalf("got %v", err)
	}
}

func TestPublishWhenClosed(t *testing.T) {
	b, err := Open(t.Context(), small(t))
	check(t, err)
	shut(t, b)
	err = b.Source("web").Publish(limited(t), sample("1"))
	if !errors.Is(err, event.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

// The server looks for duplicates before it looks at the expected last message
// id, on which asking without storing rests.
func TestServerProbesForDuplicates(t *testing.T) {
	b := open(t, small(t))
	out := b.Source("web")
	check(t, out.Publish(limited(t), sample("1"), sample("3")))
	messages := must(out.messages(t.Context(), []event.Event{sample("0"), sample("1"), sample("2"), sample("3")}))(t)
	fresh := must(b.publisher.dropStored(limited(t), messages))(t)
	equal(t, "fresh", len(fresh), 2)
	equal(t, "first", fresh[0].Header.Get("ce-id"), "0")
	equal(t, "second", fresh[1].Header.Get("ce-id"), "2")
	_, last, err := b.Bounds(limited(t))
	check(t, err)
	equal(t, "last", last, 2)
}

// The messages of a batch follow each other without a gap, whatever others
// publish meanwhile: PublishDirected and AppendSnapshot count back from the last.
func TestServerKeepsABatchTogether(t *testing.T) {
	b := open(t, small(t))
	ctx, stop := context.WithCancel(limited(t))
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			_ = b.Source("web").Publish(ctx, sample(fmt.Sprintf("single-%d", i))) // ends with ctx
		}
	})
	for i := range 20 {
		messages := must(b.Source("bulk").messages(t.Context(), samples(fmt.Sprintf("batch-%d", i), 50)))(t)
		last := must(b.publisher.storeBatch(limited(t), messages))(t)
		for j := range 50 {
			m := must(b.events.GetMsg(limited(t), last-uint64(49-j)))(t)
			equal(t, "id", m.Header.Get("ce-id"), fmt.Sprintf("batch-%d-%d", i, j))
		}
	}
	stop()
	group.Wait()
}

// One stale expectation has the whole batch refused, and nothing is stored.
func TestServerRefusesABatchAsAWhole(t *testing.T) {
	b := open(t, small(t))
	messages := must(b.Source("web").messages(t.Context(), samples("e", 3)))(t)
	messages[2].Header[nats.ExpectedLastSubjSeqHdr] = []string{"99"}
	_, err := b.publisher.storeBatch(limited(t), messages)
	if !isFenced(err) {
		t.Fatalf("got %v", err)
	}
	_, last, err := b.Bounds(limited(t))
	check(t, err)
	equal(t, "last", last, 0)
}

// TestRepliesAreStoredOnce: by the delivery that they answer and their place,
// whatever their ids are.
func TestRepliesAreStoredOnce(t *testing.T) {
	b := open(t, small(t))
	reply := func(id string) event.Event { return event.Event{ID: id, Source: "/w", Type: "done"} }
	for _, answer := range []struct {
		delivery string
		events   []event.Event
	}{
		{"inc.1.t", []event.Event{reply("a"), reply("b")}},
		{"inc.1.t", []event.Event{reply("x"), reply("b"), reply("c")}}, // another answer: only what it has more
		{"inc.2.t", []event.Event{reply("a"), reply("a")}},             // another delivery, and one id twice
		{"inc.2.t", nil},
	} {
		if err := b.PublishReplies(t.Context(), "t", answer.delivery, answer.events...); err != nil {
			t.Fatal(err)
		}
	}
	batch, err := b.Range(t.Context(), 1, 100, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range batch.Entries {
		got = append(got, e.Source+" "+e.Trigger+e.Event.ID+" "+e.Origin)
	}
	if want := "t a inc.1.t, t b inc.1.t, t c inc.1.t, t a inc.2.t, t a inc.2.t"; strings.Join(got, ", ") != want {
		t.Errorf("got %v\nwant %s", got, want)
	}
	large := event.Event{ID: "l", Source: "/w", Type: "done", Data: make([]byte, 1<<20)}
	if err := b.PublishReplies(t.Context(), "t", "inc.3.t", large); !errors.Is(err, event.ErrTooLarge) {
		t.Errorf("one that is too large: %v", err)
	}
}
