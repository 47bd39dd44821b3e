package dynamodb

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/connect/awsconn/awstest"
	"sluice/sources"
	"sluice/sources/shards"
	"sluice/sources/sourcetest"
)

const tableARN = "arn:aws:dynamodb:eu-central-1:123456789012:table/orders"

// A service answers as DynamoDB Streams does, by its documentation: streams that
// split and are disabled, iterators that expire, records that are trimmed and
// throttling are what no server has that can be run.
type service struct {
	mu      sync.Mutex
	streams []madeStream
	// fault is asked for an answer to stand in place of the service's; one without
	// a body is none.
	fault func(in *request) awstest.Answer
	asked []request
}

type madeStream struct {
	label  string
	shards []madeShard
}

// A madeShard has records whose sequence numbers follow from first on.
type madeShard struct {
	id, parent  string
	first, last int
	closed      bool
}

// A request is what the source has asked for.
type request struct {
	Operation                                      string
	TableName, StreamArn, ShardId, ShardIterator   string //nolint:revive,staticcheck // the service's names
	ExclusiveStartShardId, ExclusiveStartStreamArn string //nolint:revive,staticcheck // as above
	ShardIteratorType, SequenceNumber              string
	Timestamp                                      float64
}

func (s *service) answer(operation string, body []byte) awstest.Answer {
	in := request{Operation: operation}
	if err := json.Unmarshal(body, &in); err != nil {
		return awstest.Error("SerializationException", "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, in)
	if s.fault != nil {
		if a := s.fault(&in); a.Body != "" {
			return a
		}
	}
	switch operation {
	case "ListStreams":
		return s.list(&in)
	case "DescribeStream":
		return s.describe(&in)
	case "GetShardIterator":
		return s.iterator(&in)
	}
	return s.records(&in)
}

// list gives one stream a page.
func (s *service) list(in *request) awstest.Answer {
	i := slices.IndexFunc(s.streams, func(m madeStream) bool { return tableARN+"/stream/"+m.label == in.ExclusiveStartStreamArn }) + 1
	if i == len(s.streams) {
		return awstest.Answer{Body: `{"Streams":[]}`}
	}
	label := s.streams[i].label
	return awstest.Answer{Body: fmt.Sprintf(`{"LastEvaluatedStreamArn":"%[1]s/stream/%[2]s","Streams":[{"StreamArn":"%[1]s/stream/%[2]s","StreamLabel":"%[2]s","TableName":"orders"}]}`, tableARN, label)}
}

// describe gives one shard a page.
func (s *service) describe(in *request) awstest.Answer {
	for _, m := range s.streams {
		if tableARN+"/stream/"+m.label != in.StreamArn {
			continue
		}
		i := slices.IndexFunc(m.shards, func(m madeShard) bool { return m.id == in.ExclusiveStartShardId }) + 1
		all, last := "", ""
		if i < len(m.shards) {
			all, last = m.shards[i].json(), `,"LastEvaluatedShardId":"`+m.shards[i].id+`"`
		}
		return awstest.Answer{Body: fmt.Sprintf(`{"StreamDescription":{"CreationRequestDateTime":1.7672256E9,"KeySchema":[{"AttributeName":"id","KeyType":"HASH"}]%s,"Shards":[%s],"StreamArn":%q,"StreamLabel":%q,"StreamStatus":"ENABLED","StreamViewType":"KEYS_ONLY","TableName":"orders"}}`,
			last, all, in.StreamArn, m.label)}
	}
	return awstest.Error("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "Requested resource not found: Stream: "+in.StreamArn+" not found")
}

func (m *madeShard) json() string {
	parent, end := "", ""
	if m.parent != "" {
		parent = fmt.Sprintf(`"ParentShardId":%q,`, m.parent)
	}
	if m.closed {
		end = fmt.Sprintf(`"EndingSequenceNumber":"%d",`, m.last)
	}
	return fmt.Sprintf(`{%s"SequenceNumberRange":{%s"StartingSequenceNumber":"%d"},"ShardId":%q}`, parent, end, m.first, m.id)
}

func (s *service) shard(id string) *madeShard {
	for i := range s.streams {
		for j := range s.streams[i].shards {
			if s.streams[i].shards[j].id == id {
				return &s.streams[i].shards[j]
			}
		}
	}
	return nil
}

func (s *service) iterator(in *request) awstest.Answer {
	m := s.shard(in.ShardId)
	if m == nil {
		return awstest.Error("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "Requested resource not found: Shard does not exist")
	}
	at := m.first
	sequence, _ := strconv.Atoi(in.SequenceNumber)
	switch in.ShardIteratorType {
	case "LATEST":
		at = m.last + 1
	case "AT_SEQUENCE_NUMBER":
		at = sequence
	case "AFTER_SEQUENCE_NUMBER":
		at = sequence + 1
	}
	if sequence > 0 && sequence < m.first {
		return awstest.Error("com.amazonaws.dynamodb.v20120810#TrimmedDataAccessException", "The operation attempted to read past the oldest stream record in a shard")
	}
	return awstest.Answer{Body: fmt.Sprintf(`{"ShardIterator":"%s|%d"}`, in.ShardId, at)}
}

// records gives two records a page.
func (s *service) records(in *request) awstest.Answer {
	id, place, _ := strings.Cut(in.ShardIterator, "|")
	m := s.shard(id)
	at, err := strconv.Atoi(place)
	if m == nil || err != nil {
		return awstest.Error("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "")
	}
	var all []string
	for ; at <= m.last && len(all) < 2; at++ {
		all = append(all, fmt.Sprintf(`{"awsRegion":"eu-central-1","dynamodb":{"ApproximateCreationDateTime":%d,"Keys":{"id":{"N":"%[2]d"}},"SequenceNumber":"%[2]d","SizeBytes":12,"StreamViewType":"KEYS_ONLY"},"eventID":"e%[2]d","eventName":"INSERT","eventSource":"aws:dynamodb","eventVersion":"1.1"}`,
			time.Now().Unix(), at))
	}
	next := fmt.Sprintf(`"%s|%d"`, id, at)
	if m.closed && at > m.last {
		next = "null"
	}
	return awstest.Answer{Body: fmt.Sprintf(`{"NextShardIterator":%s,"Records":[%s]}`, next, strings.Join(all, ","))}
}

// change changes what there is.
func (s *service) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// iterators returns the kinds of the iterators that were asked for.
func (s *service) iterators() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for i := range s.asked {
		if in := &s.asked[i]; in.Operation == "GetShardIterator" {
			all = append(all, strings.TrimSpace(in.ShardIteratorType+" "+in.SequenceNumber))
		}
	}
	return all
}

// A follower is a source of the service, and what it has reported.
type follower struct {
	sources.Source

	mu       sync.Mutex
	reported []string
}

func (s *service) follow(tb testing.TB, change func(*Config)) *follower {
	tb.Helper()
	return s.followAs(tb, change, 0)
}

// followAs follows as of a later time.
func (s *service) followAs(tb testing.TB, change func(*Config), later time.Duration) *follower {
	tb.Helper()
	c := NewConfig()
	c.AWS, c.Table, c.Start = awstest.Start(tb, s.answer), "orders", shards.StartHorizon
	c.Poll = c.Poll / 5
	if change != nil {
		change(c)
	}
	if err := c.Validate(); err != nil {
		tb.Fatal(err)
	}
	f := &follower{}
	env := sourcetest.Env("changes", nil)
	env.Report, env.Now = f.report, func() time.Time { return time.Now().Add(later) }
	var err error
	if f.Source, err = c.Source(env); err != nil {
		tb.Fatal(err)
	}
	return f
}

func (f *follower) report(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reported = append(f.reported, fmt.Sprint(err))
}

func (f *follower) reports(tb testing.TB, want string) {
	tb.Helper()
	sourcetest.Eventually(tb, "it reports "+want, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return slices.ContainsFunc(f.reported, func(text string) bool { return strings.Contains(text, want) })
	})
}

// sequences returns the sequence numbers of all events, in their order.
func sequences(out *sourcetest.Out) []int {
	var all []int
	for _, e := range out.Events() {
		n, err := strconv.Atoi(e.Extension("sequence"))
		if err != nil {
			n = -1
		}
		all = append(all, n)
	}
	return all
}

// TestShards follows a stream that splits, and is disabled and enabled again while
// it is read: parents before children, the streams one after the other, and
// nothing twice after a restart.
func TestShards(t *testing.T) {
	t.Parallel()
	first := madeStream{"2026-01-01T00:00:00.000", []madeShard{
		{id: "shardId-c", parent: "shardId-a", first: 20, last: 22, closed: true},
		{id: "shardId-a", parent: "shardId-gone", first: 1, last: 3, closed: true},
		{id: "shardId-b", parent: "shardId-a", first: 10, last: 11, closed: true},
	}}
	second := madeStream{"2026-01-02T00:00:00.000", []madeShard{
		{id: "shardId-d", first: 30, last: 30, closed: true}, {id: "shardId-e", parent: "shardId-d", first: 40, last: 41},
	}}
	s := &service{streams: []madeStream{second, first}}
	out := sourcetest.NewOut()
	stop := sourcetest.Run(t, s.follow(t, nil), out)
	out.Wait(t, 11)
	stop()
	got := sequences(out)
	if !slices.Equal(got[:3], []int{1, 2, 3}) || !slices.Equal(got[8:], []int{30, 40, 41}) || !slices.Equal(slices.Sorted(slices.Values(got)), []int{1, 2, 3, 10, 11, 20, 21, 22, 30, 40, 41}) {
		t.Errorf("the events are of %v", got)
	}
	if e := out.Events()[0]; e.Extension("shard") != "2026-01-01T00:00:00.000/shardId-a" || e.Extension("arn") != tableARN+"/stream/2026-01-01T00:00:00.000" {
		t.Errorf("the first event is %+v", e)
	}
	s.change(func() { s.shard("shardId-e").last = 42 })
	again := out.Restart()
	stop = sourcetest.Run(t, s.follow(t, nil), again)
	again.Wait(t, 12)
	s.change(func() { // a new stream while it runs
		s.shard("shardId-e").closed = true
		s.streams = append(s.streams, madeStream{"2026-01-03T00:00:00.000", []madeShard{{id: "shardId-f", first: 50, last: 50}}})
	})
	again.Wait(t, 13)
	stop()
	if got := sequences(again); !slices.Equal(got[11:], []int{42, 50}) || len(again.Repeats()) != 0 {
		t.Errorf("after a restart the events are of %v, %d repeats", got, len(again.Repeats()))
	}
}

// one is a table with a stream of one open shard.
func one(last int) []madeStream {
	return []madeStream{{"2026-01-01T00:00:00.000", []madeShard{{id: "shardId-a", first: 1, last: last}}}}
}

// times answers the first n requests of an operation with an error.
func times(n int, operation, code, message string) func(in *request) awstest.Answer {
	return func(in *request) awstest.Answer {
		if in.Operation != operation || n == 0 {
			return awstest.Answer{}
		}
		n--
		return awstest.Error("com.amazonaws.dynamodb.v20120810#"+code, message)
	}
}

// TestExpiredIterator asks for another iterator, behind what was published.
func TestExpiredIterator(t *testing.T) {
	t.Parallel()
	s := &service{streams: one(2)}
	out := sourcetest.NewOut()
	stop := sourcetest.Run(t, s.follow(t, nil), out)
	out.Wait(t, 2)
	s.change(func() {
		s.fault = times(1, "GetRecords", "ExpiredIteratorException", "Iterator expired. The iterator was created more than 15 minutes ago")
		s.shard("shardId-a").last = 3
	})
	out.Wait(t, 3)
	stop()
	if got := s.iterators(); !slices.Equal(got, []string{"TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER 2"}) || !slices.Equal(sequences(out), []int{1, 2, 3}) {
		t.Errorf("asked were %q, the events are of %v", got, sequences(out))
	}
}

// TestThrottled waits, and reports nothing when it is over soon.
func TestThrottled(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"LimitExceededException", "ThrottlingException"} {
		s := &service{streams: one(1), fault: times(2, "GetRecords", code, "Rate of requests exceeds the allowed throughput.")}
		out := sourcetest.NewOut()
		f := s.follow(t, nil)
		stop := sourcetest.Run(t, f, out)
		out.Wait(t, 1)
		stop()
		if len(f.reported) != 0 || !slices.Equal(s.iterators(), []string{"TRIM_HORIZON"}) {
			t.Errorf("%s: reported were %q, asked for %q", code, f.reported, s.iterators())
		}
	}
}

// TestTrimmed says what was lost, and goes on with the oldest that is there, or
// waits.
func TestTrimmed(t *testing.T) {
	t.Parallel()
	for _, lost := range []shards.Loss{shards.Continue, shards.Stop} {
		s := &service{streams: one(2)}
		out := sourcetest.NewOut()
		stop := sourcetest.Run(t, s.follow(t, nil), out)
		out.Wait(t, 2)
		stop()
		s.change(func() { s.shard("shardId-a").first, s.shard("shardId-a").last = 7, 8 })
		again := out.Restart()
		f := s.follow(t, func(c *Config) { c.OnLost = lost })
		stop = sourcetest.Run(t, f, again)
		f.reports(t, "shard 2026-01-01T00:00:00.000/shardId-a: records are lost behind 2, which was read at ")
		want := []int{1, 2}
		if lost == shards.Continue {
			again.Wait(t, 4)
			want = []int{1, 2, 7, 8}
		}
		stop()
		if got := sequences(again); !slices.Equal(got, want) {
			t.Errorf("%s: the events are of %v", lost, got)
		}
	}
}

// TestTrimmedWhileReading has an iterator whose records are trimmed before it is
// used.
func TestTrimmedWhileReading(t *testing.T) {
	t.Parallel()
	s := &service{streams: one(2), fault: times(1, "GetRecords", "TrimmedDataAccessException", "The operation attempted to read past the oldest stream record in a shard")}
	out := sourcetest.NewOut()
	f := s.follow(t, nil)
	stop := sourcetest.Run(t, f, out)
	out.Wait(t, 2)
	stop()
	f.reports(t, "records are lost from the beginning on (on_lost: continue)")
}

// TestNotReadForADay goes on behind what was published when a shard still has it:
// the service may trim later than after a day.
func TestNotReadForADay(t *testing.T) {
	t.Parallel()
	s := &service{streams: one(2)}
	out := sourcetest.NewOut()
	stop := sourcetest.Run(t, s.follow(t, nil), out)
	out.Wait(t, 2)
	stop()
	s.change(func() { s.shard("shardId-a").last = 3 })
	again := out.Restart()
	f := s.followAs(t, nil, 25*time.Hour)
	stop = sourcetest.Run(t, f, again)
	f.reports(t, "it was not read for longer than the stream keeps its records")
	again.Wait(t, 3)
	stop()
	if got := sequences(again); !slices.Equal(got, []int{1, 2, 3}) || len(again.Repeats()) != 0 {
		t.Errorf("the events are of %v, %d repeats", got, len(again.Repeats()))
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	for start, want := range map[string]string{"latest": "LATEST", "trim_horizon": "TRIM_HORIZON", "2026-01-31T12:00:00Z": "AT_TIMESTAMP"} {
		s := &service{streams: one(2)}
		stop := sourcetest.Run(t, s.follow(t, func(c *Config) { c.Start = start }), sourcetest.NewOut())
		sourcetest.Eventually(t, "it asks for an iterator", func() bool { return len(s.iterators()) > 0 })
		stop()
		if got := s.iterators(); got[0] != want {
			t.Errorf("%s: asked for %q", start, got)
		}
		if in := s.asked[slices.IndexFunc(s.asked, func(in request) bool { return in.Operation == "GetShardIterator" })]; want == "AT_TIMESTAMP" && in.Timestamp != 1769860800 {
			t.Errorf("asked for %+v", in)
		}
	}
}

// TestLatestIsRefused has a change come while the service refuses to say where the
// newest is: it comes after the start.
func TestLatestIsRefused(t *testing.T) {
	t.Parallel()
	s := &service{streams: one(0)}
	refuse := times(1, "GetShardIterator", "InternalServerError", "")
	s.fault = func(in *request) awstest.Answer {
		a := refuse(in)
		if a.Body != "" {
			s.streams[0].shards[0].last = 1
		}
		return a
	}
	out := sourcetest.NewOut()
	stop := sourcetest.Run(t, s.follow(t, func(c *Config) { c.Start = shards.StartLatest }), out)
	out.Wait(t, 1)
	stop()
	if got := s.iterators(); !slices.Equal(got, []string{"LATEST", "TRIM_HORIZON"}) {
		t.Errorf("asked for %q", got)
	}
}

// TestTableCalledStream has the word that stands before a stream's label as its name.
func TestTableCalledStream(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/stream"
	s := &service{}
	s.fault = func(in *request) awstest.Answer {
		if in.Operation != "ListStreams" {
			return awstest.Error("InternalServerError", in.StreamArn)
		}
		return awstest.Answer{Body: `{"Streams":[{"StreamArn":"` + arn + `/stream/2026-01-01T00:00:00.000"}]}`}
	}
	f := s.follow(t, func(c *Config) { c.Table = "stream" })
	if err := f.Run(t.Context(), sourcetest.NewOut()); err == nil || !strings.Contains(err.Error(), "DescribeStream: InternalServerError: "+arn+"/stream/2026-01-01T00:00:00.000") {
		t.Errorf("it asks for the shards of %v", err)
	}
}

// TestNoTimestamp says what to do where the service begins at no time.
func TestNoTimestamp(t *testing.T) {
	t.Parallel()
	s := &service{streams: one(2), fault: times(-1, "GetShardIterator", "ValidationException", "Value 'AT_TIMESTAMP' at 'shardIteratorType' failed to satisfy constraint")}
	f := s.follow(t, func(c *Config) { c.Start = "2026-01-31T12:00:00Z" })
	stop := sourcetest.Run(t, f, sourcetest.NewOut())
	f.reports(t, "the service does not begin at 2026-01-31T12:00:00Z: it is a time to come, or the server does not know AT_TIMESTAMP; write latest or trim_horizon as start")
	stop()
}

func TestWrong(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]*service{
		`the table "orders" has no stream, or is not there`: {},
		"the credentials are not accepted":                  {fault: times(-1, "ListStreams", "UnrecognizedClientException", "The security token included in the request is invalid.")},
		"no such table":                                     {fault: times(-1, "ListStreams", "InternalServerError", "no such table")},
	} {
		err := s.follow(t, nil).Run(t.Context(), sourcetest.NewOut())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	gone := &service{streams: one(1), fault: times(-1, "DescribeStream", "ResourceNotFoundException", "")}
	if err := gone.follow(t, nil).Run(t.Context(), sourcetest.NewOut()); err == nil || errors.Is(err, shards.ErrNoShard) {
		t.Errorf("a stream that is gone since it was listed: %v", err)
	}
}
