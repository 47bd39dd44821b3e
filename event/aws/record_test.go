package aws_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sluice/event"
	"sluice/event/aws"
)

func result() aws.RecordInput {
	return aws.RecordInput{
		Function: "my-function", ARN: "arn:aws:lambda:us-east-1:123456789012:function:my-function",
		RequestID: "e4b46cbf-b738-4b1c-8880-a18cdf61200e", Condition: aws.ConditionExhausted, Attempts: 3,
		Time:    time.Date(2019, 11, 14, 19, 16, 5, 568e6, time.FixedZone("", 3600)),
		Request: []byte(`{"ORDER_IDS": ["9e07af03"]}`), Response: []byte(`{"errorMessage":"Process exited before completing request"}`),
		Status: 200, FunctionError: "Unhandled",
	}
}

func recordOf(tb testing.TB, in aws.RecordInput) event.Event {
	tb.Helper()
	e, err := aws.Record(in)
	if err != nil {
		tb.Fatal(err)
	}
	if err := e.Validate(); err != nil {
		tb.Fatal(err)
	}
	return e
}

// The record of a failure is the one of the service's guide.
func TestRecordOfFailure(t *testing.T) {
	e := recordOf(t, result())
	const want = `{"version":"1.0","timestamp":"2019-11-14T18:16:05.568Z",` +
		`"requestContext":{"requestId":"e4b46cbf-b738-4b1c-8880-a18cdf61200e",` +
		`"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:my-function:$LATEST",` +
		`"condition":"RetriesExhausted","approximateInvokeCount":3},` +
		`"requestPayload":{"ORDER_IDS":["9e07af03"]},` +
		`"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},` +
		`"responsePayload":{"errorMessage":"Process exited before completing request"}}`
	if string(e.Data) != want {
		t.Errorf("%s\nwant %s", e.Data, want)
	}
	if e.ID != "e4b46cbf-b738-4b1c-8880-a18cdf61200e/retriesexhausted" || e.Source != "/functions/my-function" ||
		e.Type != "sluice.function.failure" || e.Subject != "my-function" {
		t.Errorf("%+v", e)
	}
	if p := encode(t, aws.ShapeAWS, aws.Options{}, &e); string(p.JSON) != want {
		t.Errorf("a function is given %s", p.JSON)
	}
}

func TestRecordOfSuccess(t *testing.T) {
	in := result()
	in.Condition, in.FunctionError, in.Response = aws.ConditionSuccess, "", []byte(`null`)
	e := recordOf(t, in)
	got := paths(t, e.Data)
	if value, found := got[".responsePayload"]; !found || value != nil || got[".responseContext.functionError"] != nil || e.Type != "sluice.function.success" {
		t.Errorf("%s of type %s", e.Data, e.Type)
	}
}

// What never began has no response.
func TestRecordOfExpiry(t *testing.T) {
	in := result()
	in.Condition, in.Status, in.FunctionError, in.Response, in.Attempts = aws.ConditionExpired, 0, "", nil, 0
	e := recordOf(t, in)
	if strings.Contains(string(e.Data), `"response`) || paths(t, e.Data)[".requestContext.condition"] != "EventAgeExceeded" {
		t.Errorf("%s", e.Data)
	}
}

// Payloads that do not fit are left out, the longer one first, and the event
// says so.
func TestRecordThatIsTooLarge(t *testing.T) {
	long := func(n int) []byte { return []byte(`"` + strings.Repeat("x", n-2) + `"`) }
	for _, c := range []struct {
		request, response int
		missing           string
		wantRequest       any
		wantResponse      any
	}{
		{100, 200, "", string(bytes.Trim(long(100), `"`)), string(bytes.Trim(long(200), `"`))},
		{100, 2000, "responsePayload", string(bytes.Trim(long(100), `"`)), nil},
		{2000, 100, "requestPayload", nil, string(bytes.Trim(long(100), `"`))},
		{3000, 2000, "requestPayload responsePayload", nil, nil},
	} {
		in := result()
		in.Request, in.Response, in.Limit = long(c.request), long(c.response), 1500
		e := recordOf(t, in)
		got := paths(t, e.Data)
		if e.Extension("toolarge") != c.missing || got[".requestPayload"] != c.wantRequest || got[".responsePayload"] != c.wantResponse {
			t.Errorf("%d and %d: %q, %s", c.request, c.response, e.Extension("toolarge"), e.Data)
		}
		if c.wantRequest == nil && got[".requestPayload.tooLarge"] != float64(c.request) {
			t.Errorf("the request of %d bytes is %v", c.request, got[".requestPayload.tooLarge"])
		}
		if event.Size(&e) > 1500 || !json.Valid(e.Data) {
			t.Errorf("%d bytes: %s", event.Size(&e), e.Data)
		}
	}
}

func TestRecordErrors(t *testing.T) {
	in := result()
	in.Response = []byte(`{`)
	if _, err := aws.Record(in); err == nil || err.Error() != "the response payload of the invocation e4b46cbf-b738-4b1c-8880-a18cdf61200e is not JSON" {
		t.Errorf("%v", err)
	}
	in = result()
	in.Limit = 100
	if _, err := aws.Record(in); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%v", err)
	}
}
