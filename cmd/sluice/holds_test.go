package main

import (
	"strings"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/admin"
)

func TestHoldsAreSaidInWords(t *testing.T) {
	now := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	all := []admin.Trigger{
		{Name: "free"},
		{Name: "bill", Held: []admin.Hold{
			{Reason: "concurrency", Deliveries: 512, Limit: 10},
			{Reason: "key_concurrency", Deliveries: 40, Keys: 3, Limit: 2},
			{Reason: "adaptive", Deliveries: 1, Limit: 7},
			{Reason: "rate", Deliveries: 512, Limit: 100, PerSeconds: 1, Until: now.Add(8 * time.Millisecond)},
			{Reason: "rate", Deliveries: 5, Keys: 1, Limit: 1000, PerSeconds: 90, Until: now.Add(-time.Millisecond)},
			{Reason: "debounce", Deliveries: 3, Keys: 2, Until: now.Add(4210 * time.Millisecond)},
			{Reason: "breaker", Deliveries: 1200, Until: now.Add(12 * time.Second)},
			{Reason: "breaker", Deliveries: 2},
			{Reason: "retry", Deliveries: 10, Until: now.Add(70 * time.Second)},
			{Reason: "order", Deliveries: 410, Keys: 3, Event: 17},
			{Reason: "order", Deliveries: 7, Keys: 1, Event: 4},
			{Reason: "order", Deliveries: 1, Keys: 1},
			{Reason: "batch", Deliveries: 50, Until: now.Add(2100 * time.Millisecond)},
			{Reason: "buffer", Deliveries: 1024, Limit: 1024},
			{Reason: "waiting", Deliveries: 10448, Limit: 10000},
			{Reason: "ledger", Deliveries: 9},
			{Reason: "crashes", Deliveries: 3},
			{Reason: "of later", Deliveries: 9},
		}},
	}
	var b strings.Builder
	printHolds(&b, all, now)
	const want = `
bill is held back:
    concurrency: 10 under way, as many as may be; 512 wait
    concurrency of a key: 2 under way, as many as may be; 40 wait, of 3 keys
    adaptive: 7 under way, as many as the sink was found to take; 1 waits
    rate 100/s: 512 wait, the next goes in 8ms
    rate 1,000 in 1m30s for each key: 5 wait, of 1 key, the next goes now
    debounce: 3 wait for others to come, the next go in 4.2s
    breaker open: too many attempts failed, one delivery is tried in 12s; 1,200 wait
    breaker open: one delivery is tried, to see whether the sink works again; 2 wait
    retry: 10 wait for the next attempt, the first goes in 1m10s
    order: 410 wait for an earlier one of their 3 keys: the first is event 17
    order: 7 wait for an earlier one of their key: event 4
    order: 1 waits for an earlier one of its key
    batch: 50 wait for others to fill it, the next goes in 2.1s
    buffer: 1,024 of 1,024 in memory; the rest waits in the log until half of that is free
    waiting: 10,448 wait for a retry or a letter, and 10,000 may; the rest waits in the log until fewer do
    ledger: outcomes wait to be written; 9 wait
    crashes: 3 wait: what was under way at two crashes is attempted one at a time
    of later: 9 wait
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}
