package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"sluice/functions/invokeapi"
	sourcehttp "sluice/sources/http"
)

const invokeSecret = "wJalrXUtnFEMI/K7MDENG"

// sdk returns AWS's client, pointed at the installation.
func (in *installation) sdk(secret string) *lambda.Client {
	transport := &http.Transport{}
	in.t.Cleanup(transport.CloseIdleConnections)
	return lambda.New(lambda.Options{
		BaseEndpoint: aws.String("http://" + in.ingest), Region: "eu-central-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", secret, ""),
		HTTPClient:  &http.Client{Transport: transport, Timeout: patience},
	})
}

// TestInvokeAPI has AWS's SDK invoke a function of a running service: at once and
// later.
func TestInvokeAPI(t *testing.T) {
	in := withFunctions(t)
	in.stop()
	in.change(`ingest: {listen: "`+in.ingest+`"}`, `ingest: {listen: "`+in.ingest+`", invoke: {keys: [{access_key: AKIDEXAMPLE, secret_key: "`+invokeSecret+`", functions: [thumb]}]}}`)
	in.start("up")
	sdk := in.sdk(invokeSecret)
	call := func(event string, kind types.InvocationType) *lambda.InvokeOutput {
		t.Helper()
		out, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{
			FunctionName: aws.String("arn:aws:lambda:us-east-1:000000000000:function:thumb"), Payload: []byte(event), InvocationType: kind, LogType: types.LogTypeTail,
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := call(`{"env":"BUCKET"}`, ""); string(out.Payload) != `"thumbs"` || out.FunctionError != nil || aws.ToString(out.LogResult) == "" {
		t.Errorf("at once: %s, %+v", out.Payload, out)
	}
	if out := call(`{"fail":1}`, ""); !strings.Contains(string(out.Payload), "it was asked to fail") || aws.ToString(out.FunctionError) != "Unhandled" {
		t.Errorf("a failure: %s, %+v", out.Payload, out)
	}
	if out := call(`{}`, types.InvocationTypeDryRun); out.StatusCode != http.StatusNoContent {
		t.Errorf("a dry run: %+v", out)
	}
	if out := call(`{"say":"later"}`, types.InvocationTypeEvent); out.StatusCode != http.StatusAccepted {
		t.Errorf("later: %+v", out)
	}
	in.eventually("the function was called", func() bool {
		got, _ := in.do("logs", "thumb", "--filter", "/^later$/")
		return strings.Contains(got, "later\n") && !strings.Contains(got, "nothing")
	})
	_, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("work")})
	var refused smithy.APIError
	if !errors.As(err, &refused) || refused.ErrorCode() != "AccessDeniedException" {
		t.Errorf("a function of another kind: %v", err)
	}
}

// change writes the file anew with a part of it replaced.
func (in *installation) change(from, to string) {
	in.t.Helper()
	text := in.text
	if !strings.Contains(text, from) {
		in.t.Fatalf("the file has no %q:\n%s", from, text)
	}
	in.write(strings.Replace(text, from, to, 1))
}

// TestNoSourceTakesTheInvokeAPI keeps the paths of both packages together.
func TestNoSourceTakesTheInvokeAPI(t *testing.T) {
	for _, path := range invokeapi.Paths {
		section, ok := sourcehttp.Adapter().Config().(*sourcehttp.Config)
		if !ok {
			t.Fatal("the section has another type")
		}
		section.Path = path
		if err := section.Validate(); err == nil || !strings.Contains(err.Error(), "is for the Invoke API") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
