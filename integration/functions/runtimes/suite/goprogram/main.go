// Command suite is the common suite in Go, by the service's own client.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type RangeError struct{ text string }

func (e RangeError) Error() string { return e.text }

func main() {
	if os.Getenv("CRASH") != "" {
		panic("crashed while loading")
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, event json.RawMessage) (any, error) {
	var asked struct {
		Do, Text string
		Lines    int
	}
	if err := json.Unmarshal(event, &asked); err != nil {
		return nil, err
	}
	switch asked.Do {
	case "fail":
		return nil, RangeError{asked.Text}
	case "exit":
		os.Exit(7)
	case "remaining":
		deadline, ok := ctx.Deadline()
		if !ok {
			return nil, errors.New("no deadline")
		}
		return time.Until(deadline).Milliseconds(), nil
	case "context":
		given, _ := lambdacontext.FromContext(ctx)
		return []string{given.ClientContext.Custom["word"], os.Getenv("_X_AMZN_TRACE_ID")}, nil
	case "log":
		var group sync.WaitGroup
		for _, who := range []string{"a", "b", "c"} {
			group.Go(func() {
				for i := range asked.Lines {
					fmt.Println(who, strings.Repeat("x", 200), i)
				}
			})
		}
		group.Wait()
	}
	return event, nil
}
