package functions

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are those of all pools; a nil one counts nothing.
type Metrics struct {
	invocations *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	cold        *prometheus.CounterVec
	initSeconds *prometheus.HistogramVec
	failures    *prometheus.CounterVec

	mu    sync.Mutex
	pools map[*Pool]struct{}
}

// NewMetrics registers the metrics.
func NewMetrics(to prometheus.Registerer) (*Metrics, error) {
	durations := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900}
	m := &Metrics{
		invocations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_invocations_total", Help: "Invocations of functions, by how they have ended; throttled, closed and not_started ones have not begun.",
		}, []string{"function", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_invocation_duration_seconds", Help: "How long invocations took, without the start of a worker.", Buckets: durations,
		}, []string{"function"}),
		cold: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_cold_starts_total", Help: "Invocations that a worker was started for.",
		}, []string{"function"}),
		initSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_init_duration_seconds", Help: "How long workers took from their start until they asked for an invocation.", Buckets: durations,
		}, []string{"function"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_worker_start_failures_total", Help: "Workers that have ended before they were of any use.",
		}, []string{"function"}),
		pools: make(map[*Pool]struct{}),
	}
	for _, c := range []prometheus.Collector{m.invocations, m.seconds, m.cold, m.initSeconds, m.failures, (*workerGauges)(m)} {
		if err := to.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) reported(r Report) {
	if m == nil {
		return
	}
	m.invocations.WithLabelValues(r.Function, string(r.Outcome)).Inc()
	m.seconds.WithLabelValues(r.Function).Observe(r.Duration.Seconds())
	if r.Init > 0 {
		m.cold.WithLabelValues(r.Function).Inc()
	}
}

// refused counts an invocation that has not begun.
func (m *Metrics) refused(function string, err error) {
	if m == nil {
		return
	}
	outcome := string(OutcomeCanceled)
	switch {
	case errors.Is(err, ErrThrottled):
		outcome = "throttled"
	case errors.Is(err, ErrClosed):
		outcome = "closed"
	case isStartError(err):
		outcome = "not_started"
	}
	m.invocations.WithLabelValues(function, outcome).Inc()
}

func isStartError(err error) bool {
	_, ok := errors.AsType[*StartError](err)
	return ok
}

func (m *Metrics) initialized(function string, took time.Duration) {
	if m != nil {
		m.initSeconds.WithLabelValues(function).Observe(took.Seconds())
	}
}

func (m *Metrics) failed(function string) {
	if m != nil {
		m.failures.WithLabelValues(function).Inc()
	}
}

func (m *Metrics) add(p *Pool) {
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.pools[p] = struct{}{}
	}
}

func (m *Metrics) remove(p *Pool) {
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.pools, p)
	}
}

// workerGauges are how the pools stand when somebody looks.
type workerGauges Metrics

var (
	workersDesc = prometheus.NewDesc("sluice_workers", "Worker processes of a function, by state.", []string{"function", "state"}, nil)
	waitingDesc = prometheus.NewDesc("sluice_invocations_waiting", "Invocations that wait for a worker.", []string{"function"}, nil)
)

// Describe sends the descriptions of the gauges.
func (g *workerGauges) Describe(to chan<- *prometheus.Desc) {
	to <- workersDesc
	to <- waitingDesc
}

// Collect sends how the pools stand. During a reload a function has two.
func (g *workerGauges) Collect(to chan<- prometheus.Metric) {
	for function, s := range g.sums() {
		for state, n := range map[string]int{"starting": s.Starting, "idle": s.Idle, "busy": s.Busy, "ending": s.Ending} {
			to <- prometheus.MustNewConstMetric(workersDesc, prometheus.GaugeValue, float64(n), function, state)
		}
		to <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(s.Waiting), function)
	}
}

func (g *workerGauges) sums() map[string]Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	sums := make(map[string]Stats)
	for p := range g.pools {
		s, one := sums[p.spec.Name], p.Stats()
		s.Starting, s.Idle, s.Busy, s.Ending = s.Starting+one.Starting, s.Idle+one.Idle, s.Busy+one.Busy, s.Ending+one.Ending
		s.Waiting += one.Waiting
		sums[p.spec.Name] = s
	}
	return sums
}
