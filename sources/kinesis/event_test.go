package kinesis

import (
	"bytes"
	"crypto/md5" //nolint:gosec // the format's checksum
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"google.golang.org/protobuf/encoding/protowire"

	"sluice/event"
	awsform "sluice/event/aws"
)

// aggregate makes an aggregated record, as the Kinesis Producer Library does.
func aggregate(parts []part) []byte {
	var message []byte
	for _, p := range parts {
		message = protowire.AppendTag(message, fieldKeyTable, protowire.BytesType)
		message = protowire.AppendString(message, p.key)
	}
	for i, p := range parts {
		var r []byte
		r = protowire.AppendTag(r, fieldKeyIndex, protowire.VarintType)
		r = protowire.AppendVarint(r, uint64(i))
		r = protowire.AppendTag(r, fieldData, protowire.BytesType)
		r = protowire.AppendBytes(r, p.data)
		message = protowire.AppendTag(message, fieldRecords, protowire.BytesType)
		message = protowire.AppendBytes(message, r)
	}
	sum := md5.Sum(message) //nolint:gosec // as above
	return append(append([]byte(magic), message...), sum[:]...)
}

const (
	someARN      = "arn:aws:kinesis:eu-central-1:123456789012:stream/orders"
	someSequence = "49545115243490985018280067714973144582180062593244200961"
)

func made(data []byte, deaggregate bool) []string {
	m := maker{source: "kinesis://orders", deaggregate: deaggregate}
	r := m.record("shardId-000000000003", someARN, &types.Record{
		SequenceNumber: aws.String(someSequence), PartitionKey: aws.String("k"), Data: data, ApproximateArrivalTimestamp: aws.Time(time.Unix(1767225600, 0)),
	})
	var all []string
	for i := range r.Events {
		e := &r.Events[i]
		all = append(all, e.ID+" "+e.PartitionKey()+" "+e.DataContentType+" "+string(e.Data))
	}
	return all
}

func TestRecord(t *testing.T) {
	whole := aggregate([]part{{"a", []byte(`{"n":1}`)}, {"b", []byte("text")}, {"a", nil}})
	broken := bytes.Clone(whole)
	broken[6]++
	id := "shardId-000000000003:" + someSequence
	for name, c := range map[string]struct {
		data        []byte
		deaggregate bool
		want        []string
	}{
		"JSON":                   {[]byte(`{"n":1}`), true, []string{id + ` k application/json {"n":1}`}},
		"text":                   {[]byte("hello"), true, []string{id + " k text/plain hello"}},
		"bytes":                  {[]byte{0xff, 0xfe}, true, []string{id + " k application/octet-stream \xff\xfe"}},
		"nothing":                {nil, true, []string{id + " k  "}},
		"aggregated":             {whole, true, []string{id + `:0 a application/json {"n":1}`, id + ":1 b text/plain text", id + ":2 a  "}},
		"aggregated, as it is":   {whole, false, []string{id + " k application/octet-stream " + string(whole)}},
		"aggregated, and broken": {broken, true, []string{id + " k application/octet-stream " + string(broken)}},
		"aggregated from none":   {aggregate(nil), true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := made(c.data, c.deaggregate)
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("event %d is %q, want %q", i, got[i], c.want[i])
				}
			}
		})
	}
}

// TestFunctionsAreGivenTheRecord compares with what functions are given of the
// service itself.
func TestFunctionsAreGivenTheRecord(t *testing.T) {
	m := maker{source: "kinesis://orders"}
	r := m.record("shardId-000000000003", someARN, &types.Record{
		SequenceNumber: aws.String(someSequence), PartitionKey: aws.String("customer-3"), Data: []byte(`{"order":7}`), ApproximateArrivalTimestamp: aws.Time(time.UnixMilli(1767225600123)),
	})
	if err := r.Events[0].Validate(); err != nil {
		t.Fatal(err)
	}
	payload, err := awsform.Encode(awsform.ShapeAWS, []*event.Event{&r.Events[0]}, awsform.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := payload.JSON
	for _, want := range []string{
		`"partitionKey":"customer-3"`, `"sequenceNumber":"` + someSequence + `"`, `"data":"eyJvcmRlciI6N30="`, `"approximateArrivalTimestamp":1767225600.123`,
		`"eventID":"shardId-000000000003:` + someSequence + `"`, `"eventSourceARN":"` + someARN + `"`, `"awsRegion":"eu-central-1"`,
	} {
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("%s has no %s", got, want)
		}
	}
}

func FuzzDeaggregate(f *testing.F) {
	f.Add(aggregate([]part{{"a", []byte("x")}, {"b", nil}}))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, is := deaggregate(data); is && !bytes.HasPrefix(data, []byte(magic)) {
			t.Error("what does not begin like an aggregated record was taken for one")
		}
		// The checksum would keep nearly all of what is tried from the parser.
		sum := md5.Sum(data) //nolint:gosec // as above
		parts, _ := deaggregate(append(append([]byte(magic), data...), sum[:]...))
		size := 0
		for i := range parts {
			size += len(parts[i].data)
		}
		if size > len(data) {
			t.Errorf("%d bytes were made of %d", size, len(data))
		}
	})
}
