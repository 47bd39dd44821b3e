package aws_test

import (
	"testing"
	"time"

	"sluice/event"
	"sluice/event/aws"
)

func sample() *event.Event {
	return &event.Event{
		ID: "42", Source: "/shop", Type: "order.placed", Subject: "order/7",
		Time:            time.Date(2026, 3, 1, 13, 0, 0, 250e6, time.FixedZone("", 3600)),
		DataContentType: "application/json", Data: []byte(`{"total": 12.50}`),
	}
}

func encode(tb testing.TB, shape aws.Shape, opts aws.Options, events ...*event.Event) aws.Payload {
	tb.Helper()
	p, err := aws.Encode(shape, events, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestShapes(t *testing.T) {
	text, binary, none := sample(), sample(), sample()
	text.DataContentType, text.Data = "text/plain", []byte("a \"b\"\n")
	binary.DataContentType, binary.Data = "image/png", []byte{0x89, 'P'}
	none.DataContentType, none.Data = "", nil
	const head = `{"version":"0","id":"42","detail-type":"order.placed","source":"/shop","account":"000000000000",` +
		`"time":"2026-03-01T12:00:00Z","region":"us-east-1","resources":["order/7"],"detail":`
	for _, c := range []struct {
		name  string
		shape aws.Shape
		batch bool
		event *event.Event
		want  string
	}{
		{"JSON", aws.ShapeAWS, false, sample(), head + `{"total": 12.50}}`},
		{"text", aws.ShapeAWS, false, text, head + `"a \"b\"\n"}`},
		{"bytes", aws.ShapeAWS, false, binary, head + `{"datacontenttype":"image/png","data_base64":"iVA="}}`},
		{"none", aws.ShapeAWS, false, none, head + `{}}`},
		{"list", aws.ShapeAWS, true, none, `[` + head + `{}}]`},
		{"JSON", aws.ShapeData, false, sample(), `{"total": 12.50}`},
		{"text", aws.ShapeData, false, text, `"a \"b\"\n"`},
		{"bytes", aws.ShapeData, false, binary, `"iVA="`},
		{"none", aws.ShapeData, false, none, `null`},
		{"list", aws.ShapeData, true, none, `[null]`},
		{"JSON", aws.ShapeCloudEvent, false, sample(), string(sample().AppendJSON(nil))},
		{"list", aws.ShapeCloudEvent, true, sample(), `[` + string(sample().AppendJSON(nil)) + `]`},
	} {
		p := encode(t, c.shape, aws.Options{Batch: c.batch}, c.event)
		if string(p.JSON) != c.want {
			t.Errorf("%s %s: %s\nwant %s", c.shape, c.name, p.JSON, c.want)
		}
	}
}
