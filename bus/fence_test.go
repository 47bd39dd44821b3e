package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/event"
)

func TestCursorMovesWithItsEvents(t *testing.T) {
	b := open(t, small(t))
	out := b.Source("s3")
	equal(t, "before", string(must(out.Cursor(limited(t), "0"))(t)), "")
	check(t, out.PublishAt(limited(t), "0", []byte("a"), samples("a", 3)...))
	check(t, out.PublishAt(limited(t), "0", []byte("b")))
	check(t, out.PublishAt(limited(t), "1", []byte("other"), sample("z")))
	check(t, out.PublishAt(limited(t), "0", []byte("c"), samples("c", MaxBatch)...))
	equal(t, "cursor", string(must(out.Cursor(limited(t), "0"))(t)), "c")
	equal(t, "other", string(must(b.Source("s3").Cursor(limited(t), "1"))(t)), "other")
	equal(t, "events", len(ids(t, b)), 3+1+MaxBatch)
}

// Events that are stored already, and doubles in one call, do not keep the
// others and the cursor from being stored.
func TestCursorMovesPastDuplicates(t *testing.T) {
	b := open(t, small(t))
	out := b.Source("s3")
	check(t, out.Publish(limited(t), sample("e-1"), sample("e-3")))
	events := append(samples("e", 5), sample("e-0"), sample("e-4"))
	check(t, out.PublishAt(limited(t), "0", []byte("a"), events...))
	equal(t, "ids", fmt.Sprint(ids(t, b)), "[e-1 e-3 e-0 e-2 e-4]")
	check(t, out.PublishAt(limited(t), "0", []byte("b"), events...))
	equal(t, "events", len(ids(t, b)), 5)
	equal(t, "cursor", string(must(out.Cursor(limited(t), "0"))(t)), "b")
}

func TestCursorFencesAnotherWriter(t *testing.T) {
	b := open(t, small(t))
	old, taker := b.Source("s3"), b.Source("s3")
	check(t, old.PublishAt(limited(t), "0", []byte("1"), sample("1")))
	equal(t, "taken over at", string(must(taker.Cursor(limited(t), "0"))(t)), "1")
	check(t, taker.PublishAt(limited(t), "0", []byte("2"), sample("2")))
	for range 2 {
		err := old.PublishAt(limited(t), "0", []byte("2'"), sample("lost"))
		if !errors.Is(err, event.ErrFenced) {
			t.Fatalf("got %v", err)
		}
	}
	equal(t, "ids", fmt.Sprint(ids(t, b)), "[1 2]")
	equal(t, "cursor", string(must(old.Cursor(limited(t), "0"))(t)), "2")
	check(t, old.PublishAt(limited(t), "0", []byte("3"), sample("3")))
	err := taker.PublishAt(limited(t), "0", []byte("4"))
	if !errors.Is(err, event.ErrFenced) {
		t.Fatalf("got %v", err)
	}
}

// A cursor that was stored again as it is, as the janitor does, is no foreign
// write.
func TestCursorStoredAgainIsNoFence(t *testing.T) {
	b := open(t, small(t))
	out := b.Source("s3")
	check(t, out.PublishAt(limited(t), "0", []byte("1"), sample("1")))
	moved, err := b.appendAgain(limited(t), b.names.Cursor("s3", "0"), 100)
	check(t, err)
	equal(t, "sequence", moved, 3)
	check(t, out.PublishAt(limited(t), "0", []byte("2"), sample("2")))
	equal(t, "cursor", string(must(out.Cursor(limited(t), "0"))(t)), "2")
}

// A write of unknown fate that was stored after all is known again, and what
// was published with it is not stored twice.
func TestCursorKnowsItsLostWriteAgain(t *testing.T) {
	b := open(t, small(t))
	out := b.Source("s3")
	check(t, out.PublishAt(limited(t), "0", []byte("1"), sample("1")))
	f := out.fence("0")
	before, write := f.sequence, f.write
	check(t, out.PublishAt(limited(t), "0", []byte("2"), sample("2")))
	f.sequence, f.write, f.lost = before, write, []string{f.write} // as if no answer had come
	check(t, out.PublishAt(limited(t), "0", []byte("2"), sample("2"), sample("3")))
	equal(t, "ids", fmt.Sprint(ids(t, b)), "[1 2 3]")
}

// The connection breaks again and again while the shards of a source publish
// with their cursors, in shared batches. They repeat what failed, as sources do:
// each event is there once, in order, and each cursor says how many there are.
func TestCursorsOverABrokenConnection(t *testing.T) {
	o := small(t)
	o.Listen = "127.0.0.1:0"
	b := open(t, o)
	out := b.Source("s3")
	ctx, stop := context.WithCancel(limited(t))
	var breaking, shards sync.WaitGroup
	progress := make(chan struct{}, 1)
	breaking.Go(func() {
		for range progress {
			if pause(ctx, rand.N(3*time.Millisecond)) != nil {
				return
			}
			disconnect(b)
		}
	})
	const many, batches, each, breakEvery = 8, 60, 5, 20
	var failures, stored atomic.Int64
	for shard := range many {
		shards.Go(func() {
			for i := range batches {
				events := samples(fmt.Sprintf("%d-%d", shard, i), each)
				for out.PublishAt(ctx, strconv.Itoa(shard), []byte(strconv.Itoa(i)), events...) != nil {
					failures.Add(1)
					if pause(ctx, 10*time.Millisecond) != nil {
						return
					}
				}
				if stored.Add(1)%breakEvery == 0 {
					token1(progress)
				}
			}
		})
	}
	shards.Wait()
	close(progress)
	stop()
	breaking.Wait()
	waitFor(t, "connection", b.conn.IsConnected)
	t.Logf("%d batches of %d shards, %d failures", batches, many, failures.Load())
	next := [many]int{}
	for _, id := range ids(t, b) {
		shard, _ := strconv.Atoi(id[:strings.Index(id, "-")])
		n := next[shard]
		equal(t, "id", id, fmt.Sprintf("%d-%d-%d", shard, n/each, n%each))
		next[shard]++
	}
	for shard, n := range next {
		equal(t, "events", n, batches*each)
		equal(t, "cursor", string(must(out.Cursor(limited(t), strconv.Itoa(shard)))(t)), strconv.Itoa(batches-1))
	}
}

func TestPublishAtRefuses(t *testing.T) {
	b := open(t, small(t))
	out := b.Source("s3")
	for _, test := range []struct {
		name, shard, want string
		cursor            int
		events            []event.Event
	}{
		{"no shard", "", `shard "": write 1 to 128 letters, digits, - or _`, 1, nil},
		{"dots", "a.b", `shard "a.b": write 1 to 128 letters, digits, - or _`, 1, nil},
		{"cursor", "0", "the event is too large: a cursor of 524289 bytes, at most 524288", 512<<10 + 1, nil},
		{"events", "0", "1000 events at once: at most 999", 1, samples("e", 1000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := out.PublishAt(limited(t), test.shard, make([]byte, test.cursor), test.events...)
			if err == nil || err.Error() != test.want {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestDirectMovesThePositionOfAJob(t *testing.T) {
	b := open(t, small(t))
	entry := event.Directed{Trigger: "resize", Origin: "inc.7.resize", Event: sample("1")}
	equal(t, "before", string(must(b.Position(limited(t), "j1"))(t)), "")
	check(t, b.Direct(limited(t), "j1", []byte("p1"), entry, entry))
	check(t, b.Direct(limited(t), "j2", []byte("q")))
	equal(t, "position", string(must(b.Position(limited(t), "j1"))(t)), "p1")
	equal(t, "jobs", strings.Join(must(b.Positions(limited(t)))(t), " "), "j1 j2")
	all := entries(t, b)
	equal(t, "entries", len(all), 2) // the same event twice, each an entry of its own
	equal(t, "trigger", all[1].Trigger, "resize")
	equal(t, "origin", all[1].Origin, "inc.7.resize")
	equal(t, "source", all[1].Source, "")
	check(t, b.Forget(limited(t), "j1"))
	equal(t, "jobs", strings.Join(must(b.Positions(limited(t)))(t), " "), "j2")
	check(t, b.Direct(limited(t), "j1", []byte("again")))
}

func TestPublishDirected(t *testing.T) {
	b := open(t, small(t))
	entry := event.Directed{Trigger: "resize", Event: sample("1")}
	got := must(b.PublishDirected(limited(t), entry, entry, entry))(t)
	equal(t, "sequences", fmt.Sprint(got), "[1 2 3]")
	many := make([]event.Directed, 100)
	for i := range many {
		many[i] = entry
	}
	got = must(b.PublishDirected(limited(t), many...))(t)
	for i, sequence := range got {
		equal(t, "sequence", sequence, uint64(4+i))
	}
	_, err := b.PublishDirected(limited(t), event.Directed{Trigger: "a b", Event: sample("1")})
	if want := `entry 0: trigger "a b": write 1 to 128 letters, digits, - or _`; err == nil || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
}
