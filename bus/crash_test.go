package bus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/event"
)

// childVariable holds the folder, in processes that a test starts to be killed.
const childVariable = "SLUICE_BUS_TEST_CHILD"

// largeVariable before the folder means: large events.
const largeVariable = "large:"

// child publishes until it is killed: eight callers singly, a group in batches,
// a source with several cursors, and a claim. What was acknowledged is printed.
func child() {
	if dir, found := strings.CutPrefix(os.Getenv(childVariable), largeVariable); found {
		largeChild(dir)
		return
	}
	ctx := context.Background()
	b, err := Open(ctx, Options{Dir: os.Getenv(childVariable), MaxBytes: 256 << 20, LedgerBytes: 64 << 20, LetterBytes: 16 << 20})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	run := strconv.Itoa(os.Getpid())
	var group sync.WaitGroup
	for caller := range 8 {
		group.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("single-%s-%d-%d", run, caller, i)
				report(b.Source("web").Publish(ctx, sample(id)), id)
			}
		})
	}
	group.Go(func() {
		for i := 0; ; i++ {
			id := fmt.Sprintf("group-%s-%d", run, i)
			report(b.Source("bulk").Publish(ctx, samples(id, 50)...), id+"-0", id+"-49")
		}
	})
	for shard := range childShards {
		group.Go(func() { childCursor(ctx, b, strconv.Itoa(shard)) })
	}
	group.Go(func() { childLedger(ctx, b) })
	group.Wait()
}

func report(err error, ids ...string) {
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("stored", strings.Join(ids, " "))
}

// childShards is how many cursors a child moves at once, in shared batches.
const childShards = 4

// childCursor counts: each batch has the next ten events of the shard, and the
// cursor says how many there were.
func childCursor(ctx context.Context, b *Bus, shard string) {
	out := b.Source("s3")
	cursor, err := out.Cursor(ctx, shard)
	report(err)
	n, _ := strconv.Atoi(string(cursor))
	for {
		events := make([]event.Event, 10)
		for i := range events {
			events[i] = sample(fmt.Sprintf("cursor-%s-%d", shard, n+i))
		}
		n += len(events)
		report(out.PublishAt(ctx, shard, []byte(strconv.Itoa(n)), events...), events[0].ID, events[9].ID)
	}
}

// childLedger writes snapshots of three chunks with the same number.
func childLedger(ctx context.Context, b *Bus) {
	last, data, err := b.LastRecord(ctx, "c")
	report(err)
	n, _ := strconv.Atoi(string(data))
	for {
		n++
		chunk := []byte(strconv.Itoa(n))
		_, last, err = b.AppendSnapshot(ctx, "c", last, [][]byte{chunk, chunk, chunk})
		report(err)
		fmt.Println("record", n)
	}
}

// A process is killed with -9 while it publishes, again and again. Nothing that
// was acknowledged is missing (invariant I1), a cursor agrees with its events, and a snapshot is
// there as a whole or not at all.
func TestKilledWhilePublishing(t *testing.T) {
	o := small(t)
	stored := map[string]bool{}
	record := 0
	const kills = 6
	for kill := range kills {
		runChild(t, o.Dir, 150+kill*137, stored, &record)
		checkAfterKill(t, o, stored, record)
	}
	t.Logf("%d ids acknowledged, %d snapshots, %d kills", len(stored), record, kills)
}

// runChild starts a child, takes so many lines of it, kills it, and reads what
// it had still written.
func runChild(t *testing.T, dir string, lines int, stored map[string]bool, record *int) {
	t.Helper()
	command := exec.CommandContext(limited(t), os.Args[0], "-test.run=^$")
	command.Env = append(os.Environ(), childVariable+"="+dir)
	command.Stderr = os.Stderr
	pipe, err := command.StdoutPipe()
	check(t, err)
	check(t, command.Start())
	scanner := bufio.NewScanner(pipe)
	for n := 0; scanner.Scan(); n++ {
		fields := strings.Fields(scanner.Text())
		switch fields[0] {
		case "stored":
			for _, id := range fields[1:] {
				stored[id] = true
			}
		case "record":
			*record, _ = strconv.Atoi(fields[1])
		default:
			t.Errorf("child: %s", scanner.Text())
		}
		if n == lines {
			check(t, command.Process.Kill())
		}
	}
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) {
		t.Fatalf("child: %v", err)
	}
}

func checkAfterKill(t *testing.T, o Options, stored map[string]bool, record int) {
	t.Helper()
	start := time.Now()
	b, err := Open(t.Context(), o)
	check(t, err)
	t.Logf("open after kill: %v", time.Since(start))
	defer shut(t, b)
	count := map[string]int{}
	var cursors [childShards]int
	for _, id := range ids(t, b) {
		count[id]++
		if rest, counted := strings.CutPrefix(id, "cursor-"); counted {
			shard, _ := strconv.Atoi(rest[:1])
			equal(t, "order", id, fmt.Sprintf("cursor-%d-%d", shard, cursors[shard]))
			cursors[shard]++
		}
	}
	for id := range stored {
		equal(t, "stored "+id, count[id], 1)
	}
	for shard, n := range cursors {
		cursor, _ := strconv.Atoi(string(must(b.Source("s3").Cursor(limited(t), strconv.Itoa(shard)))(t)))
		equal(t, "cursor", cursor, n)
	}
	var numbers []string
	check(t, b.ReadRecords(limited(t), "c", 1, func(_ uint64, _ time.Time, data []byte) error {
		numbers = append(numbers, string(data))
		return nil
	}))
	if len(numbers)%3 != 0 || len(numbers)/3 < record {
		t.Fatalf("%d records of %d snapshots", len(numbers), record)
	}
	for i, number := range numbers {
		equal(t, "record", number, strconv.Itoa(i/3+1))
	}
}
