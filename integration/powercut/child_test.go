//go:build linux && integration

package powercut

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/bus"
	"sluice/event"
)

// The environment of a child: the folder, and how often the server syncs.
const (
	dirVariable  = "SLUICE_POWERCUT_DIR"
	syncVariable = "SLUICE_POWERCUT_SYNC"
)

// options are those of all buses here: with blocks of 4 MiB.
func options(dir string) bus.Options {
	return bus.Options{Dir: dir, MaxBytes: 32 << 20, LedgerBytes: 16 << 20, LetterBytes: 1 << 20, ObjectBytes: 64 << 20}
}

// child works on a bus until it is killed, and prints what is durable.
func child(dir string) {
	ctx := context.Background()
	o := options(dir)
	o.SyncInterval, _ = time.ParseDuration(os.Getenv(syncVariable))
	b, err := bus.Open(ctx, o)
	report(err)
	_, last, err := b.Bounds(ctx)
	report(err)
	record, _, err := b.LastRecord(ctx, "c")
	report(err)
	fmt.Println("line", last, record)
	run := strconv.Itoa(os.Getpid())
	var group sync.WaitGroup
	for caller := range 24 {
		group.Go(func() { one(ctx, b, fmt.Sprintf("one-%s-%d", run, caller)) })
	}
	group.Go(func() { many(ctx, b, "many-"+run) })
	group.Go(func() { large(ctx, b, "large-"+run) })
	for shard := range shards {
		group.Go(func() { cursor(ctx, b, strconv.Itoa(shard)) })
	}
	group.Go(func() { ledger(ctx, b) })
	group.Go(func() { trim(ctx, b, last, record) })
	group.Wait()
}

// report ends the process when something has gone wrong.
func report(err error) {
	if err != nil {
		fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
}

func accepted(err error, events ...event.Event) {
	report(err)
	ids := make([]string, len(events))
	for i := range events {
		ids[i] = events[i].ID
	}
	fmt.Println("stored", strings.Join(ids, " "))
}

func sample(id string, size int) event.Event {
	return event.Event{ID: id, Source: "/test", Type: "t", DataContentType: "text/plain", Data: []byte(strings.Repeat("x", size))}
}

// one publishes one event after the other.
func one(ctx context.Context, b *bus.Bus, name string) {
	for i := 0; ; i++ {
		e := sample(fmt.Sprintf("%s-%d", name, i), 200+i*37%3000)
		accepted(b.Source("web").Publish(ctx, e), e)
	}
}

// many publishes several at once.
func many(ctx context.Context, b *bus.Bus, name string) {
	for i := 0; ; i++ {
		events := make([]event.Event, 1+i*31%200)
		for k := range events {
			events[k] = sample(fmt.Sprintf("%s-%d-%d", name, i, k), 1500)
		}
		accepted(b.Source("bulk").Publish(ctx, events...), events...)
	}
}

// large publishes events whose data is kept apart.
func large(ctx context.Context, b *bus.Bus, name string) {
	for i := range 20 {
		e := sample(fmt.Sprintf("%s-%d", name, i), 300<<10)
		accepted(b.Source("web").Publish(ctx, e), e)
	}
}

const shards = 3

// cursor moves one with the next ten events, again and again.
func cursor(ctx context.Context, b *bus.Bus, shard string) {
	out := b.Source("s3")
	position, err := out.Cursor(ctx, shard)
	report(err)
	n, _ := strconv.Atoi(string(position))
	for {
		events := make([]event.Event, 10)
		for i := range events {
			events[i] = sample(fmt.Sprintf("cursor-%s-%d", shard, n+i), 2000)
		}
		n += len(events)
		accepted(out.PublishAt(ctx, shard, []byte(strconv.Itoa(n)), events...), events...)
	}
}

// ledger appends a record and a snapshot of three by turns, numbered.
func ledger(ctx context.Context, b *bus.Bus) {
	last, data, err := b.LastRecord(ctx, "c")
	report(err)
	text, _, _ := strings.Cut(string(data), " ")
	n, _ := strconv.Atoi(text)
	for {
		n++
		chunk := []byte(strconv.Itoa(n) + " " + strings.Repeat("x", 4000))
		if n%2 == 0 {
			_, last, err = b.AppendSnapshot(ctx, "c", last, [][]byte{chunk, chunk, chunk})
		} else {
			last, err = b.AppendRecord(ctx, "c", last, chunk)
		}
		report(err)
		fmt.Println("record", n)
	}
}

// trim lets the janitor take what was there at the start, all the time.
func trim(ctx context.Context, b *bus.Bus, last, record uint64) {
	j := bus.NewJanitor(b, bus.JanitorOptions{
		MaxBytes: 1 << 20, Every: 20 * time.Millisecond,
		Line:    func() (uint64, uint64, bool) { return last, record, true },
		Letters: func(context.Context, func(string)) error { return nil },
	})
	report(j.Run(ctx))
}
