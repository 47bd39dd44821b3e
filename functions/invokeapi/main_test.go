package invokeapi_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"go.uber.org/goleak"

	"sluice/functions"
	"sluice/functions/invokeapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	accessKey = "AKIDEXAMPLE12345"
	secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// A backend stands for the pools: what the API makes of requests is looked at
// here, and what pools make of invocations where the whole program runs.
type backend struct {
	names []string
	// invoke and store are called when they are set; else the payload is the
	// answer, and everything is stored.
	invoke func(ctx context.Context, in functions.Invocation) (functions.Result, error)
	store  func(ctx context.Context, in functions.Invocation) error
}

func (b *backend) Has(name string) bool { return slices.Contains(b.names, name) }

func (b *backend) Invoke(ctx context.Context, _ string, in functions.Invocation) (functions.Result, error) {
	if b.invoke == nil {
		return functions.Result{Payload: in.Payload, LogTail: []byte("START " + in.RequestID)}, nil
	}
	return b.invoke(ctx, in)
}

func (b *backend) InvokeAsync(ctx context.Context, _ string, in functions.Invocation) error {
	if b.store == nil {
		return nil
	}
	return b.store(ctx, in)
}

// serve runs the API, and returns its URL.
func serve(tb testing.TB, b *backend, change ...func(*invokeapi.Options)) (string, *invokeapi.API) {
	tb.Helper()
	if b.names == nil {
		b.names = []string{"thumb", "secret"}
	}
	options := invokeapi.Options{
		Functions: b, Region: "us-east-1", Logger: slog.New(slog.DiscardHandler),
		Keys: []invokeapi.Key{{AccessKey: accessKey, SecretKey: secretKey, Functions: []string{"thumb", "missing"}}},
	}
	for _, f := range change {
		f(&options)
	}
	api := invokeapi.New(tb.Context(), options)
	server := httptest.NewServer(api)
	tb.Cleanup(func() {
		server.Close()
		api.Close(20 * time.Second)
	})
	return server.URL, api
}

// client returns the SDK's client, pointed at url.
func client(tb testing.TB, url string, change ...func(*lambda.Options)) *lambda.Client {
	tb.Helper()
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	options := lambda.Options{
		BaseEndpoint: aws.String(url), Region: "eu-central-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		HTTPClient:  &http.Client{Transport: transport, Timeout: 20 * time.Second},
	}
	for _, f := range change {
		f(&options)
	}
	return lambda.New(options)
}
