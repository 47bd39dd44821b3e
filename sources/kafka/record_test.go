package kafka

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/event"
	"sluice/event/aws"
)

func makerOf(cfg *Config, at cursor) *maker {
	cfg.Brokers = []string{"a:9092", "b:9092"}
	return newMaker(cfg, topic, 3, at, slog.New(slog.DiscardHandler))
}

func TestRecord(t *testing.T) {
	r := &kgo.Record{
		Topic: topic, Partition: 3, Offset: 15, Timestamp: time.UnixMilli(1767225600123),
		Key: []byte("customer-3"), Value: []byte(`{"order": 7}`),
		Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("on")}, {Key: "raw", Value: []byte{0xff, 0}}, {Key: "ü\n", Value: []byte("\u0085😀\"")}},
	}
	e := makerOf(NewConfig(), cursor{Topic: "AbC"}).event(r)
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	want := `{"specversion":"1.0","id":"orders/3/15/AbC","source":"kafka://orders","type":"kafka.record","time":"2026-01-01T00:00:00.123Z","datacontenttype":"application/json",` +
		`"bootstrapservers":"a:9092,b:9092","headers":"[{\"trace\":\"on\"},{\"raw\":[255,0]},{\"\\u00fc\\u000a\":\"\\u0085\\ud83d\\ude00\\\"\"}]",` +
		`"partitionkey":"customer-3","sequence":"15","shard":"3","topic":"orders","data":{"order": 7}}`
	if got := string(e.AppendJSON(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRecordsOfAllSorts(t *testing.T) {
	for name, test := range map[string]struct {
		record kgo.Record
		want   map[string]string
		data   string
		media  string
	}{
		"tombstone":        {kgo.Record{Key: []byte("k")}, map[string]string{"partitionkey": "k", "tombstone": "true"}, "", ""},
		"empty":            {kgo.Record{Value: []byte{}}, map[string]string{"partitionkey": "", "tombstone": ""}, "", ""},
		"key of bytes":     {kgo.Record{Key: []byte{0xff}, Value: []byte("x y")}, map[string]string{"partitionkey": "/w==", "keybase64": "/w=="}, "x y", "text/plain; charset=utf-8"},
		"key of a line":    {kgo.Record{Key: []byte("a\nb"), Value: []byte{0xff}}, map[string]string{"partitionkey": "YQpi", "keybase64": "YQpi"}, "\xff", "application/octet-stream"},
		"says its type":    {kgo.Record{Value: []byte("<a/>"), Headers: headers("Content-Type", "application/xml")}, map[string]string{"headers": `[{"Content-Type":"application/xml"}]`}, "<a/>", "application/xml"},
		"says nonsense":    {kgo.Record{Value: []byte("1"), Headers: headers("content-type", "json")}, nil, "1", "application/json"},
		"traced":           {kgo.Record{Headers: headers("traceparent", "00-1-2-01")}, map[string]string{"traceparent": "00-1-2-01"}, "", ""},
		"a broken event":   {kgo.Record{Value: []byte("{}"), Headers: headers("ce_specversion", "1.0")}, map[string]string{"sequence": "0"}, "{}", "application/json"},
		"an ancient time":  {kgo.Record{Timestamp: time.UnixMilli(-1)}, nil, "", ""},
		"a time too large": {kgo.Record{Timestamp: time.UnixMilli(1 << 62)}, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := makerOf(NewConfig(), cursor{}).event(&test.record)
			if err := e.Validate(); err != nil {
				t.Fatal(err)
			}
			if e.ID != "orders/3/0" || e.Type != Type || string(e.Data) != test.data || e.DataContentType != test.media {
				t.Errorf("got %+v", e)
			}
			for name, want := range test.want {
				if got := e.Extension(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func headers(name, value string) []kgo.RecordHeader {
	return []kgo.RecordHeader{{Key: name, Value: []byte(value)}}
}

func TestCloudEvents(t *testing.T) {
	binary := &kgo.Record{Key: []byte("k"), Value: []byte(`{"n":1}`), Headers: append(headers("ce_specversion", "1.0"), append(headers("ce_id", "7"),
		append(headers("ce_source", "/shop"), append(headers("ce_type", "placed"), headers("content-type", "application/json")...)...)...)...)}
	structured := &kgo.Record{Headers: headers("content-type", "application/cloudevents+json"), Value: []byte(`{"specversion":"1.0","id":"7","source":"/shop","type":"placed","partitionkey":"own","data":{"n":1}}`)}
	for key, r := range map[string]*kgo.Record{"k": binary, "own": structured} {
		e := makerOf(NewConfig(), cursor{}).event(r)
		if e.ID != "7" || e.Source != "/shop" || e.Type != "placed" || e.PartitionKey() != key || string(e.Data) != `{"n":1}` {
			t.Errorf("got %+v", e)
		}
		cfg := NewConfig()
		cfg.CloudEvents = false
		if e := makerOf(cfg, cursor{}).event(r); e.Type != Type {
			t.Errorf("with cloudevents: false got %+v", e)
		}
	}
}

// Ids of a log that was cut are others than those before.
func TestGenerationIsInTheID(t *testing.T) {
	r := &kgo.Record{Offset: 4}
	for want, at := range map[string]cursor{"orders/3/4/T": {Topic: "T"}, "orders/3/4/T/2": {Topic: "T", Generation: 2}, "orders/3/4": {}} {
		if e := makerOf(NewConfig(), at).event(r); e.ID != want {
			t.Errorf("the id is %q, want %q", e.ID, want)
		}
	}
}

// Whatever a record has, its event is valid, and a function is given the record.
func FuzzRecord(f *testing.F) {
	f.Add([]byte("k"), []byte(`{"n":1}`), "content-type", []byte("application/json"), int64(15))
	f.Add([]byte{0xff}, []byte(nil), "ce_specversion", []byte("1.0"), int64(-1))
	f.Add([]byte("k"), []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t"}`), "content-type", []byte("application/cloudevents+json"), int64(1))
	f.Fuzz(func(t *testing.T, key, value []byte, name string, header []byte, ms int64) {
		r := &kgo.Record{Topic: topic, Partition: 3, Offset: 15, Key: key, Value: value, Timestamp: time.UnixMilli(ms), Headers: []kgo.RecordHeader{{Key: name, Value: header}, {Key: name, Value: header}}}
		e := makerOf(NewConfig(), cursor{Topic: "T"}).event(r)
		if err := e.Validate(); err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		if e.Type != Type {
			return
		}
		given, err := aws.Encode(aws.ShapeAWS, []*event.Event{&e}, aws.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var shape struct {
			Records map[string][]struct {
				Key, Value []byte
				Headers    []map[string][]int
			} `json:"records"`
		}
		if err := json.Unmarshal(given.JSON, &shape); err != nil {
			t.Fatal(err)
		}
		got := shape.Records["orders-3"][0]
		if string(got.Key) != string(key) || string(got.Value) != string(value) || len(got.Headers) != 2 {
			t.Fatalf("a function is given %s", given.JSON)
		}
		for _, bytes := range got.Headers[0] {
			if len(bytes) != len(header) {
				t.Fatalf("a function is given %s", given.JSON)
			}
		}
	})
}

func TestTooManyHeadersAreTooLarge(t *testing.T) {
	e := makerOf(NewConfig(), cursor{}).event(&kgo.Record{Headers: headers("long", strings.Repeat("x", event.MaxAttributes))})
	if err := event.CheckSize(&e, event.DefaultMaxSize); err == nil {
		t.Error("it has room")
	}
}
