package invokeapi_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"sluice/functions"
	"sluice/functions/invokeapi"
)

// TestNames invokes by every form of a function's name.
func TestNames(t *testing.T) {
	url, _ := serve(t, &backend{})
	sdk := client(t, url)
	for _, name := range []string{
		"thumb", "thumb:$LATEST", "function:thumb", "000000000000:function:thumb", "us-east-1:000000000000:function:thumb",
		"arn:aws:lambda:us-east-1:000000000000:function:thumb", "arn:aws:lambda:us-east-1:000000000000:function:thumb:$LATEST",
	} {
		got, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{"a":1}`)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.StatusCode != 200 || string(got.Payload) != `{"a":1}` || aws.ToString(got.ExecutedVersion) != "$LATEST" || got.FunctionError != nil || got.LogResult != nil {
			t.Errorf("%s: %+v, payload %s", name, got, got.Payload)
		}
	}
	if _, err := sdk.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("thumb"), Qualifier: aws.String("$LATEST")}); err != nil {
		t.Errorf("with a qualifier: %v", err)
	}
}

// TestInvocations looks at what the function is given and what is answered.
func TestInvocations(t *testing.T) {
	var given functions.Invocation
	b := &backend{invoke: func(_ context.Context, in functions.Invocation) (functions.Result, error) {
		given = in
		return functions.Result{Payload: []byte(`"done"`), LogTail: []byte("START\nEND\n")}, nil
	}}
	url, _ := serve(t, b)
	context64 := base64.StdEncoding.EncodeToString([]byte(`{"custom":{"a":"b"}}`))
	got, err := client(t, url).Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("thumb"), LogType: types.LogTypeTail, ClientContext: &context64,
	})
	if err != nil {
		t.Fatal(err)
	}
	if log, err := base64.StdEncoding.DecodeString(aws.ToString(got.LogResult)); err != nil || string(log) != "START\nEND\n" {
		t.Errorf("log %q, %v", log, err)
	}
	if string(given.Payload) != "{}" || given.ClientContext != `{"custom":{"a":"b"}}` || len(given.RequestID) != 36 || given.MaxWait != 5*time.Second {
		t.Errorf("the function was given %+v", given)
	}
}

// TestErrorsOfFunctions are answers, as with the service.
func TestErrorsOfFunctions(t *testing.T) {
	for _, c := range []struct {
		err     error
		payload string
	}{
		{&functions.FunctionError{Outcome: functions.OutcomeError, Handled: true, Payload: []byte(`{"errorType":"KeyError"}`)}, `{"errorType":"KeyError"}`},
		{&functions.FunctionError{Outcome: functions.OutcomeTimeout, Payload: []byte(`{"errorType":"Sandbox.Timedout"}`)}, `{"errorType":"Sandbox.Timedout"}`},
		{&functions.StartError{Err: errors.New("exit status 7")}, `{"errorMessage":"RequestId: ID Error: exit status 7","errorType":"Runtime.ExitError"}`},
	} {
		url, _ := serve(t, &backend{invoke: func(context.Context, functions.Invocation) (functions.Result, error) {
			return functions.Result{}, c.err
		}})
		got, err := client(t, url).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("thumb")})
		if err != nil {
			t.Errorf("%v: %v", c.err, err)
			continue
		}
		payload := string(got.Payload)
		if start, rest, found := strings.Cut(payload, "RequestId: "); found {
			payload = start + "RequestId: ID" + rest[36:]
		}
		if got.StatusCode != 200 || aws.ToString(got.FunctionError) != "Unhandled" || payload != c.payload {
			t.Errorf("%v: %d, %s, %s", c.err, got.StatusCode, aws.ToString(got.FunctionError), payload)
		}
	}
}

// TestKinds are the invocations that do not wait.
func TestKinds(t *testing.T) {
	var stored []string
	b := &backend{
		store: func(_ context.Context, in functions.Invocation) error {
			stored = append(stored, string(in.Payload))
			return nil
		},
		invoke: func(context.Context, functions.Invocation) (functions.Result, error) {
			t.Error("the function is called")
			return functions.Result{}, nil
		},
	}
	url, _ := serve(t, b)
	for kind, status := range map[types.InvocationType]int32{types.InvocationTypeEvent: 202, types.InvocationTypeDryRun: 204} {
		got, err := client(t, url).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("thumb"), InvocationType: kind, Payload: []byte("[1]")})
		if err != nil || got.StatusCode != status || len(got.Payload) != 0 {
			t.Errorf("%s: %+v, %v", kind, got, err)
		}
	}
	if len(stored) != 1 || stored[0] != "[1]" {
		t.Errorf("stored %q", stored)
	}
}

// TestRefusals are errors that the SDK knows.
func TestRefusals(t *testing.T) {
	failing := func(err error) *backend {
		return &backend{
			invoke: func(context.Context, functions.Invocation) (functions.Result, error) { return functions.Result{}, err },
			store:  func(context.Context, functions.Invocation) error { return err },
		}
	}
	large := func(size int) []byte { return []byte(`"` + strings.Repeat("a", size-2) + `"`) }
	for _, c := range []struct {
		name, code, message string
		backend             *backend
		in                  lambda.InvokeInput
		change              func(*lambda.Options)
	}{
		{name: "unknown function", code: "ResourceNotFoundException", message: "Function not found: arn:aws:lambda:us-east-1:000000000000:function:missing", in: lambda.InvokeInput{FunctionName: aws.String("missing")}},
		{name: "unknown version", code: "ResourceNotFoundException", message: "Function not found: arn:aws:lambda:us-east-1:000000000000:function:thumb:7", in: lambda.InvokeInput{Qualifier: aws.String("7")}},
		{name: "two versions", code: "InvalidParameterValueException", in: lambda.InvokeInput{FunctionName: aws.String("thumb:1"), Qualifier: aws.String("2")}},
		{name: "bad name", code: "ValidationException", in: lambda.InvokeInput{FunctionName: aws.String("a b")}},
		{name: "bad kind", code: "InvalidParameterValueException", message: `X-Amz-Invocation-Type "Later": it is RequestResponse, Event or DryRun`, in: lambda.InvokeInput{InvocationType: "Later"}},
		{name: "bad log type", code: "InvalidParameterValueException", in: lambda.InvokeInput{LogType: "All"}},
		{name: "no JSON", code: "InvalidRequestContentException", message: "Could not parse request body into json: invalid character 'b' looking for beginning of object key string", in: lambda.InvokeInput{Payload: []byte("{b}")}},
		{name: "no JSON in the client context", code: "InvalidRequestContentException", in: lambda.InvokeInput{ClientContext: aws.String("%")}},
		{name: "too large", code: "RequestTooLargeException", in: lambda.InvokeInput{Payload: large(6<<20 + 1)}},
		{name: "too large to wait", code: "RequestTooLargeException", in: lambda.InvokeInput{InvocationType: types.InvocationTypeEvent, Payload: large(1<<20 + 1)}},
		{name: "too large for the bus", code: "RequestTooLargeException", backend: failing(invokeapi.ErrTooLarge), in: lambda.InvokeInput{InvocationType: types.InvocationTypeEvent}},
		{name: "throttled", code: "TooManyRequestsException", message: "Rate Exceeded.", backend: failing(functions.ErrThrottled)},
		{name: "closed", code: "ServiceException", backend: failing(functions.ErrClosed)},
		{name: "not stored", code: "ServiceException", backend: failing(errors.New("no bus")), in: lambda.InvokeInput{InvocationType: types.InvocationTypeEvent}},
		{name: "another's function", code: "AccessDeniedException", message: "User: " + accessKey + " is not authorized to perform: lambda:InvokeFunction on resource: arn:aws:lambda:us-east-1:000000000000:function:secret because no identity-based policy allows the lambda:InvokeFunction action", in: lambda.InvokeInput{FunctionName: aws.String("secret")}},
		{name: "another's function that is not there", code: "AccessDeniedException", in: lambda.InvokeInput{FunctionName: aws.String("nothing")}},
		{name: "unknown key", code: "UnrecognizedClientException", change: withKey("AKIDSOMEBODYELSE", secretKey)},
		{name: "wrong secret", code: "InvalidSignatureException", change: withKey(accessKey, secretKey+"x")},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.backend
			if b == nil {
				b = &backend{}
			}
			url, _ := serve(t, b)
			if c.in.FunctionName == nil {
				c.in.FunctionName = aws.String("thumb")
			}
			if c.change == nil {
				c.change = func(*lambda.Options) {}
			}
			_, err := client(t, url, c.change).Invoke(t.Context(), &c.in)
			var api smithy.APIError
			if !errors.As(err, &api) || api.ErrorCode() != c.code || c.message != "" && api.ErrorMessage() != c.message {
				t.Errorf("found %v, want %s: %s", err, c.code, c.message)
			}
		})
	}
	url, _ := serve(t, failing(functions.ErrThrottled))
	_, err := client(t, url).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("thumb")})
	var throttle *types.TooManyRequestsException
	if !errors.As(err, &throttle) || aws.ToString(throttle.RetryAfterSeconds) != "1" || throttle.Reason != types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded || aws.ToString(throttle.Type) != "User" {
		t.Errorf("a throttle is %#v", err)
	}
}

func withKey(access, secret string) func(*lambda.Options) {
	return func(o *lambda.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(access, secret, "")
	}
}

// TestLargePayloads go both ways at the service's limit.
func TestLargePayloads(t *testing.T) {
	url, _ := serve(t, &backend{})
	payload := []byte(`"` + strings.Repeat("a", 6<<20-2) + `"`)
	got, err := client(t, url).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("thumb"), Payload: payload})
	if err != nil || string(got.Payload) != string(payload) {
		t.Errorf("6 MiB: %d bytes, %v", len(got.Payload), err)
	}
}

// TestKeysAreReplaced takes a key away and adds another one.
func TestKeysAreReplaced(t *testing.T) {
	url, api := serve(t, &backend{})
	in := &lambda.InvokeInput{FunctionName: aws.String("thumb")}
	api.SetKeys([]invokeapi.Key{{AccessKey: "AKIDNEW", SecretKey: "new", Functions: []string{"thumb"}}})
	if _, err := client(t, url, withKey("AKIDNEW", "new")).Invoke(t.Context(), in); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if _, err := client(t, url).Invoke(t.Context(), in); err == nil || !strings.Contains(err.Error(), "UnrecognizedClientException") {
		t.Errorf("the old key: %v", err)
	}
}

// TestTheCallerGoes while its function runs, which ends nevertheless.
func TestTheCallerGoes(t *testing.T) {
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	url, api := serve(t, &backend{invoke: func(ctx context.Context, _ functions.Invocation) (functions.Result, error) {
		close(begun)
		<-end
		ended <- ctx.Err()
		return functions.Result{}, nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() {
		_, err := client(t, url).Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("thumb")})
		answered <- err
	}()
	<-begun
	cancel()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller has %v", err)
	}
	close(end)
	if err := <-ended; err != nil {
		t.Errorf("the invocation's context has ended: %v", err)
	}
	api.Close(20 * time.Second)
	if _, err := client(t, url).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("thumb")}); err == nil || !strings.Contains(err.Error(), "ServiceException") {
		t.Errorf("when it is closed: %v", err)
	}
}

// TestCloseCancels what does not end by itself.
func TestCloseCancels(t *testing.T) {
	begun := make(chan struct{})
	url, api := serve(t, &backend{invoke: func(ctx context.Context, _ functions.Invocation) (functions.Result, error) {
		close(begun)
		<-ctx.Done()
		return functions.Result{}, ctx.Err()
	}})
	answered := make(chan error, 1)
	go func() {
		_, err := client(t, url).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("thumb")})
		answered <- err
	}()
	<-begun
	api.Close(time.Millisecond)
	if err := <-answered; err == nil || !strings.Contains(err.Error(), "ServiceException") {
		t.Errorf("found %v", err)
	}
}

func ExampleAPI() {
	api := invokeapi.New(context.Background(), invokeapi.Options{Open: true})
	defer api.Close(time.Second)
	fmt.Println(invokeapi.Paths, api.Authenticated())
	// Output: [/2015-03-31/functions/*] false
}
