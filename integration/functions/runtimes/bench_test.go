//go:build integration

package runtimes_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/functions/runtimeapi"
	"sluice/functions/runtimes"
)

// suiteProgram is the common suite in one of the runtimes.
func suiteProgram(tb testing.TB, handler, scratch string) runtimes.Program {
	tb.Helper()
	source, err := runtimes.Find(runtimes.Options{Dir: "suite", Handler: handler, Memory: 256 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	program, err := source.Program(tb.Context(), scratch)
	if err != nil {
		tb.Fatal(err)
	}
	return program
}

// BenchmarkWarm measures calls of a worker that is there, one after the other:
// the Runtime API, the connection and the bootstrap, since the function does
// nothing.
func BenchmarkWarm(b *testing.B) {
	scratch := b.TempDir()
	for _, handler := range []string{"suite.mjs", "suite.py", "goprogram"} {
		program := suiteProgram(b, handler, scratch)
		b.Run(program.Runtime, func(b *testing.B) {
			w := run(b, program, nil)
			w.invoke(`{"do":"echo"}`)
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				in := runtimeapi.Invocation{RequestID: uuid.NewString(), Deadline: begin.Add(patience), Payload: []byte(`{"do":"echo"}`)}
				if _, err := w.api.Invoke(b.Context(), in); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begin))
			}
			report(b, took)
		})
	}
}

// BenchmarkCold measures from the start of a process to its first answer.
func BenchmarkCold(b *testing.B) {
	scratch := filepath.Join(b.TempDir(), "scratch")
	for _, handler := range []string{"suite.mjs", "suite.py", "goprogram"} {
		program := suiteProgram(b, handler, scratch)
		b.Run(program.Runtime, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				w := run(b, program, nil)
				w.invoke(`{}`)
				took = append(took, time.Since(begin))
				b.StopTimer()
				w.stop()
				b.StartTimer()
			}
			report(b, took)
		})
	}
}

func report(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
