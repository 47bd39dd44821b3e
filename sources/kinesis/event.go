package kinesis

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"sluice/event"
	"sluice/sources/shards"
)

// Type is that of all events of the source.
const Type = "kinesis.record"

// A maker makes events of records.
type maker struct {
	source      string
	deaggregate bool
}

// record returns a record with its events. Of one that a producer has put
// several into, each becomes an event.
func (m *maker) record(shard, arn string, r *types.Record) shards.Record {
	made := shards.Record{Sequence: aws.ToString(r.SequenceNumber), Time: aws.ToTime(r.ApproximateArrivalTimestamp)}
	one := func(id, key string, data []byte) event.Event {
		return m.event(shard, arn, id, key, &made, data)
	}
	id := shard + ":" + made.Sequence
	parts, aggregated := []part(nil), false
	if m.deaggregate {
		parts, aggregated = deaggregate(r.Data)
	}
	if !aggregated {
		made.Events = []event.Event{one(id, aws.ToString(r.PartitionKey), r.Data)}
		return made
	}
	made.Events = make([]event.Event, len(parts))
	for i := range parts {
		made.Events[i] = one(id+":"+strconv.Itoa(i), parts[i].key, parts[i].data)
	}
	return made
}

func (m *maker) event(shard, arn, id, key string, r *shards.Record, data []byte) event.Event {
	e := event.Event{
		ID: id, Source: m.source, Type: Type, Time: r.Time.UTC().Truncate(time.Millisecond), Data: data,
		Extensions: map[string]any{"shard": shard, "sequence": r.Sequence, "arn": arn},
	}
	if len(data) > 0 {
		e.DataContentType = contentType(data)
	}
	if key != "" {
		e.Extensions["partitionkey"] = shards.Key(key)
	}
	return e
}

// contentType returns what data looks like: records do not say it.
func contentType(data []byte) string {
	switch {
	case !utf8.Valid(data):
		return "application/octet-stream"
	case json.Valid(data):
		return "application/json"
	}
	return "text/plain"
}
