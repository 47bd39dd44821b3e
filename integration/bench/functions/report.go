package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"sluice/integration/bench/measures"
)

// A row is what was measured of one function by one way.
type row struct {
	runtime, way string
	*measurement
}

func (b *bench) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s · %s/%s, %d processors · %s · `%s`\n\n", time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), b.command)
	text.WriteString("| runtime | through | warm call, p50 | warm call, p99 | calls/s of one process | cold start, p50 |\n|---|---|---:|---:|---:|---:|\n")
	for _, r := range b.rows {
		fmt.Fprintf(&text, "| %s | %s | %.3f ms | %.3f ms | %.0f | %.1f ms |\n", r.runtime, r.way,
			percentile(r.warm, 50), percentile(r.warm, 99), float64(len(r.warm))/r.whole.Seconds(), percentile(r.cold, 50))
	}
	return text.String()
}

// mostWarm is what a warm call may add to the function's own time, in
// milliseconds.
const mostWarm = 0.3

// warm is the row of the table of measures: the functions do nothing but answer.
func (b *bench) warm() measures.Row {
	row := measures.Row{What: measures.Function, Reached: true, Command: b.command}
	var figures []string
	for _, r := range b.rows {
		if r.way != thePool {
			continue
		}
		p50 := percentile(r.warm, 50)
		figures = append(figures, fmt.Sprintf("%s %.2f", r.runtime, p50))
		row.Reached = row.Reached && p50 <= mostWarm
	}
	row.Figure = strings.Join(figures, ", ") + " ms"
	return row
}

// percentile returns the smallest value that at least p percent of the values
// do not exceed; there must be one.
func percentile(values []float64, p int) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}
