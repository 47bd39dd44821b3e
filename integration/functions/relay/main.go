// Command relay is a Lambda function by the official client: it passes what it
// is given on to a worker of the tests, and does what that answers.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func main() { lambda.Start(relay) }

// relay takes an event in the shape cloudevent. A worker that answers with 418
// has it exit, any other error is one of the function.
func relay(ctx context.Context, payload json.RawMessage) (any, error) {
	var event struct{ ID, Type string }
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("WORKER"), bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	lc, _ := lambdacontext.FromContext(ctx)
	for name, value := range map[string]string{
		"Ce-Id": event.ID, "Ce-Type": event.Type,
		"Sluice-Delivery": lc.ClientContext.Custom["sluice-delivery"], "Sluice-Attempt": lc.ClientContext.Custom["sluice-attempt"],
	} {
		request.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	_ = answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusTeapot:
		os.Exit(1)
	case answer.StatusCode/100 != 2:
		return nil, fmt.Errorf("the worker has answered %s", answer.Status)
	}
	return map[string]string{"relayed": event.ID}, nil
}
