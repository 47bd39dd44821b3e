package amqp_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rabbitmq/amqp091-go"
	"pgregory.net/rapid"

	"sluice/event"
	"sluice/sources/amqp"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func cfg(change func(*amqp.Config)) *amqp.Config {
	c := amqp.NewConfig()
	c.Queue = "jobs/1"
	if change != nil {
		change(c)
	}
	return c
}

func message() *amqp091.Delivery {
	return &amqp091.Delivery{
		Headers:     amqp091.Table{"customer": "c7", "n": int32(3), "traceparent": "00-1-2-01"},
		ContentType: "application/json", ContentEncoding: "gzip", DeliveryMode: 2, Priority: 9,
		CorrelationId: "c", ReplyTo: "r", Expiration: "60000", MessageId: "m1", Timestamp: now.Add(-time.Hour),
		Type: "t", UserId: "u", AppId: "a", DeliveryTag: 5, Redelivered: true, Exchange: "shop", RoutingKey: "order.placed",
		Body: []byte(`{"order":7}`),
	}
}

func TestMessage(t *testing.T) {
	want := event.Event{
		ID: "m1", Source: "amqp://broker:5672/prod/jobs%2F1", Type: "amqp.message", Subject: "order.placed",
		Time: now.Add(-time.Hour), DataContentType: "application/json", Data: []byte(`{"order":7}`),
		Extensions: map[string]any{
			"queue": "jobs/1", "vhost": "prod", "exchange": "shop", "partitionkey": "order.placed", "redelivered": true,
			"deliverymode": int32(2), "priority": int32(9), "correlationid": "c", "replyto": "r", "expiration": "60000",
			"messageid": "m1", "messagetype": "t", "userid": "u", "appid": "a", "contentencoding": "gzip",
			"headers": `{"customer":"c7","n":3,"traceparent":"00-1-2-01"}`, "traceparent": "00-1-2-01",
		},
	}
	if diff := cmp.Diff(want, amqp.Make(cfg(nil), message(), now)); diff != "" {
		t.Error(diff)
	}
	bare := amqp.Make(cfg(nil), &amqp091.Delivery{DeliveryTag: 8, ContentType: "no type"}, now)
	want = event.Event{
		ID: "session.8", Source: want.Source, Type: want.Type, Time: now,
		Extensions: map[string]any{"queue": "jobs/1", "vhost": "prod", "redelivered": false},
	}
	if diff := cmp.Diff(want, bare); diff != "" {
		t.Error(diff)
	}
}

func TestIdentity(t *testing.T) {
	header := func(id amqp.Identity) func(*amqp.Config) {
		return func(c *amqp.Config) { c.ID, c.IDHeader = id, "n" }
	}
	by := func(id amqp.Identity) func(*amqp.Config) { return func(c *amqp.Config) { c.ID = id } }
	unnamed := message()
	unnamed.MessageId = ""
	control := message()
	control.MessageId = "a\nb"
	content := amqp.Make(cfg(by(amqp.ByContent)), unnamed, now).ID
	for _, c := range []struct {
		name    string
		change  func(*amqp.Config)
		message *amqp091.Delivery
		want    string
	}{
		{"message id", nil, message(), "m1"},
		{"no message id", nil, unnamed, "session.5"},
		{"one that is no text of an event", nil, control, "9c9a5e4d4a6d6b8e" + "…"},
		{"header", header(amqp.ByMessageID), message(), "3"},
		{"delivery", by(amqp.ByDelivery), message(), "session.5"},
		{"message id before content", by(amqp.ByContent), message(), "m1"},
	} {
		if got := amqp.Make(cfg(c.change), c.message, now).ID; got != c.want && !strings.HasSuffix(c.want, "…") || len(got) > 64 {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	again := *unnamed
	again.Redelivered, again.DeliveryTag, again.Headers = false, 99, amqp091.Table{
		"customer": "c7", "n": int32(3), "traceparent": "00-1-2-01", "x-delivery-count": int64(2),
	}
	if got := amqp.Make(cfg(by(amqp.ByContent)), &again, now).ID; got != content {
		t.Errorf("redelivered it is %q, and was %q", got, content)
	}
	for name, change := range map[string]func(*amqp091.Delivery){
		"body": func(d *amqp091.Delivery) { d.Body = []byte("x") }, "key": func(d *amqp091.Delivery) { d.RoutingKey = "x" },
		"headers": func(d *amqp091.Delivery) { d.Headers = nil }, "time": func(d *amqp091.Delivery) { d.Timestamp = now },
	} {
		other := again
		change(&other)
		if amqp.Make(cfg(by(amqp.ByContent)), &other, now).ID == content {
			t.Errorf("with another %s it has the same id", name)
		}
	}
}

func TestPartitionHeader(t *testing.T) {
	for header, want := range map[string]string{"customer": "c7", "n": "3", "none": ""} {
		e := amqp.Make(cfg(func(c *amqp.Config) { c.PartitionHeader = header }), message(), now)
		if e.PartitionKey() != want {
			t.Errorf("%s: %q, want %q", header, e.PartitionKey(), want)
		}
	}
}

func TestCloudEvents(t *testing.T) {
	binary := message()
	binary.Headers = amqp091.Table{
		"cloudEvents:specversion": "1.0", "cloudEvents:id": "e1", "cloudEvents:source": "/shop", "cloudEvents_type": "order.placed",
		"cloudEvents:time": now, "cloudEvents:count": int32(4), "other": "x",
	}
	structured := &amqp091.Delivery{
		RoutingKey: binary.RoutingKey, ContentType: "application/cloudevents+json",
		Body: []byte(`{"specversion":"1.0","id":"e1","source":"/shop","type":"order.placed","time":"2026-03-01T12:00:00Z","count":4,"datacontenttype":"application/json","data":{"order":7}}`),
	}
	want := event.Event{
		ID: "e1", Source: "/shop", Type: "order.placed", Time: now, DataContentType: "application/json",
		Data: []byte(`{"order":7}`), Extensions: map[string]any{"count": int32(4), "partitionkey": binary.RoutingKey},
	}
	for name, d := range map[string]*amqp091.Delivery{"binary": binary, "structured": structured} {
		got := amqp.Make(cfg(nil), d, now)
		if name == "binary" {
			want.Extensions["count"] = "4" // a property is a text
		} else {
			want.Extensions["count"] = int32(4)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if e := amqp.Make(cfg(func(c *amqp.Config) { c.CloudEvents = false }), d, now); e.Type != amqp.Type {
			t.Errorf("%s: with cloudevents: false it is a %s", name, e.Type)
		}
	}
	binary.Headers["cloudEvents:partitionkey"] = "own"
	if e := amqp.Make(cfg(nil), binary, now); e.PartitionKey() != "own" {
		t.Errorf("an event's own partitionkey has become %q", e.PartitionKey())
	}
	delete(binary.Headers, "cloudEvents:source")
	if e := amqp.Make(cfg(nil), binary, now); e.Type != amqp.Type || e.ID != "m1" {
		t.Errorf("one that is none is taken as %s", e.Type)
	}
}

func TestTable(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{"a \"b\" é\n<", `"a \"b\" é\n\u003c"`},
		{"\x7f\u0085\ufdd0\U0001fffe", `"\u007f\u0085\ufdd0\ud83f\udffe"`},
		{"\xff\x00", `{"bytes":[255,0]}`},
		{[]byte("hi"), `{"bytes":[104,105]}`},
		{nil, "null"},
		{true, "true"},
		{int8(-1), "-1"},
		{byte(200), "200"},
		{int16(-300), "-300"},
		{uint16(60000), "60000"},
		{int32(-7), "-7"},
		{uint32(4e9), "4000000000"},
		{int64(math.MinInt64), "-9223372036854775808"},
		{float32(0.1), "0.1"},
		{1e300, "1e+300"},
		{math.NaN(), `"NaN"`},
		{math.Inf(-1), `"-Inf"`},
		{amqp091.Decimal{Scale: 2, Value: -1234}, "-1234e-2"},
		{now, `"2026-03-01T12:00:00Z"`},
		{time.Unix(1<<40, 0), "1099511627776"},
		{[]any{int32(1), "a", amqp091.Table{"b": nil}}, `[1,"a",{"b":null}]`},
		{amqp091.Table{}, "{}"},
	} {
		got := string(amqp.AppendTable(nil, amqp091.Table{"k": c.value}))
		if want := `{"k":` + c.want + "}"; got != want {
			t.Errorf("%#v: %s, want %s", c.value, got, want)
		}
	}
}

// field generates any value of a table.
func field(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		most := 15
		if depth == 0 {
			most = 13
		}
		switch rapid.IntRange(0, most).Draw(t, "type") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return rapid.Int8().Draw(t, "int8")
		case 3:
			return rapid.Byte().Draw(t, "byte")
		case 4:
			return rapid.Int16().Draw(t, "int16")
		case 5:
			return rapid.Uint16().Draw(t, "uint16")
		case 6:
			return rapid.Int32().Draw(t, "int32")
		case 7:
			return rapid.Uint32().Draw(t, "uint32")
		case 8:
			return rapid.Int64().Draw(t, "int64")
		case 9:
			return rapid.Float32().Draw(t, "float32")
		case 10:
			return rapid.Float64().Draw(t, "float64")
		case 11:
			return string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		case 12:
			return time.Unix(rapid.Int64().Draw(t, "time"), 0)
		case 13:
			return amqp091.Decimal{Scale: rapid.Byte().Draw(t, "scale"), Value: rapid.Int32().Draw(t, "value")}
		case 14:
			return rapid.SliceOfN(field(depth-1), 0, 3).Draw(t, "list")
		default:
			return table(t, depth-1)
		}
	})
}

func table(t *rapid.T, depth int) amqp091.Table {
	t.Helper()
	return rapid.MapOfN(rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "name"))
	}), field(depth), 0, 4).Draw(t, "table")
}

// Whatever a broker sends becomes a valid event, whose headers are JSON.
func TestEveryMessageIsAnEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "text")) })
		d := &amqp091.Delivery{
			Headers: table(t, 2), ContentType: text.Draw(t, "content type"), ContentEncoding: text.Draw(t, "encoding"),
			DeliveryMode: rapid.Byte().Draw(t, "mode"), Priority: rapid.Byte().Draw(t, "priority"),
			CorrelationId: text.Draw(t, "correlation"), ReplyTo: text.Draw(t, "reply to"), Expiration: text.Draw(t, "expiration"),
			MessageId: text.Draw(t, "message id"), Timestamp: time.Unix(rapid.Int64().Draw(t, "time"), 0), Type: text.Draw(t, "type"),
			UserId: text.Draw(t, "user"), AppId: text.Draw(t, "app"), Exchange: text.Draw(t, "exchange"), RoutingKey: text.Draw(t, "key"),
			Body: rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		}
		if rapid.Bool().Draw(t, "says that it is an event") {
			d.Headers["cloudEvents:specversion"] = "1.0"
		}
		c := cfg(func(c *amqp.Config) {
			c.Queue = "q" + text.Draw(t, "queue")
			c.ID = rapid.SampledFrom([]amqp.Identity{amqp.ByMessageID, amqp.ByContent, amqp.ByDelivery}).Draw(t, "id")
			c.PartitionHeader = rapid.SampledFrom([]string{"", "a"}).Draw(t, "partition header")
		})
		e := amqp.Make(c, d, now)
		if err := e.Validate(); err != nil {
			t.Fatal(err)
		}
		if headers := e.Extension("headers"); headers != "" && !json.Valid([]byte(headers)) {
			t.Fatalf("the headers are %s", headers)
		}
		if again := amqp.Make(c, d, now); again.ID != e.ID || again.Source != e.Source {
			t.Fatalf("the id is %q, and then %q", e.ID, again.ID)
		}
	})
}
