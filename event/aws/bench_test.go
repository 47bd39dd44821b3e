package aws_test

import (
	"strings"
	"testing"

	"sluice/event"
	"sluice/event/aws"
)

func BenchmarkEncode(b *testing.B) {
	large := made("sqs.message", "sqs://q", nil, "application/json", `{"text":"`+strings.Repeat("x", 5<<20)+`"}`)
	largeEvent := made("order.placed", "/shop", nil, "application/json", `{"text":"`+strings.Repeat("x", 5<<20)+`"}`)
	object := s3Event("s3.object.created.put", `{"bucket":"b","key":"in/a.jpg","size":3,"etag":"d077f244def8a70e5ea758bd8352fcd8"}`)
	for _, c := range []struct {
		name   string
		events []*event.Event
	}{
		{"s3", []*event.Event{object}},
		{"eventbridge", []*event.Event{sample()}},
		{"sqs-5MiB", []*event.Event{large}},
		{"eventbridge-5MiB", []*event.Event{largeEvent}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				size = len(encode(b, aws.ShapeAWS, aws.Options{}, c.events...).JSON)
			}
			b.SetBytes(int64(size))
		})
	}
}
