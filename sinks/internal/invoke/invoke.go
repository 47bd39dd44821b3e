// Package invoke is what the sinks share that call a Lambda function, wherever it
// runs: what it is given of events, which of a batch have failed by its answer,
// and its answer as events.
package invoke

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"sluice/event"
	"sluice/event/aws"
	"sluice/sinks"
)

// A Caller makes invocations of attempts.
type Caller struct {
	// Call makes one invocation, in the name of a delivery: that of a batch's first
	// one. An answer with http.StatusAccepted says nothing of what has failed.
	Call func(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery, payload []byte) (sinks.Response, error)
	// Shape is what the function is given of an event.
	Shape aws.Shape
	// MaxPayload is the most bytes of JSON of one invocation; 0: aws.MaxPayload.
	MaxPayload int
	// Replies has answers published, as events of Name, of MaxHops at most.
	Replies bool
	Name    string
	MaxHops int
}

// Deliver calls the function for each delivery, or once for all of a batch.
func (c *Caller) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	if a.Batch {
		return c.deliverBatch(ctx, &a)
	}
	return sinks.OneByOne(&a, func(d *sinks.Delivery) (sinks.Response, error) { return c.deliver(ctx, &a, d) })
}

func (c *Caller) deliver(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) (sinks.Response, error) {
	payload, err := aws.Encode(c.Shape, []*event.Event{d.Event}, aws.Options{MaxPayload: c.MaxPayload})
	if err != nil {
		return sinks.Response{}, sinks.Permanent(err)
	}
	response, err := c.Call(ctx, a, d, payload.JSON)
	switch {
	case err != nil || response.Status == http.StatusAccepted:
		return response, err
	case c.Replies:
		return c.reply(response, d)
	case !bytes.Contains(response.Body, []byte("batchItemFailures")):
		return response, nil
	}
	failed, err := aws.Failed(response.Body, payload)
	if err != nil {
		return response, answerError(err)
	}
	if failed[0] {
		return response, errReported
	}
	return response, nil
}

var errReported = errors.New("the function has reported it as failed (batchItemFailures)")

// answerError is what becomes of an answer that may hide a failure.
func answerError(err error) error {
	return fmt.Errorf("which deliveries have failed cannot be told: %w", err)
}

// reply makes events of the answer.
func (c *Caller) reply(response sinks.Response, d *sinks.Delivery) (sinks.Response, error) {
	header, body := http.Header{"Content-Type": {contentType(response.Body, response.ContentType)}}, response.Body
	if string(body) == "null" {
		return response, nil
	}
	replies, err := sinks.DecodeReply(header, body)
	if err == nil {
		err = sinks.CompleteReplies(d, c.Name, c.MaxHops, replies)
	}
	if err != nil {
		return response, sinks.Permanent(fmt.Errorf("the answer cannot be published: %w", err))
	}
	if len(replies) > 0 {
		response.Replies = map[int][]event.Event{0: replies}
	}
	return response, nil
}

// contentType says what an answer is: a function cannot set the type of a
// CloudEvent, or of several, and so they are known by the attribute that each
// must have.
func contentType(body []byte, given string) string {
	type probe struct {
		Version string `json:"specversion"`
	}
	var one probe
	if json.Unmarshal(body, &one) == nil && one.Version != "" {
		return event.MediaTypeJSON
	}
	var several []probe
	if json.Unmarshal(body, &several) == nil && len(several) > 0 && several[0].Version != "" {
		return event.MediaTypeBatchJSON
	}
	return given
}

// deliverBatch makes one invocation for all deliveries, or several where their
// shapes do not go together or are too large for one.
func (c *Caller) deliverBatch(ctx context.Context, a *sinks.Attempt) (sinks.Response, error) {
	events := make([]*event.Event, len(a.Deliveries))
	for i := range a.Deliveries {
		events[i] = a.Deliveries[i].Event
	}
	parts := aws.Parts(c.Shape, events, aws.Options{Batch: true, MaxPayload: c.MaxPayload})
	responses, errs := make([]sinks.Response, len(parts)), make([]map[int]error, len(parts))
	var all sync.WaitGroup
	for n := range parts {
		all.Go(func() { responses[n], errs[n] = c.deliverPart(ctx, a, &parts[n]) })
	}
	all.Wait()
	failed := map[int]error{}
	for n := range parts {
		maps.Copy(failed, errs[n])
	}
	if len(failed) > 0 {
		return responses[0], &sinks.PartialError{Failed: failed}
	}
	return responses[0], nil
}

// deliverPart makes one invocation, and says which deliveries have failed.
func (c *Caller) deliverPart(ctx context.Context, a *sinks.Attempt, part *aws.Part) (sinks.Response, map[int]error) {
	every := func(err error) map[int]error {
		errs := make(map[int]error, len(part.Indexes))
		for _, i := range part.Indexes {
			errs[i] = err
		}
		return errs
	}
	if part.Err != nil {
		return sinks.Response{}, every(sinks.Permanent(part.Err))
	}
	response, err := c.Call(ctx, a, &a.Deliveries[part.Indexes[0]], part.Payload.JSON)
	switch {
	case err != nil:
		return response, every(err)
	case response.Status == http.StatusAccepted:
		return response, nil
	}
	reported, err := aws.Failed(response.Body, part.Payload)
	if err != nil {
		return response, every(answerError(err))
	}
	errs := map[int]error{}
	for n := range reported {
		errs[part.Indexes[n]] = errReported
	}
	return response, errs
}

// ClientContext returns the client context that tells a function whose invocation
// it is: a batch's is that of its trigger.
func ClientContext(a *sinks.Attempt, d *sinks.Delivery) string {
	custom := map[string]string{"sluice-trigger": a.Trigger, "sluice-delivery": d.ID, "sluice-attempt": strconv.Itoa(d.Attempt)}
	if a.Batch {
		delete(custom, "sluice-delivery")
		delete(custom, "sluice-attempt")
	}
	text, _ := json.Marshal(map[string]any{"custom": custom}) //nolint:errchkjson // maps of texts
	return string(text)
}

// TraceID returns the trace of an event in X-Ray's form, or an empty text.
func TraceID(e *event.Event) string {
	parts := strings.Split(e.Extension("traceparent"), "-")
	if len(parts) < 4 || len(parts[1]) != 32 || len(parts[2]) != 16 || len(parts[3]) != 2 {
		return ""
	}
	sampled := 0
	if flags, err := strconv.ParseUint(parts[3], 16, 8); err == nil && flags&1 == 1 {
		sampled = 1
	}
	return fmt.Sprintf("Root=1-%s-%s;Parent=%s;Sampled=%d", parts[1][:8], parts[1][8:], parts[2], sampled)
}
