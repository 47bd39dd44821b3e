package kinesis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sluice/connect/awsconn/awstest"
	"sluice/event"
	"sluice/sinks"
)

// An entry is a record of a request, as the service is sent it.
type entry struct {
	Data            []byte
	PartitionKey    string
	ExplicitHashKey string
}

// A service answers PutRecords as Kinesis does: it has no server that throttles
// and fails in part, and so this stands in its place.
type service struct {
	// refuse is asked for the answer to a whole request; a nil func or an empty
	// body for none.
	refuse func(entries []entry) awstest.Answer
	// fail returns the code with which a record is not put; empty for none.
	fail func(e entry) string

	mu       sync.Mutex
	requests [][]entry
	put      []entry
}

func (s *service) answer(operation string, body []byte) awstest.Answer {
	var in struct{ Records []entry }
	if err := json.Unmarshal(body, &in); err != nil || operation != "PutRecords" {
		return awstest.Error("SerializationException", "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, in.Records)
	if s.refuse != nil {
		if refused := s.refuse(in.Records); refused.Body != "" {
			return refused
		}
	}
	failed := 0
	var results []string
	for _, e := range in.Records {
		code := ""
		if s.fail != nil {
			code = s.fail(e)
		}
		if code != "" {
			failed++
			results = append(results, fmt.Sprintf(`{"ErrorCode":%q,"ErrorMessage":"Rate exceeded for shard shardId-000000000001 in stream orders under account 123456789012."}`, code))
			continue
		}
		s.put = append(s.put, e)
		results = append(results, fmt.Sprintf(`{"SequenceNumber":"4954398548%010d","ShardId":"shardId-000000000000"}`, len(s.put)))
	}
	return awstest.Answer{Body: fmt.Sprintf(`{"FailedRecordCount":%d,"Records":[%s]}`, failed, strings.Join(results, ","))}
}

// build returns a sink of the service, which is closed at the end.
func (s *service) build(tb testing.TB, change func(*Config)) sinks.Sink {
	tb.Helper()
	c := NewConfig()
	c.AWS, c.Stream, c.Mode = awstest.Start(tb, s.answer), "orders", Raw
	if change != nil {
		change(c)
	}
	built, err := c.Sink(sinks.Env{Name: "kinesis"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := built.(sinks.Closer).Close(); err != nil {
			tb.Error(err)
		}
	})
	return built
}

// attempt has a delivery of each text, whose key is its first letter.
func attempt(texts ...string) sinks.Attempt {
	var a sinks.Attempt
	for i, text := range texts {
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: fmt.Sprintf("inc.%d.t", i), Attempt: 1, Event: &event.Event{
			ID: strconv.Itoa(i), Source: "/s", Type: "t", DataContentType: "text/plain", Data: []byte(text), Extensions: map[string]any{"partitionkey": text[:1]},
		}})
	}
	return a
}

func texts(entries []entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, string(e.Data))
	}
	return all
}

func throttled(err error) bool { _, ok := errors.AsType[*sinks.ThrottledError](err); return ok }

// TestEachRecordIsSettled: the service throttles one record and fails with
// another; the others are done.
func TestEachRecordIsSettled(t *testing.T) {
	s := &service{fail: func(e entry) string {
		return map[string]string{"b": "ProvisionedThroughputExceededException", "d": "InternalFailure", "f": "KMSThrottlingException"}[string(e.Data)]
	}}
	_, err := s.build(t, nil).Deliver(t.Context(), attempt("a", "b", "c", "d", "e", "f"))
	some, ok := errors.AsType[*sinks.PartialError](err)
	if !ok || len(some.Failed) != 3 {
		t.Fatalf("got %v", err)
	}
	if !throttled(some.Failed[1]) || !throttled(some.Failed[5]) {
		t.Errorf("throttled records have failed with %v and %v", some.Failed[1], some.Failed[5])
	}
	if err := some.Failed[3]; throttled(err) || sinks.IsPermanent(err) || !strings.Contains(err.Error(), "InternalFailure: Rate exceeded") {
		t.Errorf("the failed record has %v", err)
	}
	if got := texts(s.put); !slices.Equal(got, []string{"a", "c", "e"}) {
		t.Errorf("put were %q", got)
	}
}

func TestOneThrottled(t *testing.T) {
	s := &service{fail: func(entry) string { return "ProvisionedThroughputExceededException" }}
	if _, err := s.build(t, nil).Deliver(t.Context(), attempt("a")); !throttled(err) {
		t.Errorf("got %v", err)
	}
}

// TestRequestRefused: errors of a whole request.
func TestRequestRefused(t *testing.T) {
	for code, c := range map[string]struct {
		want                 string
		throttled, permanent bool
	}{
		"ProvisionedThroughputExceededException": {"ProvisionedThroughputExceededException: why", true, false},
		"LimitExceededException":                 {"LimitExceededException: why", true, false},
		"ResourceNotFoundException":              {`there is no stream "orders" (check stream, region`, false, false},
		"AccessDeniedException":                  {"the credentials are not accepted, or do not allow it", false, false},
		"InternalFailure":                        {"InternalFailure: why", false, false},
		"InvalidArgumentException":               {"InvalidArgumentException: why", false, true},
	} {
		t.Run(code, func(t *testing.T) {
			s := &service{refuse: func([]entry) awstest.Answer { return awstest.Error(code, "why") }}
			_, err := s.build(t, nil).Deliver(t.Context(), attempt("a"))
			if err == nil || !strings.Contains(err.Error(), c.want) || throttled(err) != c.throttled || sinks.IsPermanent(err) != c.permanent {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestWrongRecordIsFound: a record that is larger than the stream takes has the
// service refuse the whole request. It alone becomes a letter, and the others are
// put, in their order.
func TestWrongRecordIsFound(t *testing.T) {
	s := &service{refuse: func(entries []entry) awstest.Answer {
		if slices.ContainsFunc(entries, func(e entry) bool { return len(e.Data) > 100 }) {
			return awstest.Error("ValidationException", "1 validation error detected: Value at 'records.4.member.data' failed to satisfy constraint")
		}
		return awstest.Answer{}
	}}
	all := []string{"a1", "b1", "a2", "b2", "a" + strings.Repeat("x", 100), "a3", "b3"}
	_, err := s.build(t, nil).Deliver(t.Context(), attempt(all...))
	some, ok := errors.AsType[*sinks.PartialError](err)
	if !ok || len(some.Failed) != 1 || !sinks.IsPermanent(some.Failed[4]) {
		t.Fatalf("got %v", err)
	}
	if got := texts(s.put); !slices.Equal(got, []string{"a1", "b1", "a2", "b2", "a3", "b3"}) {
		t.Errorf("put were %q", got)
	}
}

// TestTooLargeForAny: it is not even sent.
func TestTooLargeForAny(t *testing.T) {
	s := &service{}
	_, err := s.build(t, nil).Deliver(t.Context(), attempt("a"+strings.Repeat("x", maxRecord)))
	if !sinks.IsPermanent(err) || len(s.requests) != 0 {
		t.Errorf("got %v after %d requests", err, len(s.requests))
	}
}

// TestRequests: 500 records or 5 MiB are one request, and a record that is larger
// is one by itself.
func TestRequests(t *testing.T) {
	large := func(mib int) string { return strings.Repeat("x", mib<<20-1) } // with its key
	for name, c := range map[string]struct {
		texts []string
		want  []int // records of each request
	}{
		"many":  {slices.Repeat([]string{"k"}, 1001), []int{500, 500, 1}},
		"large": {[]string{"a", large(2), large(2), "b", large(6), "c"}, []int{4, 1, 1}},
	} {
		s := &service{}
		if _, err := s.build(t, nil).Deliver(t.Context(), attempt(c.texts...)); err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, r := range s.requests {
			got = append(got, len(r))
		}
		if !slices.Equal(got, c.want) || !slices.Equal(texts(s.put), c.texts) {
			t.Errorf("%s: requests of %v records, want %v; %d were put", name, got, c.want, len(s.put))
		}
	}
}

// TestOrderAfterAFailure: behind a record that was not put, no later request has
// one of its partition key. Those are not attempts where it was throttled.
func TestOrderAfterAFailure(t *testing.T) {
	for code, isThrottled := range map[string]bool{"ProvisionedThroughputExceededException": true, "InternalFailure": false} {
		s := &service{fail: func(e entry) string {
			if string(e.Data) == "a1" {
				return code
			}
			return ""
		}}
		all := []string{"a1"}
		for range maxRecords - 1 {
			all = append(all, "b")
		}
		all = append(all, "a2", "b2", "a3")
		_, err := s.build(t, nil).Deliver(t.Context(), attempt(all...))
		some, ok := errors.AsType[*sinks.PartialError](err)
		if !ok || len(some.Failed) != 3 || len(s.requests) != 2 || !slices.Equal(texts(s.requests[1]), []string{"b2"}) {
			t.Fatalf("%s: got %v after %d requests", code, err, len(s.requests))
		}
		for i := range some.Failed {
			if throttled(some.Failed[i]) != isThrottled {
				t.Errorf("%s: delivery %d has %v", code, i, some.Failed[i])
			}
		}
	}
}

// TestSomethingElse answers in a form that is not the service's.
func TestSomethingElse(t *testing.T) {
	for body, want := range map[string]string{
		`{}`:               "0 records of 1",
		`{"Records":[{}]}`: "no sequence number",
		`hello`:            "PutRecords",
	} {
		s := &service{refuse: func([]entry) awstest.Answer { return awstest.Answer{Body: body} }}
		_, err := s.build(t, nil).Deliver(t.Context(), attempt("a"))
		if err == nil || sinks.IsPermanent(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", body, err)
		}
	}
}

func TestRecord(t *testing.T) {
	long := strings.Repeat("ü", 257)
	for name, c := range map[string]struct {
		change func(*Config)
		key    any // the event's partitionkey; nil for none
		want   entry
		err    string
	}{
		"the event's key":    {func(*Config) {}, "customer-3", entry{PartitionKey: "customer-3"}, ""},
		"none":               {func(*Config) {}, nil, entry{PartitionKey: "inc.0.t"}, ""},
		"one that is long":   {func(*Config) {}, long, entry{PartitionKey: ""}, ""},
		"a template":         {func(c *Config) { c.PartitionKey, c.ExplicitHashKey = "{{ .type }}", "{{ .data.n }}" }, nil, entry{PartitionKey: "t", ExplicitHashKey: "7"}, ""},
		"fixed":              {func(c *Config) { c.PartitionKey, c.ExplicitHashKey = "all", "5" }, "x", entry{PartitionKey: "all", ExplicitHashKey: "5"}, ""},
		"a template of none": {func(c *Config) { c.PartitionKey = "{{ .absent }}" }, nil, entry{}, "partition_key makes a key of 0 characters"},
		"no number":          {func(c *Config) { c.ExplicitHashKey = "{{ .type }}" }, nil, entry{}, `explicit_hash_key makes "t"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{}
			e := &event.Event{ID: "1", Source: "/s", Type: "t", DataContentType: "application/json", Data: []byte(`{"n":7}`), Extensions: map[string]any{}}
			if c.key != nil {
				e.Extensions["partitionkey"] = c.key
			}
			_, err := s.build(t, c.change).Deliver(t.Context(), sinks.Attempt{Deliveries: []sinks.Delivery{{ID: "inc.0.t", Attempt: 2, Event: e}}})
			if c.err != "" {
				if !sinks.IsPermanent(err) || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := s.put[0]
			if name == "one that is long" {
				if len(got.PartitionKey) != 64 {
					t.Errorf("the key is %q", got.PartitionKey)
				}
				return
			}
			if got.PartitionKey != c.want.PartitionKey || got.ExplicitHashKey != c.want.ExplicitHashKey || !bytes.Equal(got.Data, e.Data) {
				t.Errorf("the record is %+v", got)
			}
		})
	}
}

// TestNoData puts an event without data as a record without any, and takes nothing
// from the others of its request.
func TestNoData(t *testing.T) {
	s := &service{}
	a := attempt("a", "b")
	a.Deliveries[0].Event.Data = nil
	if _, err := s.build(t, nil).Deliver(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if got := texts(s.put); !slices.Equal(got, []string{"", "b"}) {
		t.Errorf("put were %q", got)
	}
}

func TestStructured(t *testing.T) {
	s := &service{}
	sink := s.build(t, func(c *Config) {
		c.Mode, c.Stream = Structured, "arn:aws:kinesis:eu-central-1:123456789012:stream/orders"
	})
	if _, err := sink.Deliver(t.Context(), attempt("a")); err != nil {
		t.Fatal(err)
	}
	e, err := event.DecodeJSON(s.put[0].Data)
	if err != nil || e.Extension(sinks.AttributeDelivery) != "inc.0.t" || e.Extension(sinks.AttributeAttempt) != "1" || string(e.Data) != "a" {
		t.Errorf("the record is %s: %v", s.put[0].Data, err)
	}
	if s.put[0].PartitionKey != "a" {
		t.Errorf("its key is %q", s.put[0].PartitionKey)
	}
}
