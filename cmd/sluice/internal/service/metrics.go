package service

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sluice/bus"
	"sluice/cmd/sluice/internal/admin"
)

// scrapeTimeout bounds how long a scrape waits for the bus.
const scrapeTimeout = 2 * time.Second

func newRegistry(version string) (*prometheus.Registry, error) {
	registry := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sluice_build_info", Help: "Always 1; its label is the version of sluice.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	for _, c := range []prometheus.Collector{
		info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return registry, nil
}

// A sourceCollector shows the sources as they are when somebody looks, so that
// nothing is left of those that are gone. The names in the file bound its labels.
type sourceCollector struct{ supervisor *supervisor }

func sourceDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"source"}, nil)
}

var (
	sourceEvents   = sourceDesc("sluice_source_events_total", "Events that the source has published, repeated ones among them.")
	sourceFailures = sourceDesc("sluice_source_publish_failures_total", "Publishes of the source that were refused.")
	sourceRestarts = sourceDesc("sluice_source_restarts_total", "How often the source has failed and was run again.")
	sourceUp       = sourceDesc("sluice_source_up", "1 when the source is well, 0 when it is degraded or has failed.")
	sourceLast     = sourceDesc("sluice_source_last_event_timestamp_seconds", "When the source last published, in Unix time.")
	sourceLag      = sourceDesc("sluice_source_lag_seconds", "The age of the oldest thing that the source knows of and has not published.")
)

// Describe is for prometheus.Collector.
func (c *sourceCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sourceEvents, sourceFailures, sourceRestarts, sourceUp, sourceLast, sourceLag} {
		to <- d
	}
}

// Collect is for prometheus.Collector.
func (c *sourceCollector) Collect(to chan<- prometheus.Metric) {
	failures := c.supervisor.failures()
	for _, s := range c.supervisor.list() {
		send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
			to <- prometheus.MustNewConstMetric(d, kind, v, s.Name)
		}
		up := 0.0
		if s.State == admin.StateOK {
			up = 1
		}
		send(sourceUp, prometheus.GaugeValue, up)
		send(sourceEvents, prometheus.CounterValue, float64(s.Events))
		send(sourceFailures, prometheus.CounterValue, float64(failures[s.Name]))
		send(sourceRestarts, prometheus.CounterValue, float64(s.Restarts))
		if !s.LastEvent.IsZero() {
			send(sourceLast, prometheus.GaugeValue, float64(s.LastEvent.UnixMilli())/1e3)
		}
		if s.LagSeconds != nil {
			send(sourceLag, prometheus.GaugeValue, *s.LagSeconds)
		}
	}
}

// A busCollector shows the streams.
type busCollector struct{ bus *bus.Bus }

var (
	streamMessages = prometheus.NewDesc("sluice_stream_messages", "Messages in the stream: events, ledger, letters or objects.", []string{"stream"}, nil)
	streamBytes    = prometheus.NewDesc("sluice_stream_bytes", "Bytes that the stream holds.", []string{"stream"}, nil)
	streamMost     = prometheus.NewDesc("sluice_stream_max_bytes", "Bytes that the stream may hold.", []string{"stream"}, nil)
)

// streamNames are the labels of the streams in the order of bus.Stats.
var streamNames = [...]string{"events", "ledger", "letters", "objects"}

var (
	diskFree    = prometheus.NewDesc("sluice_disk_free_bytes", "Bytes that are free on the disk of the embedded bus.", nil, nil)
	diskMinFree = prometheus.NewDesc("sluice_disk_min_free_bytes", "Bytes that must be free: with less, events are refused.", nil, nil)
	diskFull    = prometheus.NewDesc("sluice_disk_full", "1 while events are refused because the disk has not enough room.", nil, nil)
	storeBroken = prometheus.NewDesc("sluice_store_failures_total", "How often a write has failed, so that the embedded server was started again.", nil, nil)
)

// Describe is for prometheus.Collector.
func (c *busCollector) Describe(to chan<- *prometheus.Desc) {
	to <- streamMessages
	to <- streamBytes
	to <- streamMost
	to <- diskFree
	to <- diskMinFree
	to <- diskFull
	to <- storeBroken
}

// Collect is for prometheus.Collector.
func (c *busCollector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	c.collectDisk(to)
	stats, err := c.bus.Stats(ctx)
	if err != nil {
		return // the readiness says why
	}
	for i := range stats[:min(len(stats), len(streamNames))] {
		for d, v := range map[*prometheus.Desc]uint64{
			streamMessages: stats[i].Messages, streamBytes: stats[i].Bytes, streamMost: stats[i].MaxBytes,
		} {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), streamNames[i])
		}
	}
}

// collectDisk shows the disk, also when the bus does not answer.
func (c *busCollector) collectDisk(to chan<- prometheus.Metric) {
	disk, ok := c.bus.Disk()
	if !ok {
		return
	}
	full := 0.0
	if disk.Full {
		full = 1
	}
	for d, v := range map[*prometheus.Desc]float64{
		diskFree: float64(disk.Free), diskMinFree: float64(disk.MinFree), diskFull: full,
	} {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	to <- prometheus.MustNewConstMetric(storeBroken, prometheus.CounterValue, float64(disk.Failures))
}
