//go:build unix

package functions

import (
	"bytes"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestBadSpecs(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Spec){
		"a function has no name":                                                                func(s *Spec) { s.Name = "" },
		`function "resize": it has no command`:                                                  func(s *Spec) { s.Program.Command = nil },
		`function "resize": timeout is negative`:                                                func(s *Spec) { s.Timeout = -1 },
		`function "resize": max_calls is negative`:                                              func(s *Spec) { s.MaxCalls = -1 },
		`environment: "A=B" is no name of a variable`:                                           env("A=B", "c"),
		`environment: TMPDIR is set by sluice itself: take another name`:                        env("TMPDIR", "/tmp"),
		`environment: AWS_LAMBDA_X is set by sluice itself: take another name`:                  env("AWS_LAMBDA_X", ""),
		"environment: the value of A has a NUL byte, which no variable can hold":                env("A", "\x00"),
		`function "resize": 6 workers are provisioned, but a concurrency of 10 needs 5 at most`: func(s *Spec) { s.PerWorker, s.Provisioned = 2, 6 },
	} {
		if p, err := NewPool(testSpec(os.Args[0], change), Options{Scratch: t.TempDir()}); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
			if p != nil {
				_ = p.Close()
			}
		}
	}
	if _, err := NewPool(testSpec(os.Args[0]), Options{Scratch: "scratch"}); err == nil || err.Error() != `the scratch folder "scratch" of a function is no absolute path` {
		t.Errorf("a relative folder: %v", err)
	}
}

func TestReportLine(t *testing.T) {
	t.Parallel()
	r := Report{RequestID: "id", Duration: 1234 * time.Microsecond, Billed: 102 * time.Millisecond, Init: 100 * time.Millisecond, Memory: 128 << 20, MaxMemory: 35<<20 - 1}
	const line = "REPORT RequestId: id\tDuration: 1.23 ms\tBilled Duration: 102 ms\tMemory Size: 128 MB\tMax Memory Used: 35 MB"
	for outcome, want := range map[Outcome]string{
		OutcomeSuccess: line + "\tInit Duration: 100.00 ms", OutcomeTimeout: line + "\tInit Duration: 100.00 ms\tStatus: timeout",
		OutcomeExit: line + "\tInit Duration: 100.00 ms\tStatus: error\tError Type: Runtime.ExitError",
	} {
		r.Outcome = outcome
		if got := reportLine(r, TypeExit); got != want {
			t.Errorf("%s: %q", outcome, got)
		}
	}
	for d, want := range map[time.Duration]time.Duration{0: 0, 1: time.Millisecond, time.Millisecond: time.Millisecond, time.Millisecond + 1: 2 * time.Millisecond} {
		if got := billed(d); got != want {
			t.Errorf("%v is billed as %v", d, got)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	m, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPool(testSpec(exe, func(s *Spec) { s.Concurrency = 1 }), Options{Scratch: t.TempDir(), Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	invoke(t, p, order{})
	invoke(t, p, order{})
	_, _ = fails(t, p, order{Do: "fail"})
	want := map[string]float64{
		"sluice_cold_starts_total resize": 1, "sluice_invocations_total resize error": 1, "sluice_invocations_total resize success": 2,
		"sluice_invocation_duration_seconds resize": 3, "sluice_init_duration_seconds resize": 1, "sluice_invocations_waiting resize": 0,
		"sluice_workers resize busy": 0, "sluice_workers resize ending": 0, "sluice_workers resize idle": 1, "sluice_workers resize starting": 0,
	}
	if got := gathered(t, registry); !maps.Equal(got, want) {
		t.Errorf("the metrics are %v", got)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.Invoke(t.Context(), call(order{})); err == nil {
		t.Error("a closed pool invokes")
	}
	got := gathered(t, registry)
	if _, there := got["sluice_workers resize idle"]; there || got["sluice_invocations_total resize closed"] != 1 {
		t.Errorf("the metrics of a closed pool are %v", got)
	}
}

// gathered are values by name and labels; of a histogram it is the count.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := []string{family.GetName()}
			for _, label := range m.GetLabel() {
				name = append(name, label.GetValue())
			}
			all[strings.Join(name, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// FuzzOutput shows that the lines are what was written, however it comes, and
// that the tail is its end.
func FuzzOutput(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n\nthree"), 3)
	f.Add(bytes.Repeat([]byte("x"), maxLine+10), maxLine)
	f.Fuzz(func(t *testing.T, written []byte, chunk int) {
		var lines []string
		o := &output{deliver: func(l Line) { lines = append(lines, l.Text) }}
		for rest := written; len(rest) > 0; {
			n := min(len(rest), max(1, chunk))
			o.write(rest[:n])
			rest = rest[n:]
		}
		o.flush()
		got := strings.Join(lines, "\n")
		for _, line := range lines {
			if len(line) > maxLine {
				t.Errorf("a line has %d bytes", len(line))
			}
		}
		if plain := func(s string) string { return strings.NewReplacer("\n", "", "\r", "").Replace(s) }; plain(got) != plain(string(written)) {
			t.Errorf("%q was written, %q was delivered", written, lines)
		}
		if tail := string(o.tail.bytes()); len(tail) > maxTail || len(lines) > 0 && !strings.HasSuffix(got+"\n", tail) {
			t.Errorf("the tail of %q is %q", got, tail)
		}
	})
}
