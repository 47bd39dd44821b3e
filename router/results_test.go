package router_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/dlq"
	"sluice/event"
	"sluice/router"
	"sluice/sinks"
)

// record is what the tests tell of a delivery.
func record(e *sinks.End) (event.Event, error) {
	var data []byte
	if e.Delivery.Event.Large == nil {
		data = e.Delivery.Event.Data
	}
	return event.Event{
		ID: e.Delivery.ID, Source: "/results", Type: "told", DataContentType: "application/json", Data: data,
		Subject: fmt.Sprintf("%s %d %v %v %s", e.Delivery.Event.ID, e.Delivery.Attempt, e.Failed, e.Expired, e.Error),
	}, nil
}

// telling returns a trigger "work", and those that are told what came of it.
func telling(work, succeeded, failed func(context.Context, sinks.Delivery) error) []router.Trigger {
	main, good, bad := trigger("work", work), trigger("work-good", succeeded), trigger("work-bad", failed)
	main.Sources = []string{"s"}
	main.Retry.Attempts, main.Retry.Initial, main.Retry.Max = 2, 1, 1
	main.OnSuccess, main.OnFailure = &router.Result{Trigger: good.Name, Record: record}, &router.Result{Trigger: bad.Name, Record: record}
	good.Sources, good.Directed, bad.Sources, bad.Directed = nil, true, nil, true
	return []router.Trigger{main, good, bad}
}

// results are the entries of the log that tell of results, by trigger.
func (f *fixture) results() map[string][]*event.Entry {
	f.t.Helper()
	batch, err := f.bus.Range(f.t.Context(), 1, 100_000, 64<<20)
	if err != nil {
		f.t.Fatal(err)
	}
	all := map[string][]*event.Entry{}
	for _, e := range batch.Entries {
		if e.Trigger != "" {
			all[e.Trigger] = append(all[e.Trigger], e)
		}
	}
	return all
}

// odd fails deliveries with odd numbers.
func odd(_ context.Context, d sinks.Delivery) error {
	if strings.ContainsAny(d.Event.ID[len(d.Event.ID)-1:], "13579") {
		return errors.New("odd")
	}
	return nil
}

func TestResultsAreTold(t *testing.T) {
	f := newFixture(t)
	var good, bad counter
	r := f.startWith(router.Options{Triggers: telling(odd, good.deliver, bad.deliver), Results: f.bus})
	f.publish("s", 0, 40)
	eventually(t, "all are told", func() bool { return good.len() == 20 && bad.len() == 20 })
	a := r.conserved(t)
	if len(a.Triggers) != 3 || a.Triggers[1].Delivered != 20 || a.Triggers[2].Delivered != 20 {
		t.Errorf("%+v", a.Triggers)
	}
	all := f.results()
	for name, want := range map[string]string{"work-good": " 1 false false ", "work-bad": " 2 true false odd"} {
		for _, e := range all[name] {
			origin, err := event.ParseDeliveryID(e.Origin)
			if err != nil || origin.Trigger != "work" || !strings.HasSuffix(e.Event.Subject, want) || !strings.HasPrefix(string(e.Event.Data), `{"n":`) {
				t.Errorf("%s: %+v %+v, %v", name, e, e.Event, err)
			}
		}
	}
}

// TestADirectedTriggerIsOnNoSource: what sources publish never reaches it.
func TestADirectedTriggerIsOnNoSource(t *testing.T) {
	f := newFixture(t)
	var got counter
	one := trigger("one", got.deliver)
	one.Sources, one.Directed = nil, true
	r := f.startWith(router.Options{Triggers: []router.Trigger{one}})
	f.publish("s", 0, 10)
	if _, err := f.bus.PublishDirected(t.Context(), event.Directed{Trigger: "one", Event: event.Event{ID: "only", Source: "/x", Type: "x"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "delivered", func() bool { return got.len() > 0 })
	if a := r.conserved(t); a.Triggers[0].Matched != 1 || got.seen["only"] != 1 {
		t.Errorf("%+v %v", a.Triggers, got.seen)
	}
}

// lettersAway stores letters only while it may.
type lettersAway struct {
	router.Letters
	away atomic.Bool
}

func (l *lettersAway) Put(ctx context.Context, letter *dlq.Letter) error {
	if l.away.Load() {
		return event.ErrUnavailable
	}
	return l.Letters.Put(ctx, letter)
}

// resultsWith publishes nothing while it is told so.
type resultsWith struct {
	router.Results
	away atomic.Bool
}

func (r *resultsWith) PublishResults(ctx context.Context, entries ...event.Directed) error {
	if r.away.Load() {
		return event.ErrUnavailable
	}
	return r.Results.PublishResults(ctx, entries...)
}

// TestResultsAreDurableBeforeTheEnd shows I3: the router ends between any two
// of the steps attempt, letter, record and outcome, and nothing ends untold, nor
// is told twice.
func TestResultsAreDurableBeforeTheEnd(t *testing.T) {
	const each = 10
	none := func(context.Context, sinks.Delivery) error { return nil }
	for name, c := range map[string]struct {
		away          func(*atomic.Bool, *lettersAway, *resultsWith) // what cannot be stored in the first run
		letters, told int                                            // after the first run
	}{
		"the outcome is not written": {func(ledger *atomic.Bool, _ *lettersAway, _ *resultsWith) { ledger.Store(true) }, 0, each},
		"no letter can be stored":    {func(_ *atomic.Bool, l *lettersAway, _ *resultsWith) { l.away.Store(true) }, 0, each},
		"no record can be stored":    {func(_ *atomic.Bool, _ *lettersAway, r *resultsWith) { r.away.Store(true) }, each, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			var away atomic.Bool
			ledger := &ledgerWith{Ledger: f.bus, after: func() error { return nil }, before: func(context.Context) error {
				if away.Load() {
					return event.ErrUnavailable
				}
				return nil
			}}
			letters, results := &lettersAway{Letters: f.letters}, &resultsWith{Results: f.bus}
			o := router.Options{Triggers: telling(odd, none, none), Drain: 1, Ledger: ledger, Letters: letters, Results: results}
			r := f.startOn(o)
			c.away(&away, letters, results)
			f.publish("s", 0, 2*each)
			eventually(t, "it has come so far", func() bool {
				return f.countLetters(t) == c.letters && len(f.results()["work-good"]) == c.told
			})
			_ = r.stop()
			if s := f.results()["work-bad"]; len(s) != 0 {
				t.Errorf("%d failures are told, and none has ended", len(s))
			}
			away.Store(false)
			letters.away.Store(false)
			results.away.Store(false)
			r = f.startOn(o)
			r.conserved(t)
			all := f.results()
			if len(all["work-good"]) != each || len(all["work-bad"]) != each || f.countLetters(t) != each {
				t.Errorf("%d successes and %d failures are told, and there are %d letters", len(all["work-good"]), len(all["work-bad"]), f.countLetters(t))
			}
		})
	}
}

// TestToldAndThenKilled shows I3: the record of a failure is durable, and the
// outcome after it is not.
func TestToldAndThenKilled(t *testing.T) {
	f := newFixture(t)
	none := func(context.Context, sinks.Delivery) error { return nil }
	var away atomic.Bool
	ledger := &ledgerWith{Ledger: f.bus, after: func() error { return nil }, before: func(context.Context) error {
		if away.Load() {
			return event.ErrUnavailable
		}
		return nil
	}}
	told := &resultsThen{Results: f.bus, then: func() { away.Store(true) }}
	o := router.Options{Triggers: telling(odd, none, none), Drain: 1, Ledger: ledger, Letters: f.letters, Results: told}
	r := f.startOn(o)
	f.publish("s", 1, 2)
	eventually(t, "told", func() bool { return len(f.results()["work-bad"]) == 1 })
	_ = r.stop()
	lives, err := r.Life(t.Context(), 1)
	if err == nil && len(lives) == 1 && lives[0].State == "dead" {
		t.Error("it is dead already")
	}
	away.Store(false)
	told.then = func() {}
	r = f.startOn(o)
	if a := r.conserved(t); a.Triggers[0].Dead != 1 || len(f.results()["work-bad"]) != 1 || f.countLetters(t) != 1 {
		t.Errorf("%+v, %d records, %d letters", a.Triggers[0], len(f.results()["work-bad"]), f.countLetters(t))
	}
}

// resultsThen does something when results are durable.
type resultsThen struct {
	router.Results
	then func()
}

func (r *resultsThen) PublishResults(ctx context.Context, entries ...event.Directed) error {
	err := r.Results.PublishResults(ctx, entries...)
	r.then()
	return err
}

func (f *fixture) countLetters(t *testing.T) int {
	t.Helper()
	counts, err := f.letters.Count(t.Context(), dlq.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return counts.Total
}

// TestRecordsThatCannotBeMade: after a success the delivery becomes a letter,
// after a failure the letter is all.
func TestRecordsThatCannotBeMade(t *testing.T) {
	f := newFixture(t)
	none := func(context.Context, sinks.Delivery) error { return nil }
	all := telling(odd, none, none)
	all[0].OnSuccess.Record = func(*sinks.End) (event.Event, error) { return event.Event{}, errors.New("too many hops") }
	all[0].OnFailure.Record = func(*sinks.End) (event.Event, error) { panic("no record") }
	r := f.startWith(router.Options{Triggers: all, Results: f.bus})
	f.publish("s", 0, 2)
	if a := r.conserved(t); a.Triggers[0].Dead != 2 || len(f.results()) != 0 {
		t.Errorf("%+v", a.Triggers[0])
	}
	page, _, err := f.letters.List(t.Context(), dlq.Filter{Reason: "permanent"}, 0, 10)
	if err != nil || len(page) != 1 || page[0].Error != "no record for on_success can be made: too many hops" {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestResultsNeedSomewhereToGo(t *testing.T) {
	f := newFixture(t)
	all := telling(nil, nil, nil)
	for want, o := range map[string]router.Options{
		`trigger "work" tells of its results, and there is nowhere to publish them`:      {Triggers: all},
		`trigger "work" tells the trigger "work-good" of its results, and there is none`: {Triggers: all[:1], Results: f.bus},
	} {
		o.Log, o.Ledger, o.Letters, o.Incarnation = f.bus, f.bus, f.letters, f.bus.Incarnation()
		r, err := router.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Run(t.Context()); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
