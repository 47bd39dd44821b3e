package sqs

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/config"
	"sluice/sources"
	"sluice/sources/sourcetest"
)

// A recorded server answers as the service was seen to, so that it can fail as no
// server does that is asked to.
type recorded struct {
	mu       sync.Mutex
	received [][]string          // the messages of one answer after the other
	deletes  []string            // the answers to DeleteMessageBatch, one after the other
	asked    map[string][]string // the requests by operation
}

func (s *recorded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	s.asked[operation] = append(s.asked[operation], string(body))
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	answer := "{}"
	switch operation {
	case "GetQueueUrl":
		answer = `{"QueueUrl":"http://queue/1/orders"}`
	case "GetQueueAttributes":
		answer = `{"Attributes":{"QueueArn":"arn:aws:sqs:us-east-1:1:orders","ApproximateNumberOfMessages":"3"}}`
	case "ReceiveMessage":
		answer = s.receive()
	case "DeleteMessageBatch":
		if len(s.deletes) > 0 {
			answer, s.deletes = s.deletes[0], s.deletes[1:]
		}
	}
	_, _ = io.WriteString(w, answer)
}

func (s *recorded) receive() string {
	type message struct{ MessageId, ReceiptHandle, Body string } //nolint:revive // the service's names
	var answer struct{ Messages []message }
	if len(s.received) > 0 {
		for _, id := range s.received[0] {
			answer.Messages = append(answer.Messages, message{id, "handle of " + id, "body of " + id})
		}
		s.received = s.received[1:]
	}
	text, _ := json.Marshal(answer)
	return string(text)
}

func (s *recorded) count(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked[operation])
}

// start runs a source at the server.
func (s *recorded) start(t *testing.T, report func(error)) (out *sourcetest.Out, source sources.Source) {
	t.Helper()
	s.asked = map[string][]string{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c := NewConfig()
	c.Endpoint, c.Queue, c.Wait, c.Receivers = server.URL, "orders", config.Duration(time.Second), 1
	c.AccessKey, c.SecretKey = config.NewSecret("key"), config.NewSecret("secret")
	env := sourcetest.Env("orders", nil)
	env.Report = report
	source, err := c.Source(env)
	if err != nil {
		t.Fatal(err)
	}
	out = sourcetest.NewOut()
	t.Cleanup(sourcetest.Run(t, source, out))
	return out, source
}

// TestNotDeleted: what is durable and was not deleted comes again, and is not
// published again, for as long as it takes.
func TestNotDeleted(t *testing.T) {
	s := &recorded{
		received: [][]string{{"a", "b"}, {"b"}},
		deletes:  []string{`{"Successful":[{"Id":"0"}],"Failed":[{"Id":"1","SenderFault":true,"Code":"ReceiptHandleIsInvalid"}]}`},
	}
	out, source := s.start(t, func(error) {})
	sourcetest.Eventually(t, "it is deleted again", func() bool { return s.count("DeleteMessageBatch") == 2 })
	if n := len(out.Events()) + len(out.Repeats()); n != 2 {
		t.Errorf("%d events were published, want 2", n)
	}
	if age, items := source.(sources.Lagging).Lag(); age != -1 || items != 3 {
		t.Errorf("the lag is %v, %d", age, items)
	}
}

// TestDeletedLater: what the service fails to delete by its own fault is deleted by
// another request, without being received again.
func TestDeletedLater(t *testing.T) {
	s := &recorded{
		received: [][]string{{"a", "b"}},
		deletes:  []string{`{"Failed":[{"Id":"1","SenderFault":false,"Code":"InternalError"}]}`, `{"Successful":[{"Id":"0"}]}`},
	}
	s.start(t, func(error) {})
	sourcetest.Eventually(t, "it is deleted", func() bool { return s.count("DeleteMessageBatch") == 2 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := s.asked["DeleteMessageBatch"][1]; !strings.Contains(second, "handle of b") || strings.Contains(second, "handle of a") {
		t.Errorf("the second request is %s", second)
	}
}
