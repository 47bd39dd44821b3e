package service

import (
	"time"

	"sluice/config"
	"sluice/router"
	"sluice/router/core"
	"sluice/router/pattern"
)

// flow gives a trigger what holds its deliveries back.
func flow(t *router.Trigger, f *config.Flow) {
	t.Flow = core.Flow{PerKey: f.PerKey, Adaptive: f.Adaptive, Ordered: f.Ordered}
	t.Retry.Forever = f.Block
	t.Keys.Concurrency = fields(f.Concurrency)
	if r := f.Rate; r != nil {
		t.Flow.Rate = core.Rate{Limit: r.Limit, Per: time.Duration(r.Per), Burst: r.Burst, Keyed: len(r.Key) > 0}
		t.Keys.Rate = fields(r.Key)
	}
	if d := f.Debounce; d != nil {
		t.Flow.Debounce = core.Debounce{Window: time.Duration(d.Window), Most: time.Duration(d.Max), All: d.Keep == config.KeepAll}
		t.Keys.Debounce = fields(d.Key)
	}
	if b := f.Breaker; b != nil {
		t.Flow.Breaker = core.Breaker{
			Failures: float64(b.FailureRate), Least: b.Minimum, Window: time.Duration(b.Window), Open: time.Duration(b.Open),
		}
	}
}

func fields(key config.Key) []pattern.Field {
	made := make([]pattern.Field, len(key))
	for i, f := range key {
		made[i] = pattern.Field(f)
	}
	return made
}
