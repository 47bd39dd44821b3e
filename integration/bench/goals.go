package main

import (
	"fmt"
	"math"

	"sluice/integration/bench/measures"
)

// A goal says what was measured of a row of the table of measures, and whether
// that is what is to be reached. It is nothing when it was not measured.
type goal struct {
	what  string
	judge func(b *book) (figure string, reached bool)
}

const (
	bento = "bento"
	mega  = 1_000_000 // bytes
)

var goals = []goal{
	{measures.Dispatch, beside(metricDispatch, roleFloor, 1.5)},
	{measures.DispatchBento, beside(metricDispatch, bento, 4)},
	{measures.Batches, judgeBatches},
	{measures.Ingest, beside(metricIngest, bento, 0.45)},
	{measures.Latency, judgeLatency},
	{measures.Triggers, of(metricMany, metricDispatch, atLeast(0.9))},
	{measures.FanOut, judgeFanOut},
	{measures.Retries, judgeRetries},
	{measures.Backlog, of(metricCatchUp, metricDispatch, atLeast(1))},
	{measures.Others, judgeOthers},
	{measures.Start, within(metricStart, "%.3f s", 0.2)},
	{measures.Restart, within(metricRestart, "%.3f s", 3)},
	{measures.Idle, judgeIdle},
	{measures.Schedules, within(metricTick99, "%.1f ms", 50)},
	{measures.Letters, within(metricLetterGrowth, "%.0f MiB more resident at most", lettersMemory>>20)},
}

// measures returns the rows that a run has measured.
func (b *bench) measures(command string) (rows []measures.Row) {
	for _, g := range goals {
		if figure, reached := g.judge(b.book); figure != "" {
			rows = append(rows, measures.Row{What: g.what, Figure: figure, Reached: reached, Command: command})
		}
	}
	return rows
}

// ours returns the median of a metric of sluice, when it was measured.
func (b *book) ours(m metric) (float64, bool) {
	l := b.line(m)
	if l == nil {
		return 0, false
	}
	value, found := l.Median[nameSluice]
	return value, found
}

// ratio returns sluice's beside another system's.
func (b *book) ratio(m metric, system string) (float64, bool) {
	l := b.line(m)
	if l == nil {
		return 0, false
	}
	value, found := l.Ratios[system]
	return value, found
}

// beside judges sluice's beside another system's.
func beside(m metric, system string, least float64) func(*book) (string, bool) {
	return func(b *book) (string, bool) {
		ratio, found := b.ratio(m, system)
		if !found {
			return "", false
		}
		ours, _ := b.ours(m)
		return fmt.Sprintf("%.2f x (%.0f %s)", ratio, ours, m.Unit), asShown(ratio) >= least
	}
}

// asShown rounds a ratio as it is shown, so that nobody reads of 1.50 that it is
// below 1.5.
func asShown(ratio float64) float64 { return math.Round(ratio*100) / 100 }

func atLeast(least float64) func(float64) bool {
	return func(ratio float64) bool { return ratio >= least }
}

// of judges one metric of sluice beside another.
func of(m, other metric, reached func(ratio float64) bool) func(*book) (string, bool) {
	return func(b *book) (string, bool) {
		one, two := b.line(m), b.line(other)
		if one == nil || two == nil {
			return "", false
		}
		ratio, found := ratio(one.Rounds[nameSluice], two.Rounds[nameSluice])
		if !found {
			return "", false
		}
		return fmt.Sprintf("%.2f x (%.*f beside %.*f %s)", ratio, m.digits, one.Median[nameSluice], other.digits, two.Median[nameSluice], m.Unit), reached(asShown(ratio))
	}
}

// within judges one metric of sluice.
func within(m metric, format string, most float64) func(*book) (string, bool) {
	return func(b *book) (string, bool) {
		value, found := b.ours(m)
		if !found {
			return "", false
		}
		return fmt.Sprintf(format, value), value <= most
	}
}

func judgeBatches(b *book) (string, bool) {
	ratio, found := b.ratio(metricBatches, roleFloor)
	if !found {
		return "", false
	}
	rate, _ := b.ours(metricBatches)
	return fmt.Sprintf("%.0f events/s, %.2f x bare consumption", rate, ratio), rate >= 150_000 || asShown(ratio) >= 0.6
}

func judgeLatency(b *book) (string, bool) {
	p50, found := b.ratio(metricAdded50, roleFloor)
	p99, _ := b.ratio(metricAdded99, roleFloor)
	if !found {
		return "", false
	}
	ours50, _ := b.ours(metricAdded50)
	ours99, _ := b.ours(metricAdded99)
	return fmt.Sprintf("p50 %.2f ms, %.2f x; p99 %.2f ms, %.2f x", ours50, p50, ours99, p99), asShown(p50) <= 1 && asShown(p99) <= 1
}

// judgeFanOut tells besides what it is when fewer attempts are under way.
func judgeFanOut(b *book) (string, bool) {
	figure, reached := of(metricFanOut, metricDispatch, atLeast(1))(b)
	one, found := b.ours(metricFanOutOne)
	if dispatch, _ := b.ours(metricDispatch); found && figure != "" {
		figure += fmt.Sprintf("; %.2f x with `concurrency: 1`", one/dispatch)
	}
	return figure, reached
}

func judgeRetries(b *book) (string, bool) {
	late, found := b.ours(metricRetry99)
	other, _ := b.ours(metricOther99)
	if !found {
		return "", false
	}
	return fmt.Sprintf("%.1f ms; the other's %.1f ms", late, other), late <= 50 && other <= 50
}

// judgeOthers tells besides what the trigger that has a backlog leaves of a
// processor for the others when it is adaptive, and what the floor's leaves.
func judgeOthers(b *book) (string, bool) {
	figure, reached := of(metricBusy99, metricLive99, func(ratio float64) bool { return ratio <= 1.2 })(b)
	if tamed, found := b.ours(metricAdaptive99); found && figure != "" {
		figure += fmt.Sprintf("; %.2f ms with `adaptive: true`", tamed)
	}
	if l := b.line(metricBusy99); l != nil && l.Median[roleFloor] > 0 {
		figure += fmt.Sprintf("; the floor %.2f ms", l.Median[roleFloor])
	}
	return figure, reached
}

func judgeIdle(b *book) (string, bool) {
	memory, found := b.ours(metricIdleMemory)
	cpu, _ := b.ours(metricIdleCPU)
	if !found {
		return "", false
	}
	megabytes := memory * (1 << 20) / mega
	return fmt.Sprintf("%.0f MB, %.2f %%", megabytes, cpu), megabytes <= 50 && cpu < 1
}
