package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/event"
)

// A fakeDisk is a disk that nobody else writes to, and a clock.
type fakeDisk struct {
	left  int64
	looks int
	clock time.Time
}

func (d *fakeDisk) space(low int64) *space {
	s := newSpace("/data", low)
	s.free = func(string) (int64, error) { d.looks++; return d.left, nil }
	s.now = func() time.Time { return d.clock }
	return s
}

// A burst within one look of the disk does not run through the reserve, and
// does not cost a look for every event.
func TestABurstLeavesTheReserve(t *testing.T) {
	const low, size = 1 << 20, 1 << 10
	disk := &fakeDisk{left: 16 << 20, clock: time.Now()}
	s := disk.space(low)
	stored := 0
	for ; s.admit(size) == nil; stored++ {
		disk.left -= size
		s.done(size)
	}
	if disk.left < low || disk.left > low+writtenTwice*size || disk.looks > 1000 {
		t.Fatalf("%d events leave %d bytes after %d looks", stored, disk.left, disk.looks)
	}
	if len(s.pressed) != 1 {
		t.Error("the janitor was not told")
	}
}

// What is under way counts as written.
func TestWhatIsUnderWayCounts(t *testing.T) {
	disk := &fakeDisk{left: 10 << 20, clock: time.Now()}
	s := disk.space(4 << 20)
	check(t, s.admit(2<<20))
	if err := s.admit(2 << 20); !errors.Is(err, event.ErrFull) {
		t.Fatalf("4 MiB under way, with 6 above the reserve, and half of it twice: %v", err)
	}
	s.done(2 << 20)
	disk.clock = disk.clock.Add(lookEvery)
	check(t, s.admit(2<<20))
}

// Once full, the disk is full until there is a quarter more than the reserve.
func TestFullStaysFull(t *testing.T) {
	disk := &fakeDisk{clock: time.Now()}
	s := disk.space(4 << 20)
	for i, step := range []struct {
		left    int64
		refused bool
	}{{8 << 20, false}, {4<<20 - 1, true}, {4 << 20, true}, {5<<20 - 1, true}, {5<<20 + writtenTwice, false}, {4<<20 + 4096, false}, {0, true}} {
		disk.left, disk.clock = step.left, disk.clock.Add(lookEvery)
		err := s.admit(1)
		if refused := errors.Is(err, event.ErrFull); refused != step.refused {
			t.Errorf("step %d with %d bytes: %v", i, step.left, err)
		}
		if err == nil {
			s.done(1)
		}
	}
}

// What the system does not say keeps no events out.
func TestUnknownSpaceRefusesNothing(t *testing.T) {
	s := newSpace("/data", 4<<20)
	s.free = func(string) (int64, error) { return 0, errors.ErrUnsupported }
	check(t, s.admit(1))
	check(t, s.check())
	equal(t, "short", s.short(), 0)
}

// With the reserve reached, events, large payloads, cursors, entries and replies
// are refused, and the ledger goes on.
func TestAFullDiskRefusesEventsFirst(t *testing.T) {
	o := small(t)
	o.MinFree = 4 << 20
	b := open(t, o)
	var left atomic.Int64
	b.space.free = func(string) (int64, error) { return left.Load(), nil }
	left.Store(1 << 20)
	b.space.at = time.Time{}

	ctx := limited(t)
	want := fmt.Sprintf("the bus is full: the disk of %s has 1048576 bytes free: nothing is taken below 4194304, and again from 5242880 on (bus.min_free)", b.options.Dir)
	for what, err := range map[string]error{
		"events":  b.Source("web").Publish(ctx, sample("1")),
		"large":   b.Source("web").Publish(ctx, sized("1", 512<<10)),
		"cursors": b.Source("s3").PublishAt(ctx, "0", []byte("1")),
		"entries": b.Direct(ctx, "job", []byte("1")),
		"replies": b.PublishReplies(ctx, "work", "d.1.one", sample("2")),
		"health":  b.Healthy(ctx),
	} {
		if !errors.Is(err, event.ErrFull) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(b.AppendRecord(ctx, "1", 0, []byte("record")))(t)
	disk, ok := b.Disk()
	equal(t, "disk", disk, Disk{Free: 1 << 20, MinFree: 4 << 20, Full: true})
	equal(t, "known", ok, true)

	left.Store(6 << 20)
	check(t, b.Healthy(ctx))
	check(t, b.Source("web").Publish(ctx, sample("1")))
}

// History that nobody needs goes before events are refused for long.
func TestJanitorMakesRoomOnAFullDisk(t *testing.T) {
	o := small(t)
	o.MinFree = 4 << 20
	b := open(t, o)
	const disk = 40 << 20
	b.space.free = func(dir string) (int64, error) {
		used, err := folderSize(dir)
		return disk - used, err
	}
	ctx := limited(t)
	full := error(nil)
	n := uint64(0)
	for ; full == nil; n++ {
		full = b.Source("web").Publish(ctx, sized(strconv.FormatUint(n, 10), 128<<10))
	}
	if !errors.Is(full, event.ErrFull) {
		t.Fatal(full)
	}
	held := pass(t, b, JanitorOptions{Line: line(1, 0)})
	if !held.Held || held.Events != 0 || b.Healthy(ctx) == nil {
		t.Fatalf("what is needed has gone: %+v", held)
	}
	passed := pass(t, b, JanitorOptions{Line: line(n, 0)})
	if passed.Events == 0 || passed.Events == n-1 {
		t.Fatalf("%+v of %d events", passed, n-1)
	}
	check(t, b.Healthy(ctx))
}

// A purge that cannot write first locks the server out: it is not asked for.
func TestNothingIsRemovedWithoutRoom(t *testing.T) {
	o := small(t)
	o.MinFree = 4 << 20
	b := open(t, o)
	ctx := limited(t)
	check(t, b.Source("web").Publish(ctx, sample("1")))
	var left atomic.Int64
	b.space.free = func(string) (int64, error) { return left.Load(), nil }
	want := fmt.Sprintf("the bus is full: the disk of %s has 0 bytes free, and removing needs 1048576: make room", b.options.Dir)
	if err := b.purge(ctx, b.events); !errors.Is(err, event.ErrFull) || err.Error() != want {
		t.Errorf("without room: %v", err)
	}
	equal(t, "kept", must(b.events.Info(ctx))(t).State.Msgs > 0, true)
	left.Store(startRoom)
	check(t, b.purge(ctx, b.events))
	equal(t, "left", must(b.events.Info(ctx))(t).State.Msgs, 0)
}

func folderSize(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !strings.HasSuffix(path, ".blk") {
			return nil // the server removes files meanwhile
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// When it is objects that fill the disk, as much history goes as is enough, and
// then the janitor waits until they may be taken away.
func TestJanitorMakesRoomForObjects(t *testing.T) {
	b, clock := sweepable(t)
	const disk = 40 << 20
	b.space.low, b.space.high = 4<<20, 8<<20
	b.space.free = func(dir string) (int64, error) {
		used, err := folderSize(dir)
		return disk - used, err
	}
	ctx := limited(t)
	n := uint64(0)
	for full := error(nil); full == nil; n++ {
		full = b.Source("web").Publish(ctx, large(strconv.FormatUint(n, 10), 900<<10))
	}
	j := sweeping(b, JanitorOptions{Line: line(n, 0)})
	passed := must(j.Pass(ctx))(t)
	if passed.Events < 2 || passed.Events > n/2 {
		t.Errorf("%d of %d events are trimmed", passed.Events, n-1)
	}
	equal(t, "events trimmed by a second pass", must(j.Pass(ctx))(t).Events, 0)
	if b.Healthy(ctx) == nil {
		t.Error("there is room before objects are taken away")
	}
	clock.later()
	equal(t, "objects taken away", uint64(must(j.Pass(ctx))(t).Objects), passed.Events)
	check(t, b.Healthy(ctx))
}
