package cron

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"sluice/sources/sourcetest"
)

// After an hour of downtime each policy publishes what it says, once, and then
// goes on.
func TestCatchUp(t *testing.T) {
	for _, test := range []struct {
		policy CatchUp
		maxAge time.Duration
		want   string
	}{
		{CatchUpSkip, 24 * time.Hour, "00:10:00 01:20:00"},
		{CatchUpLast, 24 * time.Hour, "00:10:00 01:10:00 01:20:00"},
		{CatchUpLast, 2 * time.Minute, "00:10:00 01:20:00"},
		{CatchUpAll, 24 * time.Hour, "00:10:00 00:20:00 00:30:00 00:40:00 00:50:00 01:00:00 01:10:00 01:20:00"},
		{CatchUpAll, 26 * time.Minute, "00:10:00 00:50:00 01:00:00 01:10:00 01:20:00"},
	} {
		t.Run(fmt.Sprintf("%s %s", test.policy, test.maxAge), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rig, out := newRig(), sourcetest.NewOut()
				set := func(c *Config) {
					c.Schedule, c.CatchUp, c.MaxAge = "*/10 * * * *", test.policy, age(test.maxAge)
				}
				stop := start(t, rig.configured(t, "a", set), out)
				wait(11 * time.Minute)
				stop()
				time.Sleep(64 * time.Minute) // 01:15
				stop = start(t, rig.configured(t, "a", set), out.Restart())
				wait(time.Second)
				stop()
				defer start(t, rig.configured(t, "a", set), out.Restart())()
				wait(5 * time.Minute)
				wantFired(t, out, test.want)
			})
		})
	}
}

// A clock that is set forward by a day is a downtime; one that is set back
// repeats nothing, whatever the policy.
func TestClockJumpsWithCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out := newRig(), sourcetest.NewOut()
		set := func(c *Config) { c.Schedule, c.CatchUp, c.MaxAge = "0 */6 * * *", CatchUpAll, age(48*time.Hour) }
		defer start(t, rig.configured(t, "a", set), out)()
		wait(7 * time.Hour)
		rig.clock.set(24 * time.Hour)
		wait(checkEvery)
		rig.clock.set(-24 * time.Hour)
		wait(time.Hour)
		rig.clock.set(0)
		wait(30 * time.Hour)
		var got []string
		for _, e := range out.Events() {
			got = append(got, e.Time.Format("02T15"))
		}
		want := "01T06 01T12 01T18 02T00 02T06 02T12"
		if strings.Join(got, " ") != want {
			t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
		}
	})
}

// More missed ticks than fit into one batch come in several, in order.
func TestCatchUpOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out := newRig(), sourcetest.NewOut()
		set := func(c *Config) { c.Schedule, c.CatchUp = "@every 1s", CatchUpAll }
		stop := start(t, rig.configured(t, "a", set), out)
		wait(0)
		stop()
		const missed = 3*maxPending + 7
		time.Sleep(missed * time.Second)
		defer start(t, rig.configured(t, "a", set), out.Restart())()
		wait(0)
		if fired(out) != ticksFrom("2000-01-01T00:00:01Z", missed) {
			t.Errorf("%d ticks, or not in their order, want %d", len(out.Events()), missed)
		}
	})
}

// Jitter moves a tick by the same length on every start, and never over the
// next one.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out := newRig(), sourcetest.NewOut()
		set := func(c *Config) { c.Schedule, c.Jitter = "* * * * *", age(150*time.Second) }
		p, err := configOf(rig, set).plan("a")
		if err != nil {
			t.Fatal(err)
		}
		stop := start(t, rig.configured(t, "a", set), out)
		var due time.Time
		for n := 1; n <= 20; n++ {
			due = later(due, p.due(time.Date(2000, 1, 1, 0, n, 0, 0, time.UTC)))
			if early := time.Until(due) - 1; early > 0 {
				wait(early)
				if got := len(out.Events()); got > n-1 {
					t.Fatalf("tick %d fired before its time %s", n, due)
				}
			}
			stop()
			stop = start(t, rig.configured(t, "a", set), out.Restart())
			wait(max(time.Until(due), 0))
			if got := len(out.Events()); got < n {
				t.Fatalf("tick %d has not fired at %s", n, due)
			}
		}
		stop()
		for i, e := range out.Events() {
			if want := time.Date(2000, 1, 1, 0, i+1, 0, 0, time.UTC); !e.Time.Equal(want) {
				t.Errorf("tick %d is that of %s", i, e.Time)
			}
		}
	})
}

func TestStartAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out, counted := newRig(), sourcetest.NewOut(), sourcetest.NewOut()
		defer start(t, rig.configured(t, "a", func(c *Config) {
			c.Schedule, c.Start, c.End = "*/10 * * * *", "2000-01-01T00:30:00Z", "2000-01-01T00:50:00Z"
		}), out)()
		defer start(t, rig.configured(t, "b", func(c *Config) {
			c.Schedule, c.Start = "rate(15 minutes)", "2000-01-01T00:07:00Z"
		}), counted)()
		wait(2 * time.Hour)
		wantFired(t, out, "00:30:00 00:40:00 00:50:00")
		wantFired(t, counted, "00:07:00 00:22:00 00:37:00 00:52:00 01:07:00 01:22:00 01:37:00 01:52:00")
	})
}

// The ticks of a rate are counted from its first start, over every restart, and
// an at() fires once in all.
func TestRateAndAtOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, counted, once := newRig(), sourcetest.NewOut(), sourcetest.NewOut()
		wait(90 * time.Second)
		for range 10 {
			stopRate := start(t, rig.source(t, "r", "rate(2 minutes)"), counted.Restart())
			stopAt := start(t, rig.source(t, "o", "at(2000-01-01T00:05:00)"), once.Restart())
			wait(time.Minute)
			stopAt()
			stopRate()
			time.Sleep(30 * time.Second)
		}
		wantFired(t, counted, "00:03:30 00:05:30 00:07:30 00:09:30 00:11:30 00:13:30 00:15:30")
		wantFired(t, once, "00:05:00")
	})
}

func TestCatchUpIsChecked(t *testing.T) {
	for _, test := range []struct {
		set  func(*Config)
		want string
	}{
		{func(c *Config) { c.CatchUp = "first" }, `catch_up: "first": write skip, last or all`},
		{func(c *Config) { c.MaxAge = age(time.Second) }, "max_age: 1s: write 1m to 30d"},
		{func(c *Config) { c.Jitter = age(25 * time.Hour) }, "jitter: 25h: write at most 24h"},
		{func(c *Config) { c.Start = "tomorrow" }, `start: "tomorrow" is not a time: write it as 2027-03-29T02:30:00+01:00`},
		{func(c *Config) { c.Start, c.End = "2027-01-02T00:00:00Z", "2027-01-01T00:00:00Z" }, "end: it is not after start (2027-01-02T00:00:00Z)"},
		{func(c *Config) { c.Start, c.End = "2027-01-01T00:00:01Z", "2027-01-01T01:00:00Z" }, "end: the schedule has no tick up to then"},
	} {
		section := configOf(newRig(), func(c *Config) { c.Schedule = "@daily"; test.set(c) })
		if err := section.Validate(); err == nil || err.Error() != test.want {
			t.Errorf("got  %v\nwant %s", err, test.want)
		}
	}
}

// What is noticed is what a slow look at every tick would notice.
func TestNoticeProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Date(2027, 3, 28, 0, 0, 0, 0, time.UTC)
		schedule, err := Parse(rapid.SampledFrom([]string{"@every 7s", "*/3 * * * *", "0 * * * *", "cron(30 2 * * ? *)"}).Draw(t, "schedule"), time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		p := plan{
			schedule: schedule, name: "p",
			catchUp: rapid.SampledFrom([]CatchUp{CatchUpSkip, CatchUpLast, CatchUpAll}).Draw(t, "catch up"),
			maxAge:  time.Duration(rapid.IntRange(60, 7200).Draw(t, "max age")) * time.Second,
			jitter:  time.Duration(rapid.SampledFrom([]int{0, 1, 30, 600}).Draw(t, "jitter")) * time.Second,
		}
		now := start.Add(time.Duration(rapid.IntRange(0, 3*3600).Draw(t, "away")) * time.Second)
		got := progress{plan: p, seen: start}
		got.notice(now)
		if text, want := fmt.Sprint(got.pending), fmt.Sprint(slowNotice(&p, start, now)); text != want {
			t.Fatalf("got  %s\nwant %s", text, want)
		}
	})
}

func slowNotice(p *plan, seen, now time.Time) []time.Time {
	var due []time.Time
	for tick, ok := p.after(seen); ok && !p.due(tick).After(now); tick, ok = p.after(tick) {
		due = append(due, tick)
	}
	first := 0
	for first < len(due) && p.due(due[first]).Before(now.Add(-p.horizon())) {
		first++
	}
	if newest := len(due) - 1; p.catchUp == CatchUpLast && first == len(due) && newest >= 0 && !p.due(due[newest]).Before(now.Add(-p.maxAge)) {
		first = newest
	}
	kept := due[first:]
	kept = kept[:min(len(kept), maxPending)]
	return kept
}
