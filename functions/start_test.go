//go:build unix

package functions

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func env(name, value string) func(*Spec) {
	return func(s *Spec) {
		if s.Environment == nil {
			s.Environment = map[string]string{}
		}
		s.Environment[name] = value
	}
}

// refuses calls the function, which cannot be started.
func refuses(tb testing.TB, p *Pool) *StartError {
	tb.Helper()
	result, err := p.Invoke(tb.Context(), call(order{}))
	var failed *StartError
	if !errors.As(err, &failed) {
		tb.Fatalf("%.200q, %v", result.Payload, err)
	}
	return failed
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change []func(*Spec)
		want   string
		log    string // the whole
	}{
		{
			"exits",
			[]func(*Spec){env("INIT_EXIT", "7"), env("INIT_SAY", "cannot find the module")},
			`start a worker of function "resize": it has exited with error: exit status 7 before it began an invocation; its last words: "cannot find the module"`,
			"cannot find the module\nINIT_REPORT Init Duration: * ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\n",
		},
		{
			"exits well",
			[]func(*Spec){env("INIT_EXIT", "0")},
			`start a worker of function "resize": it has exited without providing a reason before it began an invocation`,
			"INIT_REPORT Init Duration: * ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\n",
		},
		{
			"takes too long",
			[]func(*Spec){env("INIT_SLEEP", "1m"), func(s *Spec) { s.InitTimeout = 100 * time.Millisecond }},
			`start a worker of function "resize": it did not ask for an invocation within 100ms (init_timeout)`,
			"INIT_REPORT Init Duration: * ms\tPhase: init\tStatus: timeout\n",
		},
		{
			"is not there",
			[]func(*Spec){func(s *Spec) { s.Program.Command = []string{"/nowhere/bootstrap"} }},
			`start a worker of function "resize": start bootstrap: no such file or directory`, "",
		},
		{
			"has no folder",
			[]func(*Spec){func(s *Spec) { s.Program.Dir = "/nowhere" }},
			`start a worker of function "resize": start functions.test: no such file or directory`, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, _ := newPool(t, c.change...)
			failed := refuses(t, p)
			if text := failed.Error(); text != c.want || failed.After <= 0 || failed.After > firstPause {
				t.Errorf("after %v: %s", failed.After, text)
			}
			before, after, _ := strings.Cut(c.log, "*")
			if log := string(failed.Log); !strings.HasPrefix(log, before) || !strings.HasSuffix(log, after) {
				t.Errorf("the log is %q", log)
			}
		})
	}
}

// While workers cannot be started, calls fail at once and start nothing; once
// one could be, all is forgotten.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	mended := filepath.Join(t.TempDir(), "mended")
	p, _ := newPool(t, env("INIT_EXIT", "1"), env("UNLESS", mended))
	for n := 1; n <= 3; n++ {
		until(t, p, "the pause ends", func(s Stats) bool { return s.Backoff == 0 })
		failed := refuses(t, p)
		if s := p.Stats(); s.Failed != n || s.Err == nil {
			t.Errorf("after %d failures: %+v", n, s)
		}
		if longest := firstPause << (n - 1); failed.After < longest/4 || failed.After > longest {
			t.Errorf("after %d failures the next start is in %v", n, failed.After)
		}
		_ = refuses(t, p) // at once
		if s := p.Stats(); s.Failed != n && s.Backoff > 0 {
			t.Errorf("a call in the pause has started something: %+v", s)
		}
	}
	if err := os.WriteFile(mended, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Refresh()
	invoke(t, p, order{})
	if s := p.Stats(); s.Failed != 0 || s.Err != nil {
		t.Errorf("after a success: %+v", s)
	}
}

func TestMaxCalls(t *testing.T) {
	t.Parallel()
	p, _ := newPool(t, func(s *Spec) { s.MaxCalls = 2 })
	pids := map[int]int{}
	for range 6 {
		answer, _ := invoke(t, p, order{})
		pids[answer.PID]++
	}
	if len(pids) != 3 {
		t.Errorf("six calls by two were served by %v", pids)
	}
}

// killed kills a process, and returns when the pool has seen to it: until then
// the kernel may still take an invocation for it.
func killed(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// A provisioned worker is there before the first call, its init is nobody's, and
// it comes back when it was killed, which harms no invocation.
func TestProvisioned(t *testing.T) {
	t.Parallel()
	p, _ := newPool(t, func(s *Spec) { s.Provisioned, s.Idle = 1, time.Millisecond })
	until(t, p, "one is warm", func(s Stats) bool { return s.Idle == 1 })
	first, result := invoke(t, p, order{})
	if result.Report.Init != 0 {
		t.Errorf("the report is %+v", result.Report)
	}
	for range 3 {
		killed(t, first.PID)
		next, _ := invoke(t, p, order{})
		if next.PID == first.PID {
			t.Errorf("process %d still serves", next.PID)
		}
		first = next
	}
	until(t, p, "one is warm", func(s Stats) bool { return s.Idle == 1 })
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	p, _ := newPool(t)
	before, _ := invoke(t, p, order{})
	done := make(chan int)
	go func() {
		answer, _ := invoke(t, p, order{Sleep: 300 * time.Millisecond})
		done <- answer.PID
	}()
	until(t, p, "one runs", func(s Stats) bool { return s.Busy == 1 })
	p.Refresh()
	after, _ := invoke(t, p, order{})
	if pid := <-done; pid != before.PID || after.PID == before.PID {
		t.Errorf("process %d, then %d, and %d after the refresh", before.PID, pid, after.PID)
	}
	until(t, p, "the old one has ended", func(s Stats) bool { return s.Idle == 1 && s.Ending == 0 })
}

func TestSeveralPerWorker(t *testing.T) {
	t.Parallel()
	p, seen := newPool(t, func(s *Spec) { s.Concurrency, s.PerWorker = 8, 4 })
	pids := map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			answer, result := invoke(t, p, order{Do: "log", Text: "line", N: 1, Sleep: 300 * time.Millisecond})
			mu.Lock()
			defer mu.Unlock()
			pids[answer.PID]++
			if len(result.LogTail) > 0 || answer.RequestID != result.Report.RequestID {
				t.Errorf("%+v, %+v", answer, result)
			}
		})
	}
	all.Wait()
	if len(pids) != 2 {
		t.Errorf("eight calls at once were served by %v", pids)
	}
	if lines := seen.texts(""); len(lines) != 8 {
		t.Errorf("outside of invocations there are the lines %q", lines)
	}
}

// An extension is told of the end, and has time for it.
func TestToldToEnd(t *testing.T) {
	t.Parallel()
	p, seen := newPool(t, env("SIGTERM", "1"))
	invoke(t, p, order{})
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if lines := seen.texts(""); len(lines) != 1 || lines[0] != "told to end" {
		t.Errorf("at its end the worker has logged %q", lines)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	p, _ := newPool(t, func(s *Spec) { s.Concurrency = 1 })
	errs := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := p.Invoke(context.WithoutCancel(t.Context()), call(order{Sleep: time.Minute}))
			errs <- err
		}()
	}
	until(t, p, "one runs, one waits", func(s Stats) bool { return s.Busy == 1 && s.Waiting == 1 })
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, ErrClosed) {
			t.Errorf("it ends with %v", err)
		}
	}
	if _, err := p.Invoke(t.Context(), call(order{})); !errors.Is(err, ErrClosed) {
		t.Errorf("a late one ends with %v", err)
	}
	if entries, err := os.ReadDir(p.options.Scratch); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
