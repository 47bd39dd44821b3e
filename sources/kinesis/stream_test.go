package kinesis

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/connect/awsconn/awstest"
	"sluice/sources/shards"
	"sluice/sources/sourcetest"
)

// A service answers as Kinesis does, by its documentation, for a stream of one
// shard: kinesalite throttles nothing, and its iterators and records live longer
// than a test.
type service struct {
	mu          sync.Mutex
	first, last int // the sequence numbers of the records
	// fault is asked for an answer to stand in place of the service's; one without
	// a body is none.
	fault     func(operation string) awstest.Answer
	iterators []string // the kinds that were asked for
}

func (s *service) answer(operation string, body []byte) awstest.Answer {
	var in struct{ ShardIterator, ShardIteratorType, StartingSequenceNumber string }
	if err := json.Unmarshal(body, &in); err != nil {
		return awstest.Error("SerializationException", "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if operation == "GetShardIterator" {
		s.iterators = append(s.iterators, strings.TrimSpace(in.ShardIteratorType+" "+in.StartingSequenceNumber))
	}
	if s.fault != nil {
		if a := s.fault(operation); a.Body != "" {
			return a
		}
	}
	switch operation {
	case "DescribeStreamSummary":
		return awstest.Answer{Body: `{"StreamDescriptionSummary":{"EncryptionType":"NONE","EnhancedMonitoring":[{"ShardLevelMetrics":[]}],"OpenShardCount":1,"RetentionPeriodHours":24,"StreamARN":"` +
			someARN + `","StreamCreationTimestamp":1.767225600E9,"StreamName":"orders","StreamStatus":"ACTIVE"}}`}
	case "ListShards":
		return awstest.Answer{Body: `{"Shards":[{"HashKeyRange":{"EndingHashKey":"340282366920938463463374607431768211455","StartingHashKey":"0"},"SequenceNumberRange":{"StartingSequenceNumber":"1"},"ShardId":"shardId-000000000000"}]}`}
	case "GetShardIterator":
		after, _ := strconv.Atoi(in.StartingSequenceNumber) // 0 without one
		return awstest.Answer{Body: fmt.Sprintf(`{"ShardIterator":"%d"}`, max(after+1, s.first))}
	}
	return s.records(in.ShardIterator)
}

func (s *service) records(iterator string) awstest.Answer {
	at, err := strconv.Atoi(iterator)
	if err != nil {
		return awstest.Error("InvalidArgumentException", "Invalid ShardIterator.")
	}
	var all []string
	for ; at <= s.last; at++ {
		all = append(all, fmt.Sprintf(`{"ApproximateArrivalTimestamp":%d,"Data":%q,"PartitionKey":"k","SequenceNumber":"%d"}`,
			time.Now().Unix(), base64.StdEncoding.EncodeToString([]byte("x")), at))
	}
	return awstest.Answer{Body: fmt.Sprintf(`{"MillisBehindLatest":0,"NextShardIterator":"%d","Records":[%s]}`, at, strings.Join(all, ","))}
}

// change changes what there is.
func (s *service) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// asked returns the kinds of the iterators that were asked for.
func (s *service) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.iterators)
}

// times answers the first n requests of an operation with an error.
func times(n int, operation, code, message string) func(string) awstest.Answer {
	return func(asked string) awstest.Answer {
		if asked != operation || n == 0 {
			return awstest.Answer{}
		}
		n--
		return awstest.Error(code, message)
	}
}

// run runs a source of the service as of a later time, and returns what it
// reports.
func (s *service) run(tb testing.TB, out *sourcetest.Out, later time.Duration, lost shards.Loss) (stop func(), reported chan string) {
	tb.Helper()
	c := NewConfig()
	c.AWS, c.Stream, c.Start, c.OnLost = awstest.Start(tb, s.answer), "orders", shards.StartHorizon, lost
	if err := c.Validate(); err != nil {
		tb.Fatal(err)
	}
	reported = make(chan string, 100)
	env := sourcetest.Env("orders", nil)
	env.Now = func() time.Time { return time.Now().Add(later) }
	env.Report = func(err error) { reported <- fmt.Sprint(err) }
	source, err := c.Source(env)
	if err != nil {
		tb.Fatal(err)
	}
	return sourcetest.Run(tb, source, out), reported
}

func sequences(out *sourcetest.Out) []string {
	var all []string
	for _, e := range out.Events() {
		all = append(all, e.Extension("sequence"))
	}
	return all
}

// TestExpiredIterator asks for another iterator, behind what was published.
func TestExpiredIterator(t *testing.T) {
	t.Parallel()
	for code, message := range map[string]string{
		"ExpiredIteratorException": "Iterator expired. The iterator was created at time Thu Jan 01 00:00:00 UTC 2026 while right now it is Thu Jan 01 00:05:01 UTC 2026 which is further in the future than the tolerated delay of 300000 milliseconds.",
		"InvalidArgumentException": "Invalid ShardIterator.",
	} {
		s := &service{first: 1, last: 2}
		out := sourcetest.NewOut()
		stop, _ := s.run(t, out, 0, shards.Continue)
		out.Wait(t, 2)
		s.change(func() { s.fault, s.last = times(1, "GetRecords", code, message), 3 })
		out.Wait(t, 3)
		stop()
		if got := s.asked(); !slices.Equal(got, []string{"TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER 2"}) || !slices.Equal(sequences(out), []string{"1", "2", "3"}) {
			t.Errorf("%s: asked were %q, the events are of %v", code, got, sequences(out))
		}
	}
}

// TestThrottled waits, and reports nothing when it is over soon.
func TestThrottled(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"ProvisionedThroughputExceededException", "LimitExceededException", "KMSThrottlingException"} {
		s := &service{first: 1, last: 1, fault: times(1, "GetRecords", code, "Rate exceeded for shard shardId-000000000000 in stream orders under account 123456789012.")}
		out := sourcetest.NewOut()
		stop, reported := s.run(t, out, 0, shards.Continue)
		out.Wait(t, 1)
		stop()
		if got := s.asked(); len(reported) != 0 || !slices.Equal(got, []string{"TRIM_HORIZON"}) {
			t.Errorf("%s: %d reports, asked for %q", code, len(reported), got)
		}
	}
}

// TestTrimmed says what was lost, and goes on with the oldest that is there, or
// waits: the service begins there by itself when it is asked for what it has
// trimmed, or says that the place is not valid.
func TestTrimmed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		later time.Duration
		fault func(string) awstest.Answer
		lost  shards.Loss
		want  string
	}{
		"not read for a day": {25 * time.Hour, nil, shards.Continue, "it was not read for longer than the stream keeps its records"},
		"no such place": {
			0, times(1, "GetShardIterator", "InvalidArgumentException", "StartingSequenceNumber 2 used in GetShardIterator on shard shardId-000000000000 in stream orders under account 123456789012 is invalid"),
			shards.Continue, "StartingSequenceNumber 2 used in GetShardIterator",
		},
		"it stops": {25 * time.Hour, nil, shards.Stop, "the shard waits"},
	} {
		s := &service{first: 1, last: 2}
		out := sourcetest.NewOut()
		stop, _ := s.run(t, out, 0, shards.Continue)
		out.Wait(t, 2)
		stop()
		s.change(func() { s.first, s.last, s.fault = 7, 8, c.fault })
		out = out.Restart()
		stop, reported := s.run(t, out, c.later, c.lost)
		if got := <-reported; !strings.Contains(got, "shard shardId-000000000000: records are lost behind 2, which was read at ") || !strings.Contains(got, c.want) {
			t.Errorf("%s: it reports %s", name, got)
		}
		want := []string{"1", "2"}
		if c.lost == shards.Continue {
			out.Wait(t, 4)
			want = []string{"1", "2", "7", "8"}
		}
		stop()
		if got := sequences(out); !slices.Equal(got, want) {
			t.Errorf("%s: the events are of %v", name, got)
		}
	}
}
