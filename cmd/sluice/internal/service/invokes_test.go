package service_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// TestKeysOfTheInvokeAPIAreReloaded replaces a key, and adds and removes the API.
func TestKeysOfTheInvokeAPIAreReloaded(t *testing.T) {
	const text = `ingest: {listen: "127.0.0.1:0"INVOKE}
functions: {thumb: {handler: ./bootstrap}}
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bootstrap"), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	with := func(key string) string {
		return strings.Replace(text, "INVOKE", `, invoke: {keys: [{access_key: `+key+`, secret_key: 0123456789abcdef, functions: [thumb]}]}`, 1)
	}
	s, _ := run(t, load(t, dir, with("FIRST")))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	code := func(key string) string {
		t.Helper()
		sdk := lambda.New(lambda.Options{
			BaseEndpoint: aws.String("http://" + s.IngestAddr()), Region: "us-east-1", RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider(key, "0123456789abcdef", ""), HTTPClient: &http.Client{Transport: transport},
		})
		_, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("thumb"), InvocationType: types.InvocationTypeDryRun})
		if refused, ok := errors.AsType[smithy.APIError](err); ok {
			return refused.ErrorCode()
		}
		if err != nil {
			t.Fatal(err)
		}
		return ""
	}
	if first, second := code("FIRST"), code("SECOND"); first != "" || second != "UnrecognizedClientException" {
		t.Errorf("before: %q, %q", first, second)
	}
	changes, err := s.Reload(t.Context(), load(t, dir, with("SECOND")))
	if err != nil || len(changes.Restart) != 0 {
		t.Errorf("reload: %+v, %v", changes, err)
	}
	if first, second := code("FIRST"), code("SECOND"); first != "UnrecognizedClientException" || second != "" {
		t.Errorf("after: %q, %q", first, second)
	}
	changes, err = s.Reload(t.Context(), load(t, dir, strings.Replace(text, "INVOKE", "", 1)))
	if err != nil || !slices.Equal(changes.Restart, []string{"ingest"}) {
		t.Errorf("without keys: %+v, %v", changes, err)
	}
	if second := code("SECOND"); second != "UnrecognizedClientException" {
		t.Errorf("without keys: %q", second)
	}
}
