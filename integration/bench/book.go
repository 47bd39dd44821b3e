package main

import (
	"math"
	"slices"
)

// A metric is one line of the table.
type metric struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// digits after the point
	digits int
}

// The metrics.
var (
	metricDispatch    = metric{"dispatch to an HTTP worker", "events/s", 0}
	metricDispatchCPU = metric{"dispatch, processor time with the worker's", "s per 100,000", 2}
	metricAdded50     = metric{"latency from accepted to worker, p50", "ms", 2}
	metricAdded99     = metric{"latency from accepted to worker, p99", "ms", 2}
	metricWhole50     = metric{"latency from sent to worker, p50", "ms", 2}
	metricWhole99     = metric{"latency from sent to worker, p99", "ms", 2}
	metricIngest      = metric{"durable HTTP ingest", "requests/s", 0}
	metricIngest50    = metric{"durable HTTP ingest, p50", "ms", 2}
	metricIngest99    = metric{"durable HTTP ingest, p99", "ms", 2}
	metricIngestCPU   = metric{"durable HTTP ingest, processor time", "s per 100,000", 2}
	metricStart       = metric{"ready after the first start", "s", 3}
	metricRestart     = metric{"ready after kill -9 on a full store", "s", 3}
	metricCatchUp     = metric{"catch-up of a resumed trigger", "events/s", 0}
	metricCatchUpCPU  = metric{"catch-up, processor time with the worker's", "s per 100,000", 2}
	metricIdleCPU     = metric{"idle, of one processor", "%", 2}
	metricIdleMemory  = metric{"idle, resident", "MiB", 0}
	metricTickStart   = metric{"10,000 schedules: ready after the first start", "s", 3}
	metricTick50      = metric{"10,000 schedules: a tick is durable after its time, p50", "ms", 1}
	metricTick99      = metric{"10,000 schedules: a tick is durable after its time, p99", "ms", 1}
	metricTickMemory  = metric{"10,000 schedules: resident", "MiB", 0}
)

// A line is what was measured of one metric, by system, a value a round.
type line struct {
	metric
	Rounds map[string][]float64 `json:"rounds"`
	Median map[string]float64   `json:"median"`
	// Ratio is the median of sluice's divided by the floor's, round by round; 0
	// where there is no floor.
	Ratio float64 `json:"ratio,omitempty"`
}

// A book collects what is measured, in the order of its first coming.
type book struct{ lines []*line }

func newBook() *book { return &book{} }

func (b *book) add(m metric, system string, value float64) {
	at := slices.IndexFunc(b.lines, func(l *line) bool { return l.metric == m })
	if at < 0 {
		at = len(b.lines)
		b.lines = append(b.lines, &line{metric: m, Rounds: map[string][]float64{}, Median: map[string]float64{}})
	}
	l := b.lines[at]
	l.Rounds[system] = append(l.Rounds[system], value)
}

// close computes the medians and ratios. The two of a round ran one after the
// other, so that their ratio drifts least.
func (b *book) close() []*line {
	for _, l := range b.lines {
		for system, values := range l.Rounds {
			l.Median[system] = median(values)
		}
		var ratios []float64
		floor, sluice := l.Rounds[theFloor{}.name()], l.Rounds[theSluice{}.name()]
		for i := range min(len(floor), len(sluice)) {
			if floor[i] > 0 {
				ratios = append(ratios, sluice[i]/floor[i])
			}
		}
		if len(ratios) > 0 {
			l.Ratio = median(ratios)
		}
	}
	return b.lines
}

// median returns the middle of values, the mean of two; there must be one.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile returns the smallest value that at least p percent of the values
// do not exceed; there must be one.
func percentile(values []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	at := int(math.Ceil(p/100*float64(len(sorted)))) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}
