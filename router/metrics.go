package router

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/router/ledger"
)

// metrics are the router's own; a nil one counts nothing.
type metrics struct {
	events   prometheus.Counter
	outcomes *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	batches  *prometheus.HistogramVec
	replies  *prometheus.CounterVec
	held     prometheus.Gauge

	// What the loop has counted before is found here: to look it up by its labels
	// takes longer than to count.
	counted map[outcomeOf]prometheus.Counter
	timed   map[string]prometheus.Observer
}

type outcomeOf struct {
	trigger string
	kind    ledger.Kind
}

// newMetrics registers the metrics, or returns nil without a registerer.
func newMetrics(r *Router, to prometheus.Registerer) (*metrics, error) {
	if to == nil {
		return nil, nil //nolint:nilnil // a nil metrics is of use
	}
	m := &metrics{
		events: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_events_read_total", Help: "Events that the router has read from the log.",
		}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_outcomes_total", Help: "Ends of attempts and deliveries, by trigger and outcome.",
		}, []string{"trigger", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_attempt_duration_seconds", Help: "How long attempts took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"trigger"}),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_batch_deliveries", Help: "Deliveries of one attempt, of triggers with batches.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000},
		}, []string{"trigger"}),
		replies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_replies_total", Help: "Events that were published because a delivery was answered with them.",
		}, []string{"trigger"}),
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_large_held_bytes", Help: "Bytes of large payloads that are held for attempts.",
		}),
		counted: map[outcomeOf]prometheus.Counter{}, timed: map[string]prometheus.Observer{},
	}
	for _, c := range []prometheus.Collector{m.events, m.outcomes, m.seconds, m.batches, m.replies, m.held, &standings{router: r}} {
		if err := to.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) read(n int) {
	if m != nil {
		m.events.Add(float64(n))
	}
}

// attempted counts an attempt of a trigger with batches.
func (m *metrics) attempted(t *Trigger, deliveries int) {
	if m != nil && t.Batch.Size > 0 {
		m.batches.WithLabelValues(t.Name).Observe(float64(deliveries))
	}
}

func (m *metrics) replied(trigger string, events int) {
	if m != nil {
		m.replies.WithLabelValues(trigger).Add(float64(events))
	}
}

// hold counts bytes of large payloads that are held, or no longer.
func (m *metrics) hold(bytes int64) {
	if m != nil {
		m.held.Add(float64(bytes))
	}
}

// outcome counts what became of an attempt or a delivery; only the loop calls it.
func (m *metrics) outcome(trigger string, o *ledger.Outcome) {
	if m == nil {
		return
	}
	key := outcomeOf{trigger, o.Kind}
	counter := m.counted[key]
	if counter == nil {
		counter = m.outcomes.WithLabelValues(trigger, o.Kind.String())
		m.counted[key] = counter
	}
	counter.Inc()
	if o.Duration > 0 {
		m.timeOf(trigger).Observe(time.Duration(o.Duration).Seconds())
	}
}

func (m *metrics) timeOf(trigger string) prometheus.Observer {
	timed := m.timed[trigger]
	if timed == nil {
		timed = m.seconds.WithLabelValues(trigger)
		m.timed[trigger] = timed
	}
	return timed
}

// standings are the gauges: how the triggers stand when somebody looks.
type standings struct{ router *Router }

var (
	waitingDesc = prometheus.NewDesc("sluice_deliveries_waiting", "Deliveries that wait for a retry or a letter.", []string{"trigger"}, nil)
	runningDesc = prometheus.NewDesc("sluice_attempts_running", "Deliveries that are being attempted.", []string{"trigger"}, nil)
	lagDesc     = prometheus.NewDesc("sluice_trigger_lag_events", "Positions of the log between a trigger that is behind and the end.", []string{"trigger"}, nil)
	pausedDesc  = prometheus.NewDesc("sluice_trigger_paused", "1 when the trigger is paused, with the reason: command, or gone when its sink has said that nobody is there.", []string{"trigger", "reason"}, nil)
	heldDesc    = prometheus.NewDesc("sluice_trigger_held", "Deliveries that are in memory and not attempted now, by what holds them back; there is none of a reason that holds none.", []string{"trigger", "reason"}, nil)
	totalDesc   = prometheus.NewDesc("sluice_deliveries_total", "Deliveries over the trigger's whole life: matched, delivered, dead, discarded.", []string{"trigger", "state"}, nil)
)

// Describe sends the descriptions of the gauges.
func (s *standings) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{waitingDesc, runningDesc, lagDesc, pausedDesc, heldDesc, totalDesc} {
		to <- d
	}
}

// Collect sends how the triggers stand.
func (s *standings) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	all, err := s.router.standing(ctx, nil)
	if err != nil {
		return // the readiness says why
	}
	for i := range all {
		t := &all[i]
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{t.Name}, labels...)...)
		}
		gauge(waitingDesc, float64(t.Waiting))
		gauge(runningDesc, float64(t.Running))
		gauge(lagDesc, float64(t.Lag))
		paused := 0.0
		if t.State == StatePaused {
			paused = 1
		}
		gauge(pausedDesc, paused, t.Pause.Reason)
		for _, h := range t.Holds {
			gauge(heldDesc, float64(h.Deliveries), h.Reason)
		}
		for state, n := range map[string]uint64{"matched": t.recorded, "delivered": t.Delivered, "dead": t.Dead, "discarded": t.Discarded} {
			to <- prometheus.MustNewConstMetric(totalDesc, prometheus.CounterValue, float64(n), t.Name, state)
		}
	}
}
