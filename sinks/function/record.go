package function

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sluice/event"
	"sluice/event/aws"
	"sluice/functions"
	"sluice/sinks"
)

// unhandled is what the service calls errors of functions.
const unhandled = "Unhandled"

// requestWords stand between a request id and what has become of it.
const requestWords = " Error: "

// recordSlack is what is left of an event's size for the count of hops.
const recordSlack = 64

// Record makes the service's record of a delivery to the function that has
// ended, as an event of at most limit bytes. It counts as one hop, and is an
// error over MaxHops: a result has led to a result again and again.
func (c *Config) Record(name string, limit int, end *sinks.End) (event.Event, error) {
	hops := sinks.Hops(end.Delivery.Event) + 1
	if hops > c.MaxHops {
		return event.Event{}, fmt.Errorf("it would be hop %d and max_hops is %d: a result has led to a result again and again, so that there may be a cycle of functions", hops, c.MaxHops)
	}
	in := aws.RecordInput{
		Function: name, ARN: c.spec(name).ARN(), RequestID: RequestID(&end.Delivery), Time: end.Time, Attempts: end.Delivery.Attempt,
		Request: c.request(end.Delivery.Event), Limit: limit - recordSlack,
	}
	switch {
	case !end.Failed:
		in.Condition, in.Status, in.Response = aws.ConditionSuccess, end.Response.Status, answer(&end.Response)
	case end.Expired:
		in.Condition = aws.ConditionExpired
	default:
		in.Condition = aws.ConditionExhausted
	}
	if end.Failed {
		tellError(&in, end.Error)
	}
	made, err := aws.Record(in)
	if err != nil {
		return made, err
	}
	return made, made.SetExtension(sinks.AttributeHops, hops)
}

// request is what the function was given; nil when that cannot be said.
func (c *Config) request(e *event.Event) []byte {
	if e.Large != nil {
		return fmt.Appendf(nil, `{"tooLarge":%d}`, e.Large.Size)
	}
	payload, err := aws.Encode(c.Shape, []*event.Event{e}, aws.Options{})
	if err != nil {
		return nil
	}
	return payload.JSON
}

// answer is what the function has answered, as JSON.
func answer(r *sinks.Response) []byte {
	if len(r.Body) == 0 || json.Valid(r.Body) {
		return r.Body
	}
	return event.AppendQuoted(nil, r.Body)
}

// tellError takes an error apart that the sink has made. What was no invocation
// has no status.
func tellError(in *aws.RecordInput, text string) {
	var payload struct {
		Type    string `json:"errorType,omitempty"`
		Message string `json:"errorMessage"`
	}
	payload.Message = text
	rest, reported := strings.CutPrefix(text, unhandled+": ")
	kind, message, _ := strings.Cut(rest, ": ")
	own := slices.Contains([]string{functions.TypeTimeout, functions.TypeExit, functions.TypeOutOfMemory, functions.TypeTooLarge}, kind)
	if reported || own {
		in.Status, in.FunctionError = http.StatusOK, unhandled
		payload.Type, payload.Message = kind, unquote(message)
	}
	if own {
		payload.Message = "RequestId: " + in.RequestID + requestWords + payload.Message
	}
	in.Response, _ = json.Marshal(payload) //nolint:errchkjson // two texts
}

// unquote takes back what strconv.Quote has done; the end may be cut off.
func unquote(text string) string {
	if whole, err := strconv.Unquote(text); err == nil {
		return whole
	}
	return strings.TrimPrefix(text, `"`)
}
