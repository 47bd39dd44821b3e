package dlq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/bus"
	"sluice/dlq"
	"sluice/event"
)

// withHistory are the options of a store that replays history. Of the source
// uploads the trigger resize takes all events but those that say so.
func withHistory(b *bus.Bus) dlq.Options {
	return dlq.Options{
		Prefix: b.Prefix(), Stream: b.Names().Letters, Log: b, Settled: always, History: b, Incarnation: "inc",
		Select: func(f *dlq.HistoryFilter) (*dlq.Selection, error) {
			if f.Trigger != "resize" {
				return nil, &dlq.InvalidFilterError{Reason: "there is no such trigger"}
			}
			return &dlq.Selection{Trigger: "resize", Sources: []string{"uploads"}, Takes: takes}, nil
		},
	}
}

func takes(_ context.Context, e *event.Entry) (bool, error) {
	switch e.Event.Subject {
	case "lost":
		return false, event.ErrLost
	case "panic":
		panic("on purpose")
	}
	return e.Event.Subject != "refused", nil
}

func openHistory(t *testing.T, b *bus.Bus, change ...func(*dlq.Options)) *dlq.Store {
	t.Helper()
	return openStore(t, b, append([]func(*dlq.Options){func(o *dlq.Options) { *o = withHistory(b) }}, change...)...)
}

// publish stores the events from one number to another, of the types odd and
// even.
func publish(t *testing.T, b *bus.Bus, from, to int, change ...func(*event.Event)) {
	t.Helper()
	publishOf(t, b, "uploads", from, to, change...)
}

func publishOf(t *testing.T, b *bus.Bus, source string, from, to int, change ...func(*event.Event)) {
	t.Helper()
	events := make([]event.Event, 0, to-from+1)
	for n := from; n <= to; n++ {
		e := event.Event{ID: strconv.Itoa(n), Source: "/bucket", Type: [...]string{"even", "odd"}[n%2], DataContentType: "text/plain", Data: fmt.Append(nil, n)}
		for _, f := range change {
			f(&e)
		}
		events = append(events, e)
	}
	if err := b.Source(source).Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

// odd checks that the odd ones of the first n events have one entry each, which
// is like them, and no other has any.
func odd(t *testing.T, b *bus.Bus, n int) {
	t.Helper()
	seen := map[string]int{}
	original := map[string]*event.Entry{}
	for _, e := range entries(t, b) {
		if e.Trigger == "" {
			original[event.EntryID{Incarnation: "inc", Sequence: e.Sequence}.String()] = e
			continue
		}
		seen[e.Event.ID]++
		from := original[e.Origin]
		if e.Trigger != "resize" || from == nil || !bytes.Equal(from.Event.AppendJSON(nil), e.Event.AppendJSON(nil)) {
			t.Fatalf("an entry: %+v, made from %+v", e, from)
		}
	}
	if len(seen) != n/2 {
		t.Errorf("%d events have entries, want %d", len(seen), n/2)
	}
	for i := 1; i <= n; i += 2 {
		if seen[strconv.Itoa(i)] != 1 {
			t.Fatalf("event %d has %d entries", i, seen[strconv.Itoa(i)])
		}
	}
}

func replayHistory(t *testing.T, s *dlq.Store, f dlq.HistoryFilter) dlq.Job {
	t.Helper()
	f.Trigger = "resize"
	job, err := s.ReplayHistory(t.Context(), dlq.HistoryRequest{Filter: f})
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func TestReplayHistory(t *testing.T) {
	b := openBus(t, bus.Options{})
	s := openHistory(t, b)
	publish(t, b, 1, 500)
	publishOf(t, b, "elsewhere", 1, 10)
	for n, subject := range []string{"refused", "lost", "panic"} {
		publish(t, b, 1001+2*n, 1001+2*n, func(e *event.Event) { e.Subject = subject })
	}
	job := replayHistory(t, s, dlq.HistoryFilter{Type: "o*"})
	if job.Kind != dlq.KindHistory || job.State != dlq.Running || job.First != 1 || job.Last != 513 || s.Line() != 1 {
		t.Fatalf("%+v, line %d", job, s.Line())
	}
	publish(t, b, 501, 510) // too late for the job
	counts, err := s.CountHistory(t.Context(), *job.History)
	if err != nil || counts.Total != 255 || counts.Types["odd"] != 255 || counts.Sources["uploads"] != 255 || counts.First != 1 || counts.Last != 523 {
		t.Errorf("%+v, %v", counts, err)
	}
	run(t, s)
	job = jobEnds(t, s, job.ID)
	wantSkipped := map[string]int{dlq.SkipLost: 1, dlq.SkipUnreadable: 1}
	if job.State != dlq.Finished || job.Replayed != 250 || fmt.Sprint(job.Skipped) != fmt.Sprint(wantSkipped) || s.Line() != math.MaxUint64 {
		t.Errorf("%+v, line %d", job, s.Line())
	}
	odd(t, b, 500)
	again := replayHistory(t, s, dlq.HistoryFilter{Type: "odd", Last: 500}) // what was replayed is no history
	if again = jobEnds(t, s, again.ID); again.Replayed != 250 {
		t.Errorf("%+v", again)
	}
}

// Between two times, as between two sequences.
func TestReplayHistoryBetween(t *testing.T) {
	b := openBus(t, bus.Options{})
	s := openHistory(t, b)
	publish(t, b, 1, 300)
	all := entries(t, b)
	f := dlq.HistoryFilter{Since: all[100].Time, Until: all[200].Time}
	first, last := uint64(0), uint64(0)
	for _, e := range all {
		if !e.Time.Before(f.Since) && e.Time.Before(f.Until) {
			last = e.Sequence
			if first == 0 {
				first = e.Sequence
			}
		}
	}
	run(t, s)
	for _, f := range []dlq.HistoryFilter{f, {First: first, Last: last}} {
		job := replayHistory(t, s, f)
		if job = jobEnds(t, s, job.ID); job.First != first || job.Last != last || job.Replayed != int(last-first+1) || !job.Available.IsZero() {
			t.Errorf("%+v, want %d to %d", job, first, last)
		}
	}
}

func TestBadHistoryFilters(t *testing.T) {
	b := openBus(t, bus.Options{})
	now := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	s := openHistory(t, b, func(o *dlq.Options) { o.Now = func() time.Time { return now } })
	publish(t, b, 1, 9)
	hour := now.Add(-time.Hour)
	for want, f := range map[string]dlq.HistoryFilter{
		"since 2026-03-29T12:00:00Z is not before until 2026-03-29T11:00:00Z":                                           {Since: now, Until: hour},
		"since 2026-03-29T14:00:00Z lies in the future: it is 2026-03-29T12:00:00Z":                                     {Since: now.Add(2 * time.Hour)},
		"until 2026-03-29T14:00:00Z lies in the future: it is 2026-03-29T12:00:00Z; leave it out for all that is there": {Until: now.Add(2 * time.Hour)},
		"since and first: one of them, not both":                                                                        {Since: hour, First: 1},
		"until and last: one of them, not both":                                                                         {Until: now, Last: 1},
		"the filter has 65544 bytes: at most 65536":                                                                     {Type: strings.Repeat("x", 65538)},
		"first 8 is after last 7":                                                                                       {First: 8, Last: 7},
		"first 10 lies in the future: the log ends at 9":                                                                {First: 10},
		"last 10 lies in the future: the log ends at 9; leave it out for all that is there":                             {Last: 10},
	} {
		f.Trigger = "resize"
		_, err := s.ReplayHistory(t.Context(), dlq.HistoryRequest{Filter: f})
		if _, invalid := errors.AsType[*dlq.InvalidFilterError](err); !invalid || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	_, err := s.ReplayHistory(t.Context(), dlq.HistoryRequest{Filter: dlq.HistoryFilter{Trigger: "resize", Until: time.Unix(1, 0)}})
	if !errors.Is(err, dlq.ErrNotFound) || err.Error() != "no event was accepted in that time" {
		t.Errorf("got %v", err)
	}
	_, err = s.ReplayHistory(t.Context(), dlq.HistoryRequest{Filter: dlq.HistoryFilter{Trigger: "resize"}, Rate: math.NaN()})
	if err == nil || err.Error() != "the replay's rate is NaN: ask for events a second, or 0 for as fast as it goes" {
		t.Errorf("got %v", err)
	}
}

// trim takes the log away below a sequence.
func trim(t *testing.T, b *bus.Bus, needed uint64) {
	t.Helper()
	janitor := bus.NewJanitor(b, bus.JanitorOptions{MaxAge: time.Nanosecond, Line: func() (uint64, uint64, bool) { return needed, 0, true }})
	if passed, err := janitor.Pass(t.Context()); err != nil || passed.First != needed {
		t.Fatalf("%+v, %v", passed, err)
	}
}

// Of history that has gone a replay says from when on there is any.
func TestHistoryThatHasGone(t *testing.T) {
	b := openBus(t, bus.Options{})
	s := openHistory(t, b)
	began := time.Now().Add(-time.Minute)
	publish(t, b, 1, 300)
	oldest := entries(t, b)[200].Time
	trim(t, b, 201)
	run(t, s)
	for _, f := range []dlq.HistoryFilter{{Since: began}, {First: 5}} {
		job := replayHistory(t, s, f)
		if job = jobEnds(t, s, job.ID); !job.Available.Equal(oldest) || job.First != 201 || job.Replayed != 100 {
			t.Errorf("%+v, want available from %v on", job, oldest)
		}
	}
	if job := replayHistory(t, s, dlq.HistoryFilter{}); !job.Available.IsZero() { // all that is there
		t.Errorf("%+v", job)
	}
	_, err := s.ReplayHistory(t.Context(), dlq.HistoryRequest{Filter: dlq.HistoryFilter{Trigger: "resize", Since: began, Until: began.Add(time.Second)}})
	want := fmt.Sprintf("history is available from %s on (sequence 201): what was asked for has gone", oldest.UTC().Format(time.RFC3339))
	if !errors.Is(err, dlq.ErrNotFound) || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// What is trimmed while a replay is made is not missed in silence: it looks again
// when it holds the rest.
func TestTrimmedWhileAReplayIsMade(t *testing.T) {
	b := openBus(t, bus.Options{})
	publish(t, b, 1, 300)
	var s *dlq.Store
	s = openHistory(t, b, func(o *dlq.Options) {
		o.Settle = func() {
			if s.Line() != 1 {
				t.Errorf("the line is %d", s.Line())
			}
			trim(t, b, 101) // by a janitor that has asked for the line before
		}
	})
	job := replayHistory(t, s, dlq.HistoryFilter{First: 1})
	if job.Handled != 100 || job.Available.IsZero() || s.Line() != 101 {
		t.Errorf("%+v, line %d", job, s.Line())
	}
}

// New events come first: a replay that stands in their way is cancelled and says
// so, and goes on when it is told to.
func TestAReplayOfHistoryYields(t *testing.T) {
	b := openBus(t, bus.Options{})
	s := openHistory(t, b)
	publish(t, b, 1, 600)
	job := replayHistory(t, s, dlq.HistoryFilter{})
	if s.Yield(1) || !s.Yield(300) || s.Line() != math.MaxUint64 {
		t.Fatalf("the line is %d", s.Line())
	}
	trim(t, b, 300)
	run(t, s)
	if job = jobEnds(t, s, job.ID); job.State != dlq.Cancelled || job.Reason == "" || job.Replayed != 0 {
		t.Fatalf("%+v", job)
	}
	job, err := s.Resume(t.Context(), job.ID)
	if err != nil || job.State != dlq.Running || job.Handled != 299 || job.Available.IsZero() {
		t.Fatalf("%+v, %v", job, err)
	}
	if job = jobEnds(t, s, job.ID); job.State != dlq.Finished || job.Replayed != 301 || job.Reason != "" {
		t.Errorf("%+v", job)
	}
	if _, err := s.Resume(t.Context(), job.ID); !errors.Is(err, dlq.ErrEnded) {
		t.Errorf("got %v", err)
	}
}

// Cancelled and resumed, also by another process: each event once.
func TestAReplayOfHistoryIsResumed(t *testing.T) {
	b := openBus(t, bus.Options{})
	s := openHistory(t, b)
	publish(t, b, 1, 400)
	stop := run(t, s)
	slow, err := s.ReplayHistory(t.Context(), dlq.HistoryRequest{Filter: dlq.HistoryFilter{Trigger: "resize", Type: "odd"}, Rate: 200})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has begun", func() bool { job, err := s.Job(t.Context(), slow.ID); return err == nil && job.Replayed > 0 })
	if err := s.Cancel(t.Context(), slow.ID); err != nil {
		t.Fatal(err)
	}
	cancelled, err := s.Job(t.Context(), slow.ID)
	if err != nil || cancelled.State != dlq.Cancelled || cancelled.Replayed == 200 || s.Line() != math.MaxUint64 {
		t.Fatalf("%+v, %v, line %d", cancelled, err, s.Line())
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s = openHistory(t, b)
	run(t, s)
	if _, err := s.Resume(t.Context(), slow.ID); err != nil || s.Line() != cancelled.Handled+1 {
		t.Fatalf("%v, line %d", err, s.Line())
	}
	if job := jobEnds(t, s, slow.ID); job.State != dlq.Finished || job.Replayed != 200 {
		t.Errorf("%+v", job)
	}
	odd(t, b, 400)
}

// A slow replay of history holds up neither letters nor another one.
func TestReplaysDoNotWaitForEachOther(t *testing.T) {
	b := openBus(t, bus.Options{})
	s := openHistory(t, b)
	publish(t, b, 1, 100)
	put(t, s, letter(1, "resize"))
	run(t, s)
	slow, err := s.ReplayHistory(t.Context(), dlq.HistoryRequest{Filter: dlq.HistoryFilter{Trigger: "resize"}, Rate: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	letters, err := s.Replay(t.Context(), dlq.ReplayRequest{})
	if err != nil {
		t.Fatal(err)
	}
	jobEnds(t, s, letters.ID)
	jobEnds(t, s, replayHistory(t, s, dlq.HistoryFilter{}).ID)
	if job, err := s.Job(t.Context(), slow.ID); err != nil || job.State != dlq.Running {
		t.Errorf("%+v, %v", job, err)
	}
}

// Without room a replay waits, and says why.
func TestAReplayWaitsForRoom(t *testing.T) {
	b := openBus(t, bus.Options{})
	room := make(chan struct{})
	s := openHistory(t, b, func(o *dlq.Options) {
		o.Room = func(context.Context) error {
			select {
			case <-room:
				return nil
			default:
				return event.ErrFull
			}
		}
	})
	publish(t, b, 1, 10)
	run(t, s)
	job := replayHistory(t, s, dlq.HistoryFilter{})
	eventually(t, "it says why it waits", func() bool {
		job, err := s.Job(t.Context(), job.ID)
		return err == nil && job.Problem == event.ErrFull.Error()
	})
	close(room)
	if job = jobEnds(t, s, job.ID); job.Replayed != 10 {
		t.Errorf("%+v", job)
	}
}

// A Run that is told to end while it begins has not failed.
func TestRunEndsAtOnce(t *testing.T) {
	s := openStore(t, openBus(t, bus.Options{}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestAllHistoryHasGone(t *testing.T) {
	b := openBus(t, bus.Options{})
	publish(t, b, 1, 10)
	trim(t, b, 11)
	_, err := openHistory(t, b).ReplayHistory(t.Context(), dlq.HistoryRequest{Filter: dlq.HistoryFilter{Trigger: "resize", Since: time.Now().Add(-time.Hour)}})
	if !errors.Is(err, dlq.ErrNotFound) || err.Error() != "the log holds no event any more: what was asked for has gone" {
		t.Errorf("got %v", err)
	}
}
