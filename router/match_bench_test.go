package router

import (
	"fmt"
	"strconv"
	"testing"

	"sluice/event"
	"sluice/router/pattern"
)

// A stretch of 256 events is matched against one trigger or ten thousand, one
// of which takes the first of every 64 events, or all.
func BenchmarkMatch(b *testing.B) {
	for _, every := range []int{64, 1} {
		for _, count := range []int{1, 10_000} {
			b.Run(fmt.Sprintf("every%d/%d", every, count), func(b *testing.B) { benchmarkMatch(b, every, count) })
		}
	}
}

func benchmarkMatch(b *testing.B, every, count int) {
	b.Helper()
	t := &table{version: 1, triggers: map[uint32]*Trigger{}}
	var entries []pattern.Entry
	for i := range count {
		text := fmt.Sprintf(`{"type":["order.placed"],"data":{"customer":{"id":["c%d"]},"total":[{"numeric":[">",0]}]}}`, i)
		p, err := pattern.Compile([]byte(text))
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, pattern.Entry{ID: i + 1, Sources: []string{"shop"}, Pattern: p})
	}
	t.index = pattern.NewIndex(entries)
	stretch := make([]*event.Entry, 256)
	for i := range stretch {
		customer := "other"
		if i%every == 0 {
			customer = "c0"
		}
		data := fmt.Sprintf(`{"customer":{"id":%q,"name":"Ada","city":"London"},"items":[{"sku":"a-1","count":2},{"sku":"b-2","count":1}],"total":37.5,"currency":"GBP","note":"leave at the door"}`, customer)
		stretch[i] = &event.Entry{
			Event:  &event.Event{ID: strconv.Itoa(i), Source: "/shop", Type: "order.placed", DataContentType: "application/json", Data: []byte(data)},
			Source: "shop", Sequence: uint64(i + 1), Size: len(data),
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		matched, err := t.match(stretch, nil)
		if err != nil || len(matched) != len(stretch)/every {
			b.Fatal(len(matched), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(stretch)), "ns/event")
}
