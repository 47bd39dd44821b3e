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
	metricDispatch       = metric{"dispatch to an HTTP worker", "events/s", 0}
	metricDispatchCPU    = metric{"dispatch, processor time with the worker's", "s per 100,000", 2}
	metricDispatchMemory = metric{"dispatch, resident at most", "MiB", 0}
	metricAdded50        = metric{"latency from accepted to worker, p50", "ms", 2}
	metricAdded99        = metric{"latency from accepted to worker, p99", "ms", 2}
	metricWhole50        = metric{"latency from sent to worker, p50", "ms", 2}
	metricWhole99        = metric{"latency from sent to worker, p99", "ms", 2}
	metricIngest         = metric{"HTTP ingest", "requests/s", 0}
	metricIngest50       = metric{"HTTP ingest, p50", "ms", 2}
	metricIngest99       = metric{"HTTP ingest, p99", "ms", 2}
	metricIngestCPU      = metric{"HTTP ingest, processor time", "s per 100,000", 2}
	metricIngestMemory   = metric{"HTTP ingest, resident at most", "MiB", 0}
	metricBatches        = metric{"batches of 100 to an HTTP worker", "events/s", 0}
	metricBatchesCPU     = metric{"batches of 100, processor time with the worker's", "s per 100,000", 2}
	metricMany           = metric{"10,000 triggers, one of which matches: dispatch", "events/s", 0}
	metricManyCPU        = metric{"10,000 triggers, processor time with the worker's", "s per 100,000", 2}
	metricFanOut         = metric{"one event to 1,000 triggers: dispatch", "deliveries/s", 0}
	metricFanOutCPU      = metric{"one event to 1,000 triggers, processor time with the worker's", "s per 100,000", 2}
	metricFanOutOne      = metric{"one event to 1,000 triggers with concurrency: 1: dispatch", "deliveries/s", 0}
	metricFanOutOneCPU   = metric{"one event to 1,000 triggers with concurrency: 1, processor time with the worker's", "s per 100,000", 2}
	metricFanOutMemory   = metric{"one event to 1,000 triggers, resident at most", "MiB", 0}
	metricLive99         = metric{"a backlog waits: another trigger's latency from accepted to worker, p99", "ms", 2}
	metricBusy99         = metric{"a backlog is delivered: another trigger's latency from accepted to worker, p99", "ms", 2}
	metricCatchUp        = metric{"a backlog is delivered, without other traffic", "events/s", 0}
	metricCatchUpCPU     = metric{"a backlog, processor time with the worker's", "s per 100,000", 2}
	metricCatchUpMemory  = metric{"a backlog, resident at most", "MiB", 0}
	metricAdaptive       = metric{"a backlog with adaptive: true is delivered, without other traffic", "events/s", 0}
	metricAdaptive99     = metric{"a backlog with adaptive: true: another trigger's latency from accepted to worker, p99", "ms", 2}
	metricRetry50        = metric{"retries that are due in one second come late by, p50", "ms", 1}
	metricRetry99        = metric{"retries that are due in one second come late by, p99", "ms", 1}
	metricOther99        = metric{"another trigger's retries meanwhile come late by, p99", "ms", 1}
	metricStart          = metric{"ready after the first start", "s", 3}
	metricRestart        = metric{"ready after kill -9 on a full store", "s", 3}
	metricIdleCPU        = metric{"idle, of one processor", "%", 2}
	metricIdleMemory     = metric{"idle, resident", "MiB", 0}
	metricFullCPU        = metric{"idle with a full store, of one processor", "%", 2}
	metricFullMemory     = metric{"idle with a full store, resident", "MiB", 0}
	metricLetterPage     = metric{"letters: a page of 1,000", "ms", 1}
	metricLetterTrigger  = metric{"letters: a page of one of ten triggers", "ms", 1}
	metricLetterSince    = metric{"letters: the last ten, by time", "ms", 1}
	metricLetterReason   = metric{"letters: one in 10,000, by reason", "ms", 1}
	metricLetterCount    = metric{"letters: counted by error", "letters/s", 0}
	metricLetterList     = metric{"letters: all listed in pages", "letters/s", 0}
	metricLetterMemory   = metric{"letters: resident before", "MiB", 0}
	metricLetterGrowth   = metric{"letters: more resident at most, while asked for", "MiB", 0}
	metricTickStart      = metric{"10,000 schedules: ready after the first start", "s", 3}
	metricTick50         = metric{"10,000 schedules: a tick is durable after its time, p50", "ms", 1}
	metricTick99         = metric{"10,000 schedules: a tick is durable after its time, p99", "ms", 1}
	metricTickMemory     = metric{"10,000 schedules: resident", "MiB", 0}
)

// A line is what was measured of one metric, by system, a value a round.
type line struct {
	metric
	Rounds map[string][]float64 `json:"rounds"`
	Median map[string]float64   `json:"median"`
	// Ratios are the medians of sluice's divided by another system's, round by
	// round.
	Ratios map[string]float64 `json:"ratios,omitempty"`
}

// A book collects what is measured, in the order of its first coming.
type book struct{ lines []*line }

func newBook() *book { return &book{} }

func (b *book) add(m metric, system string, value float64) {
	l := b.line(m)
	if l == nil {
		l = &line{metric: m, Rounds: map[string][]float64{}, Median: map[string]float64{}, Ratios: map[string]float64{}}
		b.lines = append(b.lines, l)
	}
	l.Rounds[system] = append(l.Rounds[system], value)
}

// line returns what was measured of a metric, or nil.
func (b *book) line(m metric) *line {
	if at := slices.IndexFunc(b.lines, func(l *line) bool { return l.metric == m }); at >= 0 {
		return b.lines[at]
	}
	return nil
}

// close computes the medians and ratios. Those of a round ran one after the
// other, so that their ratio drifts least.
func (b *book) close() []*line {
	for _, l := range b.lines {
		for system, values := range l.Rounds {
			l.Median[system] = median(values)
			if ratio, found := ratio(l.Rounds[nameSluice], values); found && system != nameSluice {
				l.Ratios[system] = ratio
			}
		}
	}
	return b.lines
}

// ratio returns the median of the quotients of two series, round by round. A
// series of one round stands beside the first of the other.
func ratio(dividends, divisors []float64) (float64, bool) {
	var ratios []float64
	for i := range min(len(dividends), len(divisors)) {
		if divisors[i] > 0 {
			ratios = append(ratios, dividends[i]/divisors[i])
		}
	}
	if len(ratios) == 0 {
		return 0, false
	}
	return median(ratios), true
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
