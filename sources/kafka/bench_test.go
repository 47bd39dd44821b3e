package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What a record of 256 bytes costs before it is published.
func BenchmarkEvent(b *testing.B) {
	m := makerOf(NewConfig(), cursor{Topic: "4TqGmBHVQyW0bk9mHkG5VA"})
	r := &kgo.Record{Topic: topic, Partition: 3, Offset: 15_000_000, Timestamp: time.UnixMilli(1767225600123), Key: []byte("customer-3")}
	r.Value = fmt.Appendf(nil, `{"order":7,"pad":"%0*d"}`, 256-20, 0)
	b.ReportAllocs()
	for b.Loop() {
		m.event(r)
	}
}
