package cron

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sluice/config"
	"sluice/event"
	"sluice/sources"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A clock is the wall clock of a test: the bubble's, moved by a jump.
type clock struct {
	mu   sync.Mutex
	jump time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.jump)
}

func (c *clock) set(jump time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jump = jump
}

// A rig runs sources inside a bubble of package synctest, whose clock begins at
// 2000-01-01T00:00:00Z.
type rig struct {
	clock     *clock
	scheduler *Scheduler
	log       bytes.Buffer
	health    []error
}

func newRig() *rig {
	c := &clock{}
	return &rig{clock: c, scheduler: NewScheduler(c.now)}
}

func (r *rig) source(t *testing.T, name, schedule string) sources.Source {
	t.Helper()
	return r.configured(t, name, func(c *Config) { c.Schedule = schedule })
}

func configOf(r *rig, set func(*Config)) *Config {
	section := Adapter(r.scheduler).Config().(*Config)
	set(section)
	return section
}

func age(d time.Duration) config.Duration { return config.Duration(d) }

func (r *rig) configured(t *testing.T, name string, set func(*Config)) sources.Source {
	t.Helper()
	section := configOf(r, set)
	env := sourcetest.Env(name, nil)
	env.Now = r.clock.now
	env.Logger = slog.New(slog.NewTextHandler(&r.log, nil))
	env.Report = func(err error) { r.health = append(r.health, err) }
	built, err := section.Source(env)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// start runs the source until stop is called. (The suite's Run asks for the
// test's deadline, which a bubble does not have.)
func start(t *testing.T, source sources.Source, out sources.Out) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- source.Run(ctx, out) }()
	return func() {
		early := len(ended) > 0
		cancel()
		if err := <-ended; err != nil || early {
			t.Errorf("Run returned %v; by itself: %v", err, early)
		}
	}
}

// wait lets time pass, and then whatever is to be done be done.
func wait(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

// fired returns the ticks of the events, as text.
func fired(out *sourcetest.Out) string {
	var all []string
	for _, e := range out.Events() {
		all = append(all, e.Time.Format("15:04:05"))
	}
	return strings.Join(all, " ")
}

func wantFired(t *testing.T, out *sourcetest.Out, want string) {
	t.Helper()
	if got := fired(out); got != want {
		t.Fatalf("fired %q, want %q", got, want)
	}
}

func TestEventOfATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out := newRig(), sourcetest.NewOut()
		section := Adapter(rig.scheduler).Config().(*Config)
		section.Schedule, section.Timezone = "30 1 * * *", "Europe/Berlin"
		section.Data = map[string]any{"job": "report", "n": 3}
		built, err := section.Source(sourcetest.Env("nightly", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer start(t, built, out)()
		wait(time.Hour)
		events := out.Events()
		if len(events) != 1 {
			t.Fatalf("%d events, want 1", len(events))
		}
		got := fmt.Sprintf("%s %s %s %s %s %s %s %v", events[0].ID, events[0].Source, events[0].Type, events[0].Subject,
			events[0].Time.Format(time.RFC3339), events[0].DataContentType, events[0].Data, events[0].Extensions)
		want := `nightly/2000-01-01T00:30:00Z cron://nightly cron.tick nightly 2000-01-01T00:30:00Z application/json {"job":"report","n":3} map[partitionkey:nightly]`
		if got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	})
}

func TestTicksOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newRig()
		fast, slow := sourcetest.NewOut(), sourcetest.NewOut()
		defer start(t, rig.source(t, "fast", "@every 20s"), fast)()
		defer start(t, rig.source(t, "slow", "* * * * *"), slow)()
		wait(20*time.Second - 1)
		wantFired(t, fast, "")
		wait(1)
		wantFired(t, fast, "00:00:20")
		wait(100 * time.Second)
		wantFired(t, fast, "00:00:20 00:00:40 00:01:00 00:01:20 00:01:40 00:02:00")
		wantFired(t, slow, "00:01:00 00:02:00")
	})
}

// I5: a stop and start at any moment around a tick fires it once.
func TestRestartOnATick(t *testing.T) {
	for _, pause := range []time.Duration{0, 1, time.Second, 30 * time.Second} {
		for _, before := range []time.Duration{0, 1, time.Second} {
			t.Run(fmt.Sprintf("stopped %s before for %s", before, pause), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rig, out := newRig(), sourcetest.NewOut()
					stop := start(t, rig.source(t, "a", "* * * * *"), out)
					time.Sleep(time.Minute - before)
					stop()
					time.Sleep(pause)
					out = out.Restart()
					defer start(t, rig.source(t, "a", "* * * * *"), out)()
					wait(time.Second)
					wantFired(t, out, "00:01:00")
					if n := len(out.Repeats()); n > 0 {
						t.Errorf("%d events were published again", n)
					}
				})
			})
		}
	}
}

// A kill on the first tick of all does not lose it: when the schedule began is
// stored before.
func TestKillBeforeTheFirstTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out := newRig(), sourcetest.NewOut()
		time.Sleep(time.Minute - 1)
		stop := start(t, rig.source(t, "a", "* * * * *"), out)
		synctest.Wait()
		stop()
		time.Sleep(time.Second)
		defer start(t, rig.source(t, "a", "* * * * *"), out.Restart())()
		synctest.Wait()
		wantFired(t, out, "00:01:00")
	})
}

func TestDowntimeBeyondGraceIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out := newRig(), sourcetest.NewOut()
		stop := start(t, rig.source(t, "a", "@every 30s"), out)
		wait(30 * time.Second)
		stop()
		time.Sleep(time.Hour + 10*time.Second)
		defer start(t, rig.source(t, "a", "@every 30s"), out.Restart())()
		wait(0)
		wantFired(t, out, "00:00:30 01:00:00 01:00:30")
		if !strings.Contains(rig.log.String(), `msg="ticks are skipped, as their time has passed" tick=2000-01-01T00:01:00.000Z catch_up=skip`) {
			t.Errorf("the log does not say that ticks were skipped:\n%s", rig.log.String())
		}
	})
}

func TestFirstStartAndChangedSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out := newRig(), sourcetest.NewOut()
		time.Sleep(time.Minute + time.Second)
		stop := start(t, rig.source(t, "a", "* * * * *"), out)
		wait(time.Minute)
		wantFired(t, out, "00:02:00")
		stop()
		out = out.Restart()
		defer start(t, rig.source(t, "a", "0/15 * * * * *"), out)()
		wait(15 * time.Second)
		wantFired(t, out, "00:02:00 00:02:15")
	})
}

func TestFailingPublishIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out := newRig(), sourcetest.NewOut()
		source := rig.source(t, "a", "@every 10s")
		stop := start(t, source, out)
		wait(5 * time.Second)
		out.FailWith(event.ErrUnavailable)
		wait(32 * time.Second)
		wantFired(t, out, "")
		if age, n := source.(sources.Lagging).Lag(); n != 3 || age != 27*time.Second {
			t.Errorf("lag is %s, %d; want 27s, 3", age, n)
		}
		out.FailWith(nil)
		wait(retryMax * 2)
		wantFired(t, out, "00:00:10 00:00:20 00:00:30 00:00:40")
		stop()
		if age, n := source.(sources.Lagging).Lag(); n != 0 || age != 0 {
			t.Errorf("lag is %s, %d; want none", age, n)
		}
		if len(rig.health) != 2 || !errors.Is(rig.health[0], event.ErrUnavailable) || rig.health[1] != nil {
			t.Errorf("reported %v, want the error once and then nil", rig.health)
		}
	})
}

// A tick that was noticed in time waits for the bus however long, unless a newer
// one comes.
func TestLongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, daily, often := newRig(), sourcetest.NewOut(), sourcetest.NewOut()
		defer start(t, rig.source(t, "daily", "1 0 * * *"), daily)()
		defer start(t, rig.source(t, "often", "*/5 * * * *"), often)()
		wait(time.Second)
		daily.FailWith(event.ErrUnavailable)
		often.FailWith(event.ErrUnavailable)
		wait(33 * time.Minute)
		daily.FailWith(nil)
		often.FailWith(nil)
		wait(2 * retryMax)
		wantFired(t, daily, "00:01:00")
		wantFired(t, often, "00:30:00")
	})
}

// An answer that is lost is found out: the tick is not published again, and
// ticks that came meanwhile follow.
func TestLostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out := newRig(), sourcetest.NewOut()
		lossy := &lossy{Out: out}
		defer start(t, rig.source(t, "a", "@every 1s"), lossy)()
		wait(time.Second / 2)
		lossy.lose.Store(true)
		wait(4 * time.Second)
		lossy.lose.Store(false)
		wait(retryMax * 2)
		want := ticksFrom("2000-01-01T00:00:01Z", len(out.Events()))
		if len(out.Events()) < 9 || fired(out) != want {
			t.Errorf("fired %q, want %q", fired(out), want)
		}
		if n := len(out.Repeats()); n > 0 {
			t.Errorf("%d ticks were stored again", n)
		}
	})
}

func ticksFrom(first string, n int) string {
	at, _ := time.Parse(time.RFC3339, first)
	var all []string
	for i := range n {
		all = append(all, at.Add(time.Duration(i)*time.Second).Format("15:04:05"))
	}
	return strings.Join(all, " ")
}

// A fence stops the source with an error that says so, and the next run goes on.
func TestFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out := newRig(), sourcetest.NewOut()
		ended := make(chan error, 1)
		go func() { ended <- rig.source(t, "a", "@every 10s").Run(t.Context(), out) }()
		wait(10 * time.Second)
		out.Fence(shard)
		err := <-ended
		const want = `cron source "a": publish the tick of 2000-01-01T00:00:20Z: shard tick: fenced: another instance has taken over`
		if !errors.Is(err, event.ErrFenced) || err.Error() != want {
			t.Errorf("\n got %v\nwant %s", err, want)
		}
		wantFired(t, out, "00:00:10")
		defer start(t, rig.source(t, "a", "@every 10s"), out.Restart())()
		wait(10 * time.Second)
		wantFired(t, out, "00:00:10 00:00:20 00:00:30")
	})
}

// Two instances over one cursor: whoever is fenced starts again, and each tick is
// stored once.
func TestTwoInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out := newRig(), sourcetest.NewOut()
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for range 2 {
			running.Go(func() {
				for ctx.Err() == nil {
					if err := rig.source(t, "a", "@every 10s").Run(ctx, out.Restart()); err != nil && !errors.Is(err, event.ErrFenced) {
						t.Error(err)
					}
				}
			})
		}
		wait(time.Minute)
		cancel()
		running.Wait()
		wantFired(t, out, "00:00:10 00:00:20 00:00:30 00:00:40 00:00:50 00:01:00")
	})
}

// A clock that is set back repeats nothing, and one that is set forward skips
// what is older than Grace.
func TestClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig, out := newRig(), sourcetest.NewOut()
		stop := start(t, rig.source(t, "a", "*/5 * * * *"), out)
		wait(10*time.Minute + time.Second)
		wantFired(t, out, "00:05:00 00:10:00")
		rig.clock.set(-6 * time.Minute) // 00:04:01
		wait(10 * time.Minute)          // 00:14:01
		wantFired(t, out, "00:05:00 00:10:00")
		wait(time.Minute)
		wantFired(t, out, "00:05:00 00:10:00 00:15:00")
		rig.clock.set(2 * time.Hour) // about 02:21
		wait(checkEvery)
		wantFired(t, out, "00:05:00 00:10:00 00:15:00")
		wait(4 * time.Minute)
		wantFired(t, out, "00:05:00 00:10:00 00:15:00 02:25:00")
		stop()
		rig.clock.set(0)
		defer start(t, rig.source(t, "a", "*/5 * * * *"), out.Restart())()
		wait(time.Hour)
		wantFired(t, out, "00:05:00 00:10:00 00:15:00 02:25:00")
		if !strings.Contains(rig.log.String(), "the clock is behind the last tick") {
			t.Errorf("the log does not say that the clock is behind:\n%s", rig.log.String())
		}
	})
}

// A source that has stopped leaves nothing behind in the scheduler.
func TestStoppedSourceIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newRig()
		defer start(t, rig.source(t, "a", "@daily"), sourcetest.NewOut())()
		stop := start(t, rig.source(t, "b", "@hourly"), sourcetest.NewOut())
		wait(time.Minute)
		if n := len(rig.scheduler.alarms); n != 2 {
			t.Errorf("%d alarms, want 2", n)
		}
		stop()
		if n := len(rig.scheduler.alarms); n != 1 {
			t.Errorf("%d alarms after one source has stopped, want 1", n)
		}
	})
}

// I4: a publish that hangs delays no other schedule.
func TestSlowPublishDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := newRig()
		slow, quick := sourcetest.NewOut(), sourcetest.NewOut()
		defer start(t, rig.source(t, "slow", "@every 1s"), slow)()
		defer start(t, rig.source(t, "quick", "@every 1s"), quick)()
		wait(time.Second / 2)
		unblock := slow.Block()
		wait(10 * time.Second)
		wantFired(t, slow, "")
		wantFired(t, quick, ticksFrom("2000-01-01T00:00:01Z", 10))
		unblock()
		wait(0)
		if got := fired(slow); got == "" {
			t.Error("nothing has fired after the publish went on")
		}
	})
}

func TestBadCursors(t *testing.T) {
	for data, want := range map[string]string{
		`{`:           `cron source "a": the stored cursor cannot be read: unexpected end of JSON input`,
		`{}`:          `cron source "a": the stored cursor "{}" is not one of a schedule`,
		"{\"v\":1}\n": `cron source "a": the stored cursor "{\"v\":1}\n" is not one of a schedule`,
		`{"v":2}`:     `cron source "a": the stored cursor has format 2, and this program knows up to 1: run a newer one`,
	} {
		out := sourcetest.NewOut()
		out.SetCursor(shard, []byte(data))
		err := newRig().source(t, "a", "@daily").Run(t.Context(), out)
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", data, err, want)
		}
	}
}
