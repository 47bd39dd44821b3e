//go:build unix

package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sluice/event"
)

// limitFiles lets every write fail that makes a file of this process larger than
// that, until the returned function is called.
func limitFiles(t *testing.T, size uint64) (end func()) {
	t.Helper()
	var before syscall.Rlimit
	check(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	signal.Ignore(syscall.SIGXFSZ) // the write fails, and the process goes on
	limit := before
	limit.Cur = size
	check(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	end = func() {
		check(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
		signal.Reset(syscall.SIGXFSZ)
	}
	t.Cleanup(end)
	return end
}

// stageMuch has a bus find that much is staged: no server is started on its folder
// until the returned function is called.
func stageMuch(t *testing.T, dir string) (end func()) {
	t.Helper()
	staged := filepath.Join(dir, storeFolder, "jetstream", "$G", "streams", "SLUICE_EVENTS", "batches", "held")
	check(t, os.MkdirAll(staged, 0o700))
	file := must(os.Create(filepath.Join(staged, "1.blk")))(t)
	check(t, file.Truncate(muchStaged))
	check(t, file.Close())
	return func() { check(t, os.RemoveAll(staged)) }
}

const muchStaged = 1 << 43 // bytes; no disk has as many

// A store that has failed to write is opened anew without a restart of the
// process, as soon as that is possible: what was accepted is there, a batch is
// there as a whole or not at all, and readers go on.
func TestABrokenStoreIsReplaced(t *testing.T) {
	const large = 2 << 20 // the files of both streams, and what may be written of the next batch
	for name, fail := range map[string]func(ctx context.Context, b *Bus) error{
		"an event":        func(ctx context.Context, b *Bus) error { return b.Source("web").Publish(ctx, sized("lost", 200<<10)) },
		"half of a batch": func(ctx context.Context, b *Bus) error { return b.Source("web").Publish(ctx, lost()...) },
		"events with their cursor": func(ctx context.Context, b *Bus) error {
			return b.Source("web").PublishAt(ctx, "0", []byte("cursor"), lost()...)
		},
		"a record": func(ctx context.Context, b *Bus) error {
			_, err := b.AppendRecord(ctx, "1", 1, make([]byte, 800<<10))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := small(t)
			b := open(t, o)
			ctx := limited(t)
			for i := range large / (100 << 10) {
				check(t, b.Source("web").Publish(ctx, sized(fmt.Sprintf("before-%d", i), 100<<10)))
			}
			must(b.AppendRecord(ctx, "1", 0, make([]byte, 800<<10)))(t)
			must(b.AppendRecord(ctx, "2", 0, make([]byte, 800<<10)))(t)
			read := follow(t, b, "after")

			release := stageMuch(t, o.Dir)
			grow := limitFiles(t, large+50<<10)
			if err := fail(ctx, b); !errors.Is(err, event.ErrUnavailable) {
				t.Errorf("published: %v", err)
			}
			waitFor(t, "reason why there is no server", func() bool {
				err := b.Healthy(ctx)
				return errors.Is(err, event.ErrUnavailable) && strings.Contains(err.Error(), "the embedded server is being started again: ") &&
					strings.HasSuffix(err.Error(), "make room")
			})
			grow()
			release()
			waitFor(t, "healthy bus", func() bool { return b.Healthy(ctx) == nil })
			check(t, b.Source("web").Publish(ctx, sample("after")))
			all := ids(t, b)
			kept := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return strings.HasPrefix(id, "lost") })
			equal(t, "kept", len(kept), large/(100<<10)+1)
			if half := len(all) - len(kept); half > 1 && half < len(lost()) {
				t.Errorf("%d of %d events of a batch are stored", half, len(lost()))
			}
			batches := read()
			checkStretches(t, 1, batches)
			equal(t, "what was read", strings.Join(idsOf(batches), " "), strings.Join(all, " "))
			disk, _ := b.Disk()
			equal(t, "failures", disk.Failures, 1)
		})
	}
}

func idsOf(batches []event.Batch) (ids []string) {
	for _, batch := range batches {
		for _, e := range batch.Entries {
			ids = append(ids, e.Event.ID)
		}
	}
	return ids
}

// lost is a batch that two files of its size do not take.
func lost() []event.Event {
	batch := make([]event.Event, 2*minOnDisk)
	for i := range batch {
		batch[i] = sized(fmt.Sprintf("lost-%d", i), 10<<10)
	}
	return batch
}

// follow reads the log until an event has come; the function waits for that, and
// returns what was read.
func follow(t *testing.T, b *Bus, last string) func() []event.Batch {
	t.Helper()
	var batches []event.Batch
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- b.Tail(limited(t), 1, func(batch event.Batch) error {
			if batches = append(batches, batch); len(batches) == 1 {
				close(begun)
			}
			if slices.ContainsFunc(batch.Entries, func(e *event.Entry) bool { return e.Event.ID == last }) {
				return errEnough
			}
			return nil
		})
	}()
	<-begun
	return func() []event.Batch {
		if err := <-ended; !errors.Is(err, errEnough) {
			t.Errorf("read: %v", err)
		}
		return batches
	}
}

// A server is not started as long as it could not finish a batch that is partly
// stored.
func TestRoomToStart(t *testing.T) {
	o := small(t)
	before := must(Open(t.Context(), o))(t)
	shut(t, before)
	release := stageMuch(t, o.Dir)
	_, err := Open(limited(t), o)
	if !errors.Is(err, event.ErrFull) || !strings.HasSuffix(err.Error(), "a start needs 8796094070784: make room") {
		t.Errorf("%v", err)
	}
	release()
	open(t, o)
}
