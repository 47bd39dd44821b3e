package aws_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sluice/event"
	"sluice/event/aws"
)

// batch encodes events of a type, which are named by n.
func batch(tb testing.TB, kind string, n ...string) aws.Payload {
	tb.Helper()
	var events []*event.Event
	for _, id := range n {
		e := &event.Event{ID: id, Source: "kafka://broker/orders", Type: kind, Data: []byte(`{"Keys":{"id":{"S":"1"}}}`)}
		shard, sequence, found := strings.Cut(id, ":")
		if found {
			e.ID = "event-" + id
			e.Extensions = map[string]any{"shard": shard, "sequence": sequence}
		}
		events = append(events, e)
	}
	return encode(tb, aws.ShapeAWS, aws.Options{Batch: true}, events...)
}

func TestFailed(t *testing.T) {
	queue := batch(t, "sqs.message", "m1", "m2", "m3", "m2")
	stream := batch(t, "kinesis.record", "0:9", "0:10", "1:5", "0:11", "1:4", "0:0008")
	table := batch(t, "dynamodb.modify", "0:1", "0:2", "0:3")
	topic := batch(t, "kafka.record", "0:99", "0:100", "1:7", "1:6")
	others := batch(t, "order.placed", "a", "b")
	for _, c := range []struct {
		name    string
		payload aws.Payload
		answer  string
		want    []int
		err     string // what the error has
	}{
		{"null", queue, `null`, nil, ""},
		{"nothing", queue, ``, nil, ""},
		{"an empty object", queue, ` {} `, nil, ""},
		{"another object", queue, `{"statusCode":200}`, nil, ""},
		{"another value", queue, `"done"`, nil, ""},
		{"a list", queue, `[{"itemIdentifier":"m1"}]`, nil, ""},
		{"an empty list", queue, `{"batchItemFailures":[]}`, nil, ""},
		{"a null list", queue, `{"batchItemFailures":null}`, nil, ""},
		{"one", queue, `{"batchItemFailures":[{"itemIdentifier":"m1"}]}`, []int{0}, ""},
		{"two of one name", queue, `{"batchItemFailures":[{"itemIdentifier":"m2"}]}`, []int{1, 3}, ""},
		{"all", queue, `{"batchItemFailures":[{"itemIdentifier":"m3"},{"itemIdentifier":"m2"},{"itemIdentifier":"m1"}]}`, []int{0, 1, 2, 3}, ""},
		{"more in an item", queue, `{"batchItemFailures":[{"itemIdentifier":"m1","reason":"x"}],"more":1}`, []int{0}, ""},
		{"event ids", others, `{"batchItemFailures":[{"itemIdentifier":"b"}]}`, []int{1}, ""},

		{"the lowest of its shard", stream, `{"batchItemFailures":[{"itemIdentifier":"11"},{"itemIdentifier":"10"}]}`, []int{1, 3}, ""},
		{"leading zeros", stream, `{"batchItemFailures":[{"itemIdentifier":"0008"}]}`, []int{0, 1, 3, 5}, ""},
		{"two shards", stream, `{"batchItemFailures":[{"itemIdentifier":"5"},{"itemIdentifier":"11"}]}`, []int{2, 3}, ""},
		{"an earlier one later in the batch", stream, `{"batchItemFailures":[{"itemIdentifier":"4"}]}`, []int{2, 4}, ""},
		{"a table", table, `{"batchItemFailures":[{"itemIdentifier":"2"}]}`, []int{1, 2}, ""},

		{"an offset", topic, `{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":99}}]}`, []int{0, 1}, ""},
		{"the last offset", topic, `{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":100}}]}`, []int{1}, ""},
		{"an offset as text", topic, `{"batchItemFailures":[{"itemIdentifier":"orders-1-6"}]}`, []int{2, 3}, ""},

		{"no JSON", queue, `{"batchItemFailures":`, nil, `is not JSON`},
		{"text", queue, `done`, nil, `"done"`},
		{"no list", queue, `{"batchItemFailures":"m1"}`, nil, `batchItemFailures is "m1": want a list`},
		{"the list misnamed", queue, `{"BatchItemFailures":[{"itemIdentifier":"m1"}]}`, nil, `BatchItemFailures is misnamed: write batchItemFailures`},
		{"an item that is a string", queue, `{"batchItemFailures":["m1"]}`, nil, `batchItemFailures[0] is "m1"`},
		{"an item that is null", queue, `{"batchItemFailures":[null]}`, nil, `batchItemFailures[0] is null`},
		{"an item misnamed", queue, `{"batchItemFailures":[{"ItemIdentifier":"m1"}]}`, nil, `batchItemFailures[0].ItemIdentifier is misnamed`},
		{"an item without", queue, `{"batchItemFailures":[{"itemIdentifier":"m1"},{"id":"m1"}]}`, nil, `batchItemFailures[1] has no itemIdentifier`},
		{"empty", queue, `{"batchItemFailures":[{"itemIdentifier":""}]}`, nil, `itemIdentifier is ""`},
		{"null in it", queue, `{"batchItemFailures":[{"itemIdentifier":null}]}`, nil, `itemIdentifier is null`},
		{"a number", stream, `{"batchItemFailures":[{"itemIdentifier":10}]}`, nil, `itemIdentifier is 10`},
		{"unknown", queue, `{"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m9"}]}`, nil, `batchItemFailures[1].itemIdentifier "m9" is no item of the batch: want one such as "m1"`},
		{"the id of a record", stream, `{"batchItemFailures":[{"itemIdentifier":"event-0:9"}]}`, nil, `is no item of the batch`},
		{"no offset", topic, `{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0"}}]}`, nil, `for Kafka`},
		{"a foreign offset", topic, `{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":7}}]}`, nil, `"orders-0-7" is no item`},
	} {
		t.Run(c.name, func(t *testing.T) {
			failed, err := aws.Failed([]byte(c.answer), c.payload)
			if c.err != "" {
				var answer *aws.AnswerError
				if !errors.As(err, &answer) || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("%v: %v, want an error with %q", failed, err, c.err)
				}
				return
			}
			if got := slices.Sorted(maps.Keys(failed)); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%v, %v: want %v", got, err, c.want)
			}
		})
	}
}

// Of a stream exactly those fail that are at or behind the lowest failed
// sequence number of their shard.
func TestCutIsTheLowestOfEachShard(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.IntRange(1, 12).Draw(r, "size")
		shards, sequences, names := make([]int, size), make([]uint64, size), make([]string, size)
		for i := range size {
			shards[i] = rapid.IntRange(0, 2).Draw(r, "shard")
			// A sequence number is unique within the batch, as it is within a stream.
			sequences[i] = rapid.Uint64Range(0, 1<<40).Draw(r, "sequence")<<8 | uint64(i)
			names[i] = fmt.Sprintf("%d:%d", shards[i], sequences[i])
		}
		p := batch(t, "kinesis.record", names...)
		chosen := rapid.SliceOfNDistinct(rapid.IntRange(0, size-1), 1, size, rapid.ID[int]).Draw(r, "failed")
		var items []string
		for _, i := range chosen {
			items = append(items, `{"itemIdentifier":`+strconv.Quote(p.Identifiers[i])+`}`)
		}
		failed, err := aws.Failed([]byte(`{"batchItemFailures":[`+strings.Join(items, ",")+`]}`), p)
		if err != nil {
			r.Fatal(err)
		}
		for i := range size {
			want := slices.ContainsFunc(chosen, func(c int) bool { return shards[c] == shards[i] && sequences[c] <= sequences[i] })
			if failed[i] != want {
				r.Errorf("%s of %v failed: %v, want %v, when %v fail", names[i], names, failed[i], want, items)
			}
		}
	})
}

func FuzzFailed(f *testing.F) {
	for _, answer := range []string{
		`null`, `{}`, ``, `{"batchItemFailures":[{"itemIdentifier":"0:9"}]}`, `{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":9}}]}`,
		`{"batchitemfailures":[]}`, `{"batchItemFailures":[{}]}`, `[`, `{"batchItemFailures":[null]}`, "{\"batchItemFailures\":[{\"itemIdentifier\":\"\xff\"}]}",
	} {
		f.Add([]byte(answer))
	}
	payloads := []aws.Payload{
		batch(f, "sqs.message", "a", "b"), batch(f, "kinesis.record", "0:9", "0:10", "1:9"), batch(f, "kafka.record", "0:9", "0:10", "1:9"), {},
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		for _, p := range payloads {
			failed, err := aws.Failed(answer, p)
			if err != nil && failed != nil {
				t.Errorf("%v and %v", failed, err)
			}
			for i := range failed {
				if i < 0 || i >= len(p.Identifiers) {
					t.Errorf("%d of %d has failed", i, len(p.Identifiers))
				}
			}
		}
	})
}
