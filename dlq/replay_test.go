package dlq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/bus"
	"sluice/dlq"
	"sluice/event"
)

func TestReplay(t *testing.T) {
	b := openBus(t, bus.Options{})
	s := openStore(t, b, func(o *dlq.Options) {
		o.Settled = each(func(id string) bool { return id != "inc.250.resize" })
		o.Known = func(trigger string) bool { return trigger != "gone" }
	})
	for i := range 250 {
		put(t, s, letter(uint64(i+1), "resize"))
	}
	undecodable := letter(251, "resize")
	undecodable.Event, undecodable.Reason, undecodable.Raw = nil, dlq.ReasonUndecodable, []byte("?")
	put(t, s, undecodable, letter(252, "gone"))
	job, err := s.Replay(t.Context(), dlq.ReplayRequest{})
	if err != nil || job.Total != 252 || job.State != dlq.Running {
		t.Fatalf("%+v, %v", job, err)
	}
	put(t, s, letter(300, "resize")) // too late for the job
	run(t, s)
	job = jobEnds(t, s, job.ID)
	wantSkipped := map[string]int{dlq.SkipUnsettled: 1, dlq.SkipUndecodable: 1, dlq.SkipUnknown: 1}
	if job.State != dlq.Finished || job.Replayed != 249 || fmt.Sprint(job.Skipped) != fmt.Sprint(wantSkipped) {
		t.Errorf("%+v", job)
	}
	if left := list(t, s, dlq.Filter{}); len(left) != 4 {
		t.Errorf("%d letters are left", len(left))
	}
	eachOnce(t, directed(t, b), 249)
}

// eachOnce checks that letters 1 to n of the trigger resize have one entry each.
func eachOnce(t *testing.T, origins map[string]int, n int) {
	t.Helper()
	if len(origins) != n {
		t.Errorf("%d letters have entries, want %d", len(origins), n)
	}
	for i := 1; i <= n; i++ {
		if id := fmt.Sprintf("inc.%d.resize", i); origins[id] != 1 {
			t.Fatalf("%s has %d entries", id, origins[id])
		}
	}
}

func TestAReplayedEntryIsTheEvent(t *testing.T) {
	b := openBus(t, bus.Options{})
	s := openStore(t, b)
	l := letter(1, "resize")
	put(t, s, l)
	job, err := s.Replay(t.Context(), dlq.ReplayRequest{Filter: dlq.Filter{IDs: []string{"inc.1.resize"}}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	jobEnds(t, s, job.ID)
	stretch, err := b.Range(t.Context(), 1, 100, 1<<20)
	if err != nil || len(stretch.Entries) != 1 {
		t.Fatalf("%+v, %v", stretch, err)
	}
	entry := stretch.Entries[0]
	if entry.Trigger != "resize" || entry.Origin != "inc.1.resize" || string(entry.Event.AppendJSON(nil)) != string(l.Event.AppendJSON(nil)) {
		t.Errorf("%+v", entry)
	}
}

// TestLettersAreReadFromTheLeader, which has all of them. Any replica may answer a
// direct get (ADR-31): one that lags would say of a letter that it is gone, and the
// replay would leave it out.
func TestLettersAreReadFromTheLeader(t *testing.T) {
	b := openBus(t, bus.Options{})
	var asked atomic.Int64
	for _, subject := range []string{b.Names().Letters, b.Names().Letters + ".>"} {
		_, err := b.JetStream().Conn().Subscribe("$JS.API.DIRECT.GET."+subject, func(m *nats.Msg) {
			asked.Add(1)
			_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"404"}, "Description": {"Message Not Found"}}})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, b)
	for i := range 20 {
		put(t, s, letter(uint64(i+1), "resize"))
	}
	if _, err := s.Get(t.Context(), "inc.1.resize"); err != nil {
		t.Error(err)
	}
	if found := list(t, s, dlq.Filter{IDs: []string{"inc.2.resize"}}); len(found) != 1 {
		t.Errorf("found: %+v", found)
	}
	job, err := s.Replay(t.Context(), dlq.ReplayRequest{})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	if job = jobEnds(t, s, job.ID); job.Replayed != 20 || asked.Load() > 0 {
		t.Errorf("%d times any replica was asked: %+v", asked.Load(), job)
	}
}

func TestBadRate(t *testing.T) {
	s := openStore(t, openBus(t, bus.Options{}))
	_, err := s.Replay(t.Context(), dlq.ReplayRequest{Rate: -1})
	if want := "the replay's rate is -1: ask for letters a second, or 0 for as fast as it goes"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestRateIsKept(t *testing.T) {
	b := openBus(t, bus.Options{})
	s := openStore(t, b)
	for i := range 30 {
		put(t, s, letter(uint64(i+1), "resize"))
	}
	run(t, s)
	began := time.Now()
	job, err := s.Replay(t.Context(), dlq.ReplayRequest{Rate: 40})
	if err != nil {
		t.Fatal(err)
	}
	jobEnds(t, s, job.ID)
	// A first batch of ten comes at once; the other twenty take half a second.
	if took := time.Since(began); took < 450*time.Millisecond {
		t.Errorf("30 letters at 40 a second took %v", took)
	}
	eachOnce(t, directed(t, b), 30)
}

func TestCancelStopsASlowReplay(t *testing.T) {
	b := openBus(t, bus.Options{})
	s := openStore(t, b)
	for i := range 10 {
		put(t, s, letter(uint64(i+1), "resize"))
	}
	stop := run(t, s)
	job, err := s.Replay(t.Context(), dlq.ReplayRequest{Rate: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a letter is replayed", func() bool {
		job, err = s.Job(t.Context(), job.ID)
		return err == nil && job.Replayed > 0
	})
	if err := s.Cancel(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Cancel(t.Context(), job.ID); !errors.Is(err, dlq.ErrEnded) {
		t.Errorf("cancelled twice: %v", err)
	}
	if err := s.Cancel(t.Context(), "nobody"); !errors.Is(err, dlq.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	next, err := s.Replay(t.Context(), dlq.ReplayRequest{}) // is not held up by the first one's rate
	if err != nil {
		t.Fatal(err)
	}
	if next = jobEnds(t, s, next.ID); next.State != dlq.Finished {
		t.Errorf("%+v", next)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	eachOnce(t, directed(t, b), 10)
	again := openStore(t, b)
	jobs, err := again.Jobs(t.Context())
	if err != nil || len(jobs) != 2 || jobs[0].State != dlq.Cancelled || jobs[1].State != dlq.Finished {
		t.Errorf("%+v, %v", jobs, err)
	}
}

func TestOldJobsAreForgotten(t *testing.T) {
	b := openBus(t, bus.Options{})
	s := openStore(t, b)
	run(t, s)
	var last dlq.Job
	for range 103 {
		var err error
		if last, err = s.Replay(t.Context(), dlq.ReplayRequest{}); err != nil {
			t.Fatal(err)
		}
		jobEnds(t, s, last.ID)
	}
	eventually(t, "a hundred are kept", func() bool {
		names, err := b.Positions(t.Context())
		return err == nil && len(names) == 100
	})
	if _, err := openStore(t, b).Job(t.Context(), last.ID); err != nil {
		t.Error(err)
	}
}

// A doubtful log is the bus with answers that get lost.
type doubtful struct {
	*bus.Bus
	direct func(n int64, store func() error) error
	blind  atomic.Bool // positions cannot be read
	calls  atomic.Int64
}

var errLost = errors.New("the answer was lost")

func (d *doubtful) Direct(ctx context.Context, job string, position []byte, entries ...event.Directed) error {
	return d.direct(d.calls.Add(1), func() error { return d.Bus.Direct(ctx, job, position, entries...) })
}

func (d *doubtful) Position(ctx context.Context, job string) ([]byte, error) {
	if d.blind.Load() {
		d.blind.Store(false)
		return nil, errLost
	}
	return d.Bus.Position(ctx, job)
}

func TestLostAnswers(t *testing.T) {
	for name, direct := range map[string]func(d *doubtful) func(int64, func() error) error{
		"stored": func(*doubtful) func(int64, func() error) error {
			return func(n int64, store func() error) error { return errors.Join(store(), lostOn(n == 2)) }
		},
		"not stored": func(*doubtful) func(int64, func() error) error {
			return func(n int64, store func() error) error {
				if n == 2 {
					return errLost
				}
				return store()
			}
		},
		"stored, and the position cannot be read": func(d *doubtful) func(int64, func() error) error {
			return func(n int64, store func() error) error {
				d.blind.Store(n == 2)
				return errors.Join(store(), lostOn(n == 2))
			}
		},
		"not stored, and the position cannot be read": func(d *doubtful) func(int64, func() error) error {
			return func(n int64, store func() error) error {
				if d.blind.Store(n == 2); n == 2 {
					return errLost
				}
				return store()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := openBus(t, bus.Options{})
			log := &doubtful{Bus: b}
			log.direct = direct(log)
			s := openStore(t, b, func(o *dlq.Options) { o.Log = log })
			for i := range 250 {
				put(t, s, letter(uint64(i+1), "resize"))
			}
			run(t, s)
			job, err := s.Replay(t.Context(), dlq.ReplayRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if job = jobEnds(t, s, job.ID); job.Replayed != 250 {
				t.Errorf("%+v", job)
			}
			eachOnce(t, directed(t, b), 250)
		})
	}
}

func lostOn(lost bool) error {
	if lost {
		return errLost
	}
	return nil
}

// The write of unknown fate is stored late, after its position was read and
// found to be the old one: the run ends, and the next one goes on behind it.
func TestALateWriteFencesTheRun(t *testing.T) {
	b := openBus(t, bus.Options{})
	var late func() error
	log := &doubtful{Bus: b}
	log.direct = func(n int64, store func() error) error {
		switch n {
		case 2:
			late = store
			return errLost
		case 3:
			if err := late(); err != nil {
				t.Error(err)
			}
			return fmt.Errorf("storing: %w", event.ErrFenced)
		}
		return store()
	}
	s := openStore(t, b, func(o *dlq.Options) { o.Log = log })
	for i := range 150 {
		put(t, s, letter(uint64(i+1), "resize"))
	}
	job, err := s.Replay(t.Context(), dlq.ReplayRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); !errors.Is(err, event.ErrFenced) {
		t.Fatalf("the first run: %v", err)
	}
	run(t, s)
	if job = jobEnds(t, s, job.ID); job.Replayed != 150 {
		t.Errorf("%+v", job)
	}
	eachOnce(t, directed(t, b), 150)
}

// Killed when the entries are durable and the letters are still there: the next
// run deletes these first, and directs none of them again (invariants I3 and I6).
func TestKilledBetweenEntriesAndDeletes(t *testing.T) {
	b := openBus(t, bus.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	log := &doubtful{Bus: b}
	log.direct = func(n int64, store func() error) error {
		err := store()
		if n == 2 {
			cancel()
		}
		return err
	}
	s := openStore(t, b, func(o *dlq.Options) { o.Log = log })
	for i := range 150 {
		put(t, s, letter(uint64(i+1), "resize"))
	}
	job, err := s.Replay(t.Context(), dlq.ReplayRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if left, entries := len(list(t, s, dlq.Filter{})), len(directed(t, b)); left != 150 || entries != 100 {
		t.Fatalf("%d letters are left and %d have entries", left, entries)
	}
	again := openStore(t, b)
	if err := again.Cancel(t.Context(), job.ID); err != nil { // also deletes what is replayed
		t.Fatal(err)
	}
	if left := len(list(t, again, dlq.Filter{})); left != 50 {
		t.Fatalf("%d letters are left", left)
	}
	run(t, again)
	if job, err = again.Replay(t.Context(), dlq.ReplayRequest{}); err != nil {
		t.Fatal(err)
	}
	jobEnds(t, again, job.ID)
	eachOnce(t, directed(t, b), 150)
}

// A job's record that cannot be read is left as it is, and holds up nothing.
func TestANewerJobIsLeftAlone(t *testing.T) {
	b := openBus(t, bus.Options{})
	for name, position := range map[string]string{"dlq-newer": `{"v":2,"state":7}`, "dlq-newer2": `{"v":2}`, "history-1": "?"} {
		if err := b.Direct(t.Context(), name, []byte(position)); err != nil {
			t.Fatal(err)
		}
	}
	s := openStore(t, b)
	jobs, err := s.Jobs(t.Context())
	if err != nil || len(jobs) != 0 {
		t.Errorf("%+v, %v", jobs, err)
	}
	run(t, s)
	job, err := s.Replay(t.Context(), dlq.ReplayRequest{})
	if err != nil {
		t.Fatal(err)
	}
	jobEnds(t, s, job.ID)
	if stored, err := b.Position(t.Context(), "dlq-newer"); err != nil || string(stored) != `{"v":2,"state":7}` {
		t.Errorf("%s, %v", stored, err)
	}
}

// A job that is made while Run reads the jobs is not forgotten.
func TestAJobMadeWhileRunBegins(t *testing.T) {
	b := openBus(t, bus.Options{})
	for range 50 {
		s := openStore(t, b)
		stop := run(t, s)
		job, err := s.Replay(t.Context(), dlq.ReplayRequest{})
		if err != nil {
			t.Fatal(err)
		}
		jobEnds(t, s, job.ID)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// A letter that the bus does not take any more is left, and holds up no other.
func TestALetterTooLargeForTheBus(t *testing.T) {
	dir := t.TempDir()
	b, err := bus.Open(t.Context(), bus.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	large := letter(11, "resize")
	large.Event.Data = make([]byte, 300<<10)
	s := openStore(t, b)
	for i := range 10 {
		put(t, s, letter(uint64(i+1), "resize"))
	}
	put(t, s, large)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b = openBus(t, bus.Options{Dir: dir, MaxEventSize: 100 << 10})
	s = openStore(t, b)
	run(t, s)
	job, err := s.Replay(t.Context(), dlq.ReplayRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if job = jobEnds(t, s, job.ID); job.Replayed != 10 || job.Skipped[dlq.SkipTooLarge] != 1 {
		t.Errorf("%+v", job)
	}
	eachOnce(t, directed(t, b), 10)
	if left := list(t, s, dlq.Filter{}); len(left) != 1 {
		t.Errorf("%+v", left)
	}
}

func TestOpenRefuses(t *testing.T) {
	b := openBus(t, bus.Options{})
	_, err := dlq.Open(t.Context(), b.JetStream(), dlq.Options{Prefix: "sluice", Logger: slog.New(slog.DiscardHandler)})
	if err == nil || err.Error() != "dlq: Prefix, Stream, Log and Settled are required" {
		t.Errorf("got %v", err)
	}
	_, err = dlq.Open(t.Context(), b.JetStream(), dlq.Options{Prefix: "sluice", Stream: "NONE", Log: b, Settled: always})
	if err == nil {
		t.Error("a stream that is not there was opened")
	}
}
