//go:build linux && integration

package powercut

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/bus"
	"sluice/event"
)

// A history is what children have said over several power cuts, and what was
// found after them.
type history struct {
	cuts, purged int
	accepted     map[string]bool
	places       map[string]uint64 // where accepted events were found
	line         uint64            // what lies below may have gone
	highest      uint64            // sequence that was seen
	recordLine   uint64            // what lies below may have gone
	record       int               // the last that was durable
	problems     []string
}

func newHistory() *history {
	return &history{accepted: map[string]bool{}, places: map[string]uint64{}}
}

func (h *history) problem(format string, args ...any) {
	if len(h.problems) < 10 {
		h.problems = append(h.problems, fmt.Sprintf(format, args...))
	}
}

// round has a child work on a disk, cuts the power, and looks at what is left,
// which it returns.
func (h *history) round(t *testing.T, disk *Disk, rng *rand.Rand, sync string) *Disk {
	t.Helper()
	dir := t.TempDir()
	unmount := mount(t, disk, dir)
	defer unmount()
	next := h.work(t, disk, dir, rng, sync)
	unmount()
	forget(t, disk)
	if risks := disk.Risks(); len(risks) > 0 {
		h.problem("replaced before what replaces it was durable: %q", risks)
	}
	h.cuts++
	h.look(t, next)
	return next
}

// forget takes away what the program has in memory: it goes with the power.
func forget(t *testing.T, disk *Disk) {
	t.Helper()
	for _, memory := range disk.Links() {
		if err := os.RemoveAll(memory); err != nil {
			t.Fatal(err)
		}
	}
}

// work runs a child until it has said so many lines, and cuts the power. What
// it says after that was durable before, or it is a lie.
func (h *history) work(t *testing.T, disk *Disk, dir string, rng *rand.Rand, sync string) (next *Disk) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), dirVariable+"="+dir, syncVariable+"="+sync)
	command.Stderr = os.Stderr
	pipe, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(pipe)
	scanner.Buffer(nil, 1<<20)
	until := rng.IntN(3000)
	for n := 0; scanner.Scan(); n++ {
		h.note(scanner.Text(), next != nil)
		if n == until {
			next = disk.Cut(rng)
			_ = command.Process.Kill() // it may have seen the cut, and ended
		}
	}
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) {
		t.Fatalf("the child: %v", err)
	}
	if next == nil {
		t.Fatalf("the child has ended by itself: %s", h.problems)
	}
	return next
}

// note takes what a child says. After a cut it may say that it has failed.
func (h *history) note(line string, cut bool) {
	fields := strings.Fields(line)
	switch fields[0] {
	case "stored":
		for _, id := range fields[1:] {
			h.accepted[id] = true
		}
	case "record":
		h.record, _ = strconv.Atoi(fields[1])
	case "line":
		h.line, _ = strconv.ParseUint(fields[1], 10, 64)
		h.recordLine, _ = strconv.ParseUint(fields[2], 10, 64)
	default:
		if !cut {
			h.problem("the child said %q", line)
		}
	}
}

// look opens a copy of what is left, and compares.
func (h *history) look(t *testing.T, disk *Disk) {
	t.Helper()
	dir := t.TempDir()
	if err := disk.Export(dir); err != nil {
		t.Fatal(err)
	}
	b, err := bus.Open(t.Context(), options(dir))
	if err != nil {
		h.problem("the bus does not open: %v", err)
		return
	}
	defer shut(t, b)
	h.events(t, b)
	h.records(t, b)
}

func shut(t *testing.T, b *bus.Bus) {
	t.Helper()
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// events compares the log with what was accepted.
func (h *history) events(t *testing.T, b *bus.Bus) {
	t.Helper()
	first, last, err := b.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if last < h.highest {
		h.problem("the log ends at %d and went up to %d before", last, h.highest)
	}
	if first > h.line+1 {
		h.problem("the log begins at %d and was to keep what lies above %d", first, h.line)
	}
	h.highest = last
	found, counts := map[string]uint64{}, map[string]int{}
	for _, e := range entries(t, b) {
		if e.Err != nil {
			h.problem("sequence %d: %v", e.Sequence, e.Err)
			continue
		}
		found[e.Event.ID] = e.Sequence
		counts[e.Event.ID]++
		if large := e.Event.Large; large != nil && e.Sequence > h.line {
			if _, err := b.Body(t.Context(), large); err != nil {
				h.problem("the data of %s: %v", e.Event.ID, err)
			}
		}
	}
	h.missing(found, counts)
	h.cursors(t, b, found)
	maps.Copy(h.places, found)
}

// entries returns what is in the log.
func entries(t *testing.T, b *bus.Bus) []*event.Entry {
	t.Helper()
	var all []*event.Entry
	for from := uint64(1); ; {
		batch, err := b.Range(t.Context(), from, 1000, 8<<20)
		if err != nil {
			t.Fatal(err)
		}
		if batch.To < from {
			return all
		}
		all, from = append(all, batch.Entries...), batch.To+1
	}
}

func (h *history) missing(found map[string]uint64, counts map[string]int) {
	for id, n := range counts {
		if n > 1 {
			h.problem("%s is there %d times", id, n)
		}
	}
	h.purged = 0
	for id := range h.accepted {
		at, known := h.places[id]
		switch now, there := found[id]; {
		case there && known && now != at:
			h.problem("%s was at %d and is at %d", id, at, now)
		case !there && (!known || at > h.line):
			h.problem("%s was accepted (sequence %d) and is missing", id, at)
		case !there:
			h.purged++
		}
	}
}

// cursors compares each with the events that were stored with it.
func (h *history) cursors(t *testing.T, b *bus.Bus, found map[string]uint64) {
	t.Helper()
	for shard := range shards {
		position, err := b.Source("s3").Cursor(t.Context(), strconv.Itoa(shard))
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(string(position))
		for i := max(0, n-20); i < n+20; i++ {
			id := fmt.Sprintf("cursor-%d-%d", shard, i)
			_, there := found[id]
			at, known := h.places[id]
			if i < n && !there && (!known || at > h.line) {
				h.problem("the cursor stands at %d, and %s is missing", n, id)
			}
			if i >= n && there {
				h.problem("the cursor stands at %d, and %s is there", n, id)
			}
		}
	}
}

// records looks for the last of the ledger, and for snapshots in part.
func (h *history) records(t *testing.T, b *bus.Bus) {
	t.Helper()
	counts, last := map[int]int{}, 0
	err := b.ReadRecords(t.Context(), "c", 1, func(sequence uint64, _ time.Time, data []byte) error {
		if sequence < h.recordLine { // some of it may have gone
			return nil
		}
		text, _, _ := strings.Cut(string(data), " ")
		n, err := strconv.Atoi(text)
		if last != 0 && n != last && n != last+1 {
			h.problem("record %d comes after %d", n, last)
		}
		counts[n]++
		last = n
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if last < h.record {
		h.problem("record %d was durable, and the last is %d", h.record, last)
	}
	if n := counts[last]; last > 0 && n != 1+2*((last+1)%2) {
		h.problem("record %d is there %d times", last, n)
	}
	h.record = last
}
