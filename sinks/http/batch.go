package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/valyala/fasthttp"

	"sluice/event"
	"sluice/sinks"
)

// HeaderBatch is how many events a batch has.
const HeaderBatch = "Sluice-Batch"

// deliverBatch sends all deliveries of an attempt as one request (CloudEvents
// HTTP binding 1.0.2, section 3.3).
func (s *sink) deliverBatch(ctx context.Context, a *sinks.Attempt) (sinks.Response, error) {
	return s.request(ctx, webhookID(a.Deliveries),
		func(req *fasthttp.Request) { s.encodeBatch(req, a) },
		func(resp *fasthttp.Response, cut bool) error { return s.settleBatch(resp, cut, a.Deliveries) })
}

func (s *sink) encodeBatch(req *fasthttp.Request, a *sinks.Attempt) {
	req.Header.SetContentType(event.MediaTypeBatchJSON)
	req.SwapBody(sinks.AppendBatch(req.SwapBody(nil), a.Deliveries)) // into the buffer of an earlier request
	req.Header.Add(HeaderBatch, strconv.Itoa(len(a.Deliveries)))
	s.encodeAttempt(req, a)
}

// settleBatch judges an answer by its status, and one of 2xx by what it says
// of the single deliveries.
func (s *sink) settleBatch(resp *fasthttp.Response, cut bool, deliveries []sinks.Delivery) error {
	if err := s.settle(resp); err != nil || resp.StatusCode()/100 != 2 {
		return err
	}
	err := partial(resp.Body(), deliveries)
	if cut {
		err = errCut
	}
	if _, ok := errors.AsType[*sinks.PartialError](err); ok || err == nil {
		return err
	}
	return fmt.Errorf("answered %s, but which deliveries have failed cannot be told: %w", statusText(resp.StatusCode()), err)
}

// errReported is what became of a delivery that the worker has named.
var errReported = errors.New("the worker has reported it as failed (batchItemFailures)")

// partial reads a partial answer, as AWS has it for event source mappings:
// {"batchItemFailures":[{"itemIdentifier":"…"}]}. Nothing, null, {} and an
// empty or null list mean that all are done. Anything that may hide a failure
// is an error, so that the whole batch is tried again.
func partial(body []byte, deliveries []sinks.Delivery) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf(`the body is %s; answer nothing, or {"batchItemFailures": […]}`, sinks.Excerpt(body))
	}
	list, found := answer["batchItemFailures"]
	if !found && len(answer) > 0 {
		return fmt.Errorf("the body has no batchItemFailures: %s", sinks.Excerpt(body))
	}
	var items []map[string]json.RawMessage
	if err := json.Unmarshal(list, &items); found && err != nil {
		return fmt.Errorf("batchItemFailures is no list of objects: %s", sinks.Excerpt(list))
	}
	if len(items) == 0 {
		return nil
	}
	return failures(items, deliveries)
}

func failures(items []map[string]json.RawMessage, deliveries []sinks.Delivery) error {
	index := make(map[string]int, len(deliveries))
	for i := range deliveries {
		index[deliveries[i].ID] = i
	}
	failed := make(map[int]error, len(items))
	for n, item := range items {
		var id *string
		if err := json.Unmarshal(item["itemIdentifier"], &id); err != nil || id == nil || *id == "" {
			return fmt.Errorf("batchItemFailures[%d] has no itemIdentifier with a text", n)
		}
		i, known := index[*id]
		if !known {
			return fmt.Errorf("batchItemFailures[%d] names %s, which is no %s of the batch", n, sinks.Excerpt([]byte(*id)), sinks.AttributeDelivery)
		}
		failed[i] = errReported
	}
	return &sinks.PartialError{Failed: failed}
}
