package bus

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/event"
)

// staged returns what the server's folder for batches is a link to.
func staged(tb testing.TB, o Options) (path, target string) {
	tb.Helper()
	if memoryFolder() == "" {
		tb.Skip("this system has no file system in memory")
	}
	path = filepath.Join(streamFolder(o.Dir, must(newNames("sluice"))(tb).Events), "batches")
	target, _ = os.Readlink(path)
	return path, target
}

// Batches are staged in memory, by this user alone, and nothing is left of that
// when the bus is closed.
func TestBatchesAreStagedInMemory(t *testing.T) {
	o := small(t)
	b := must(Open(t.Context(), o))(t)
	_, target := staged(t, o)
	if !strings.HasPrefix(target, memoryFolder()) || !isPrivate(target) {
		t.Errorf("batches are staged in %q", target)
	}
	check(t, b.Source("web").Publish(limited(t), samples("a", 100)...))
	last := must(b.lastMessage(limited(t), b.names.Events, ">"))(t)
	if last.header.Get("Nats-Batch-Id") == "" {
		t.Error("a hundred events were stored singly")
	}
	shut(t, b)
	for _, path := range []string{target, filepath.Join(streamFolder(o.Dir, b.names.Events), "batches")} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is there yet", path)
		}
	}
}

// What a process has left in memory that was killed is used by the server and taken
// away; a folder that somebody else may have made is not looked into.
func TestStagedByAnother(t *testing.T) {
	o := small(t)
	shut(t, must(Open(t.Context(), o))(t))
	path, _ := staged(t, o)
	for _, mode := range []os.FileMode{0o700, 0o755} {
		left := filepath.Join(memoryFolder(), stagingPrefix+filepath.Base(filepath.Dir(o.Dir)))
		check(t, os.Mkdir(left, 0o700))
		t.Cleanup(func() { check(t, os.RemoveAll(left)) })
		check(t, os.Chmod(left, mode))
		check(t, os.Symlink(left, path))
		b := must(Open(t.Context(), o))(t)
		if _, target := staged(t, o); target == "" || target == left {
			t.Errorf("batches are staged in %q", target)
		}
		_, err := os.Lstat(left)
		equal(t, "what another has left is there", err == nil, mode != 0o700)
		check(t, b.Source("web").Publish(limited(t), samples(mode.String(), 100)...))
		shut(t, b)
	}
}

// A batch of which a power cut has left a part goes as a whole, and what comes
// again is stored: its ids are forgotten.
func TestAPartOfABatchIsTakenBack(t *testing.T) {
	o := small(t)
	b := must(Open(t.Context(), o))(t)
	check(t, b.Source("web").Publish(limited(t), samples("whole", 30)...))
	check(t, b.Source("s3").PublishAt(limited(t), "0", []byte("1"), samples("part", 30)...))
	last := must(b.lastMessage(limited(t), b.names.Events, ">"))(t).sequence
	shut(t, b)
	tear(t, filepath.Join(streamFolder(o.Dir, b.names.Events), "msgs"))

	b = open(t, o)
	all := ids(t, b)
	equal(t, "events", len(all), 30)
	equal(t, "the last event", all[29], "whole-29")
	if cursor := must(b.Source("s3").Cursor(limited(t), "0"))(t); cursor != nil {
		t.Errorf("the cursor is %q", cursor)
	}
	check(t, b.Source("s3").PublishAt(limited(t), "0", []byte("1"), samples("part", 30)...))
	equal(t, "events", len(ids(t, b)), 60)
	if again := must(b.lastMessage(limited(t), b.names.Events, ">"))(t).sequence; again <= last-1 {
		t.Errorf("sequences have begun again: %d after %d", again, last)
	}
}

// tear cuts the end of the last record off, and has no summary know of it: as
// after a cut, which comes before one is written.
func tear(t *testing.T, folder string) {
	t.Helper()
	block := filepath.Join(folder, "1.blk")
	info := must(os.Stat(block))(t)
	check(t, os.Truncate(block, info.Size()-5))
	check(t, os.Remove(filepath.Join(folder, "index.db")))
}

// A batch begins in one block and ends in the next, and a power cut takes the end
// of the first. A cursor goes whose events are not all there, and what comes again
// is stored; a write that is whole stays, and so does one whose position has been
// forgotten.
func TestACursorWithoutItsEventsIsTakenBack(t *testing.T) {
	o := small(t)
	o.MaxBytes = 16 << 20 // blocks of 4 MiB
	b := must(Open(t.Context(), o))(t)
	s3 := b.Source("s3")
	check(t, s3.PublishAt(limited(t), "0", []byte("1"), sample("before")))
	for i := range 19 {
		check(t, b.Source("web").Publish(limited(t), sized(fmt.Sprintf("fill-%d", i), 200<<10)))
	}
	large := func(name string) []event.Event {
		events := make([]event.Event, 4)
		for i := range events {
			events[i] = sized(fmt.Sprintf("%s-%d", name, i), 100<<10)
		}
		return events
	}
	group := []*gathered{
		gatheredFor(t, s3, large("torn")...),
		gatheredFor(t, b.Source("other"), sample("whole")),
	}
	for _, o := range b.gathering.commit(limited(t), group) {
		check(t, o.err)
	}
	folder := filepath.Join(streamFolder(o.Dir, b.names.Events), "msgs")
	equal(t, "the batch is in two blocks", b.blocks[b.names.Events].next, 3)
	shut(t, b)
	tear(t, folder)

	b = open(t, o)
	all := ids(t, b)
	equal(t, "the last event", all[len(all)-1], "whole")
	equal(t, "events", len(all), 1+19+1)
	equal(t, "the cursor", string(must(b.Source("s3").Cursor(limited(t), "0"))(t)), "1")
	check(t, b.Source("s3").PublishAt(limited(t), "0", []byte("2"), large("torn")...))
	equal(t, "events", len(ids(t, b)), 1+19+1+4)
}

// A batch whose last message was removed on purpose is whole.
func TestAForgottenPositionLeavesItsEntries(t *testing.T) {
	o := small(t)
	b := must(Open(t.Context(), o))(t)
	check(t, b.Direct(limited(t), "job", []byte("1"), directedTo("a", samples("x", 30))...))
	check(t, b.Forget(limited(t), "job"))
	shut(t, b)
	b = open(t, o)
	equal(t, "entries", len(ids(t, b)), 30)
}

// A block's name is synced when the server has begun it: where blocks are follows
// from the server's version.
func TestNewBlocksAreNoticed(t *testing.T) {
	o := small(t)
	o.MaxBytes = 16 << 20 // blocks of 4 MiB
	b := open(t, o)
	settled := b.blocks[b.names.Events]
	before := settled.next
	for i := range 12 {
		check(t, b.Source("web").Publish(limited(t), sized(string(rune('a'+i)), 200<<10), sized(string(rune('A'+i)), 200<<10)))
	}
	if settled.next <= before {
		t.Errorf("no new block was noticed after %d", before-1)
	}
	highest := 0
	for settled.exists(max(highest+1, before)) {
		highest = max(highest+1, before)
	}
	equal(t, "the next block", settled.next, highest+1)
	// A purge of everything makes another folder.
	check(t, b.purge(context.WithoutCancel(t.Context()), b.events))
	check(t, b.Source("web").Publish(limited(t), sample("after")))
	equal(t, "the last block is there", settled.exists(settled.next-1), true)
}

func directedTo(trigger string, events []event.Event) []event.Directed {
	entries := make([]event.Directed, len(events))
	for i := range events {
		entries[i] = event.Directed{Trigger: trigger, Event: events[i]}
	}
	return entries
}
