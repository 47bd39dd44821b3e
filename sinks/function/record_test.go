package function_test

import (
	"strings"
	"testing"
	"time"

	"sluice/event"
	"sluice/sinks"
	"sluice/sinks/function"
)

func TestRecord(t *testing.T) {
	const (
		head = `{"version":"1.0","timestamp":"2026-03-01T12:00:00.000Z","requestContext":{"requestId":"973cfb5c-063a-5181-b00c-fb0cee434af5","functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST","condition":`
		mid  = `"approximateInvokeCount":3},"requestPayload":{"n":1},`
	)
	for name, c := range map[string]struct {
		end  sinks.End
		want string
	}{
		"success": {
			sinks.End{Response: sinks.Response{Status: 200, Body: []byte(`{"a":1}`)}},
			head + `"Success",` + mid + `"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":{"a":1}}`,
		},
		"text": {
			sinks.End{Response: sinks.Response{Status: 200, Body: []byte("a \"b\"")}},
			head + `"Success",` + mid + `"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":"a \"b\""}`,
		},
		"error": {
			sinks.End{Failed: true, Error: `Unhandled: TypeError: "x is \"y\""`},
			head + `"RetriesExhausted",` + mid + `"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"responsePayload":{"errorType":"TypeError","errorMessage":"x is \"y\""}}`,
		},
		"cut": {
			sinks.End{Failed: true, Error: `Unhandled: TypeError: "x…`},
			head + `"RetriesExhausted",` + mid + `"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"responsePayload":{"errorType":"TypeError","errorMessage":"x…"}}`,
		},
		"timeout": {
			sinks.End{Failed: true, Error: `Sandbox.Timedout: "Task timed out after 1.00 seconds"`},
			head + `"RetriesExhausted",` + mid + `"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"responsePayload":{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 973cfb5c-063a-5181-b00c-fb0cee434af5 Error: Task timed out after 1.00 seconds"}}`,
		},
		"never begun": {
			sinks.End{Failed: true, Expired: true, Error: "the function is at its concurrency"},
			head + `"EventAgeExceeded",` + mid + `"responsePayload":{"errorMessage":"the function is at its concurrency"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.end.Time = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			c.end.Delivery = sinks.Delivery{ID: "inc.1.t", Attempt: 3, Event: &event.Event{ID: "e", Source: "/s", Type: "t", DataContentType: "application/json", Data: []byte(`{"n":1}`)}}
			section := function.NewConfig()
			section.Shape = "data"
			made, err := section.Record("f", 1<<20, &c.end)
			if err != nil || string(made.Data) != c.want || sinks.Hops(&made) != 1 {
				t.Errorf("hop %d, %v\n got %s\nwant %s", sinks.Hops(&made), err, made.Data, c.want)
			}
		})
	}
}

// TestRecordsAreBounded: hops end, and so does the size.
func TestRecordsAreBounded(t *testing.T) {
	section := function.NewConfig()
	section.Shape = "data"
	end := sinks.End{Delivery: sinks.Delivery{ID: "inc.1.t", Event: &event.Event{
		ID: "e", Source: "/s", Type: "t", DataContentType: "application/json", Data: []byte(`"` + strings.Repeat("x", 2000) + `"`),
	}}}
	made, err := section.Record("f", 1500, &end)
	if err != nil || event.CheckSize(&made, 1500) != nil || !strings.Contains(string(made.Data), `"requestPayload":{"tooLarge":2002}`) {
		t.Errorf("%s, %v", made.Data, err)
	}
	if err := end.Delivery.Event.SetExtension(sinks.AttributeHops, 7); err != nil {
		t.Fatal(err)
	}
	made, err = section.Record("f", 1<<20, &end)
	if err != nil || sinks.Hops(&made) != 8 {
		t.Errorf("hop %d, %v", sinks.Hops(&made), err)
	}
	end.Delivery.Event = &made
	if _, err = section.Record("f", 1<<20, &end); err == nil || !strings.HasPrefix(err.Error(), "it would be hop 9 and max_hops is 8: ") {
		t.Errorf("got %v", err)
	}
}
