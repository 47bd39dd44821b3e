package invokeapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"sluice/functions"
	"sluice/functions/invokeapi"
)

// request makes a signed request, as of a time.
func request(tb testing.TB, url, path, body string, at time.Time, header ...string) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	hash := sha256.Sum256([]byte(body))
	key := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}
	if err := v4.NewSigner().SignHTTP(tb.Context(), key, r, hex.EncodeToString(hash[:]), "lambda", "us-east-1", at); err != nil {
		tb.Fatal(err)
	}
	return r
}

// send returns the status and the kind of the error that is answered.
func send(tb testing.TB, r *http.Request) (status int, kind, message string) {
	tb.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		tb.Fatal(err)
	}
	var body map[string]string
	if answer.StatusCode >= 300 {
		if err := json.Unmarshal(text, &body); err != nil {
			tb.Errorf("the answer is %q: %v", text, err)
		}
	}
	if answer.Header.Get("X-Amzn-Requestid") == "" {
		tb.Error("the answer has no request id")
	}
	return answer.StatusCode, answer.Header.Get("X-Amzn-Errortype"), body["message"] + body["Message"]
}

const path = "/2015-03-31/functions/thumb/invocations"

// TestHostileRequests changes signed requests, and what signs them. None of them
// calls a function.
func TestHostileRequests(t *testing.T) {
	url, _ := serve(t, &backend{invoke: func(context.Context, functions.Invocation) (functions.Result, error) {
		t.Error("the function is called")
		return functions.Result{}, nil
	}})
	now := time.Now()
	replace := func(from, to string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.ReplaceAll(r.Header.Get("Authorization"), from, to))
		}
	}
	for _, c := range []struct {
		name   string
		at     time.Time
		change func(*http.Request)
		kind   string
	}{
		{"no signature", now, func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException"},
		{"two signatures", now, func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, "MissingAuthenticationTokenException"},
		{"another scheme", now, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secretKey) }, "IncompleteSignatureException"},
		{"presigned", now, func(r *http.Request) { r.Header.Del("Authorization"); r.URL.RawQuery = "X-Amz-Signature=00" }, "IncompleteSignatureException"},
		{"another body", now, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"a":2}`)) }, "InvalidSignatureException"},
		{"a body of another hash", now, func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
			replace("SignedHeaders=content-length;host;x-amz-date", "SignedHeaders=content-length;host;x-amz-content-sha256;x-amz-date")(r)
		}, "InvalidSignatureException"},
		{"another function", now, func(r *http.Request) { r.URL.Path = "/2015-03-31/functions/secret/invocations" }, "InvalidSignatureException"},
		{"another query", now, func(r *http.Request) { r.URL.RawQuery = "Qualifier=$LATEST" }, "InvalidSignatureException"},
		{"an unsigned kind", now, func(r *http.Request) { r.Header.Set("X-Amz-Invocation-Type", "DryRun") }, "InvalidSignatureException"},
		{"another host", now, func(r *http.Request) { r.Host = "example.com" }, "InvalidSignatureException"},
		{"another time", now, func(r *http.Request) {
			r.Header.Set("X-Amz-Date", now.Add(time.Second).UTC().Format("20060102T150405Z"))
		}, "InvalidSignatureException"},
		{"another region", now, replace("us-east-1", "us-east-2"), "InvalidSignatureException"},
		{"another service", now, replace("/lambda/", "/s3/"), "InvalidSignatureException"},
		{"a sixth minute", now.Add(-5*time.Minute - 2*time.Second), func(*http.Request) {}, "InvalidSignatureException"},
		{"a future", now.Add(5*time.Minute + 2*time.Second), func(*http.Request) {}, "InvalidSignatureException"},
		{"no host signed", now, replace("host;", ""), "InvalidSignatureException"},
		{"no date signed", now, replace(";x-amz-date", ""), "InvalidSignatureException"},
		{"fewer headers signed", now, replace("content-length;", ""), "InvalidSignatureException"},
		{"headers in another order", now, replace("content-length;host", "host;content-length"), "IncompleteSignatureException"},
		{"a short signature", now, func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")[:100]) }, "IncompleteSignatureException"},
		{"no scope", now, replace("/aws4_request", ""), "IncompleteSignatureException"},
		{"parts that are there twice", now, replace("Credential=", "Credential=x, Credential="), "IncompleteSignatureException"},
		{"an endless header", now, replace("Credential=", "Credential="+strings.Repeat("x", 5000)), "IncompleteSignatureException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(t, url, path, `{"a":1}`, c.at)
			c.change(r)
			if status, kind, message := send(t, r); status != http.StatusForbidden || kind != c.kind || message == "" {
				t.Errorf("found %d %s: %s, want 403 %s", status, kind, message, c.kind)
			}
		})
	}
}

// TestWindow takes what is nearly five minutes old, and repeated.
func TestWindow(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	url, _ := serve(t, &backend{}, func(o *invokeapi.Options) { o.Now = func() time.Time { return now } })
	for _, at := range []time.Time{now, now, now.Add(-5 * time.Minute), now.Add(5 * time.Minute)} {
		if status, kind, message := send(t, request(t, url, path, "{}", at)); status != http.StatusOK {
			t.Errorf("%s: %d %s: %s", at, status, kind, message)
		}
	}
	if _, _, message := send(t, request(t, url, path, "{}", now.Add(-5*time.Minute-time.Second))); message != "Signature expired: 20260301T115459Z is now earlier than 20260301T115500Z." {
		t.Errorf("a second later: %s", message)
	}
}

// TestSignedHeaders are those that other SDKs sign too.
func TestSignedHeaders(t *testing.T) {
	url, _ := serve(t, &backend{})
	hash := sha256.Sum256([]byte("{}"))
	r := request(t, url, path, "{}", time.Now(), "X-Amz-Content-Sha256", hex.EncodeToString(hash[:]), "Content-Type", "application/json",
		"X-Amz-Security-Token", "any", "X-Amz-User-Agent", "aws-sdk-js/3  with   spaces", "X-Amz-Invocation-Type", "RequestResponse")
	if status, kind, message := send(t, r); status != http.StatusOK {
		t.Errorf("%d %s: %s", status, kind, message)
	}
}

func TestOtherOperations(t *testing.T) {
	url, _ := serve(t, &backend{})
	for _, one := range []string{"/2015-03-31/functions/thumb", "/2015-03-31/functions/", "/2015-03-31/functions/thumb/invocations/", "/2015-03-31/functions/a/b/invocations", "/elsewhere"} {
		if status, kind, _ := send(t, request(t, url, one, "{}", time.Now())); status != http.StatusNotFound || kind != "UnknownOperationException" {
			t.Errorf("%s: %d %s", one, status, kind)
		}
	}
	r := request(t, url, path, "", time.Now())
	r.Method = http.MethodGet
	if status, kind, _ := send(t, r); status != http.StatusNotFound || kind != "UnknownOperationException" {
		t.Errorf("GET: %d %s", status, kind)
	}
}

// TestOpen needs no signature, and knows no others' functions.
func TestOpen(t *testing.T) {
	url, _ := serve(t, &backend{}, func(o *invokeapi.Options) { o.Open = true })
	for one, want := range map[string]int{"thumb": 200, "secret": 200, "missing": 404} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+strings.Replace(path, "thumb", one, 1), strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if status, _, message := send(t, r); status != want {
			t.Errorf("%s: %d %s", one, status, message)
		}
	}
}

// TestSlowBodies are not waited for, and those that are cut off call nothing.
func TestSlowBodies(t *testing.T) {
	for name, c := range map[string]struct {
		body func() io.ReadCloser
		kind string
	}{
		"slow": {func() io.ReadCloser { return late{os.ErrDeadlineExceeded} }, "InvalidRequestContentException"},
		"cut":  {func() io.ReadCloser { return late{io.ErrUnexpectedEOF} }, "ServiceException"},
	} {
		t.Run(name, func(t *testing.T) {
			api := invokeapi.New(t.Context(), invokeapi.Options{Open: true, Functions: &backend{names: []string{"thumb"}}})
			defer api.Close(time.Second)
			r := request(t, "http://127.0.0.1", path, "{}", time.Now())
			r.Body, r.ContentLength = c.body(), 100
			answer := httptest.NewRecorder()
			api.ServeHTTP(answer, r)
			if kind := answer.Header().Get("X-Amzn-Errortype"); kind != c.kind {
				t.Errorf("found %d %s", answer.Code, kind)
			}
		})
	}
}

// A late body ends with an error.
type late struct{ err error }

func (l late) Read([]byte) (int, error) { return 0, l.err }
func (l late) Close() error             { return nil }

func TestEncodedBodies(t *testing.T) {
	url, _ := serve(t, &backend{})
	r := request(t, url, path, "{}", time.Now(), "Content-Encoding", "gzip")
	if status, kind, _ := send(t, r); status != http.StatusUnsupportedMediaType || kind != "UnsupportedMediaTypeException" {
		t.Errorf("%d %s", status, kind)
	}
}
