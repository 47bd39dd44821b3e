//go:build integration

// worker is a function that misbehaves as it is told, by the official client.
package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// An order is an event: what the worker is to do, at most so many times.
type order struct {
	ID   string `json:"id"`
	Data struct {
		Do       string `json:"do"`
		Attempts int    `json:"attempts"` // the first ones; 0: all
	} `json:"data"`
}

// An answer echoes whose it is.
type answer struct {
	ID   string `json:"id"`
	Fill string `json:"fill,omitempty"`
}

const large = 5 << 20 // bytes of an answer

func main() { lambda.Start(handle) }

func handle(ctx context.Context, o order) (answer, error) {
	tell(ctx, "/seen", o.ID)
	switch what(ctx, o) {
	case "crash":
		os.Exit(3)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "panic":
		panic(o.ID)
	case "error":
		return answer{}, errors.New(o.ID)
	case "hang":
		time.Sleep(time.Hour)
	case "large":
		return answer{o.ID, strings.Repeat("x", large)}, nil
	case "meet":
		tell(ctx, "/meet", o.ID)
	case "leave a child":
		child := exec.Command("sleep", "1000") //nolint:noctx // it is to outlive the worker
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			return answer{}, err
		}
		time.Sleep(time.Hour)
	}
	return answer{ID: o.ID}, nil
}

// what is to be done in this attempt.
func what(ctx context.Context, o order) string {
	c, _ := lambdacontext.FromContext(ctx)
	attempt, _ := strconv.Atoi(c.ClientContext.Custom["sluice-attempt"])
	if o.Data.Attempts > 0 && attempt > o.Data.Attempts {
		return ""
	}
	return o.Data.Do
}

// tell sends an id and the worker's own to the test, and waits for its answer.
func tell(ctx context.Context, path, id string) {
	base := os.Getenv("FAULTS_URL")
	if base == "" {
		return
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path+"?"+url.Values{"id": {id}, "pid": {strconv.Itoa(os.Getpid())}}.Encode(), http.NoBody)
	if err != nil {
		panic(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return // the test has ended, or the time of the invocation
	}
	_ = response.Body.Close()
}
