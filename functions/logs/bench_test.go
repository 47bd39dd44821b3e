package logs_test

import (
	"fmt"
	"testing"

	"sluice/functions"
	"sluice/functions/logs"
)

// BenchmarkLine is what a line costs the worker's pool.
func BenchmarkLine(b *testing.B) {
	store, _ := open(b, logs.Options{Dir: b.TempDir()})
	given := functions.Line{Function: "thumb", RequestID: "6f3c0f52-5c1e-4b0e-9d53-0f4b2f1f6a11", Worker: "w1", Time: noon, Text: "a line as functions write them, of a hundred characters or so, which is not short and not long either"}
	b.ReportAllocs()
	for b.Loop() {
		store.Line(given)
	}
}

// BenchmarkReport is what counting an invocation costs.
func BenchmarkReport(b *testing.B) {
	store, _ := open(b, logs.Options{Dir: b.TempDir()})
	given := functions.Report{Function: "thumb", Start: noon, Billed: 5, Memory: 128 << 20, Outcome: functions.OutcomeSuccess}
	b.ReportAllocs()
	for b.Loop() {
		store.Report(given)
	}
}

// BenchmarkRead reads 100,000 lines.
func BenchmarkRead(b *testing.B) {
	store, _ := open(b, logs.Options{Dir: b.TempDir()})
	const lines, step = 100_000, 5000
	for i := range lines {
		store.Line(line("thumb", fmt.Sprintf("line %d as functions write them, of a hundred characters or so, not short and not long", i), noon))
		if i%step == step-1 {
			await(b, store, logs.Query{Function: "thumb", Last: i + 1}, i+1)
		}
	}
	b.ResetTimer()
	for b.Loop() {
		count := 0
		_, err := store.Read(b.Context(), logs.Query{Function: "thumb"}, func(*logs.Entry, logs.Position) error { count++; return nil })
		if err != nil || count != lines {
			b.Fatal(count, err)
		}
	}
}
