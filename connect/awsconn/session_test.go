package awsconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/goleak"

	"sluice/config"
	"sluice/connect/awsconn"
	sinkhttp "sluice/sinks/http"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers everything as it is told, and keeps the last Authorization.
type server struct {
	*httptest.Server
	asked      atomic.Int64
	authorized atomic.Value
}

func newServer(t *testing.T, status int, body string) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.authorized.Store(r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

// section has keys of its own.
func section(endpoint string) *config.AWS {
	return &config.AWS{Endpoint: endpoint, AccessKey: config.NewSecret("AKIDSECTION"), SecretKey: config.NewSecret("secret")}
}

// ask makes one request.
func ask(t *testing.T, section *config.AWS, o awsconn.Options) error {
	t.Helper()
	session, err := awsconn.New(section, o)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	_, err = sqs.NewFromConfig(session.Config).ListQueues(t.Context(), nil)
	return awsconn.Explain(err)
}

// outside leaves nothing for AWS in the environment.
func outside(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_ENDPOINT_URL",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "credentials"))
}

func TestKeysOfTheSection(t *testing.T) {
	outside(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "other")
	s := newServer(t, http.StatusOK, "{}")
	if err := ask(t, section(s.URL), awsconn.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := s.authorized.Load().(string); !strings.Contains(got, "Credential=AKIDSECTION/") || !strings.Contains(got, "/us-east-1/sqs/") {
		t.Errorf("signed as %q", got)
	}
}

func TestKeysOfTheEnvironment(t *testing.T) {
	outside(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "other")
	t.Setenv("AWS_REGION", "eu-central-1")
	s := newServer(t, http.StatusOK, "{}")
	if err := ask(t, &config.AWS{Endpoint: s.URL}, awsconn.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := s.authorized.Load().(string); !strings.Contains(got, "Credential=AKIDENVIRONMENT/") || !strings.Contains(got, "/eu-central-1/sqs/") {
		t.Errorf("signed as %q", got)
	}
}

func TestNoRegion(t *testing.T) {
	outside(t)
	if _, err := awsconn.New(&config.AWS{}, awsconn.Options{}); err == nil || !strings.Contains(err.Error(), "region: it is missing") {
		t.Errorf("got %v", err)
	}
}

func TestNoCredentials(t *testing.T) {
	outside(t)
	s := newServer(t, http.StatusOK, "{}")
	if err := ask(t, &config.AWS{Endpoint: s.URL}, awsconn.Options{}); err == nil || !strings.Contains(err.Error(), "there are no credentials") {
		t.Errorf("got %v", err)
	}
	if n := s.asked.Load(); n != 0 {
		t.Errorf("%d requests without credentials", n)
	}
}

func TestAssumedRole(t *testing.T) {
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("RoleArn") != "arn:aws:iam::1:role/r" || r.FormValue("RoleSessionName") != "sluice" || r.FormValue("ExternalId") != "x" {
			t.Errorf("STS was asked %v", r.Form)
		}
		_, _ = io.WriteString(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>AKIDROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2126-01-01T00:00:00Z</Expiration>
</Credentials></AssumeRoleResult></AssumeRoleResponse>`)
	}))
	t.Cleanup(sts.Close)
	s := newServer(t, http.StatusOK, "{}")
	with := section(s.URL)
	with.AssumeRole = &config.AWSRole{ARN: "arn:aws:iam::1:role/r", ExternalID: "x", Endpoint: sts.URL}
	if err := ask(t, with, awsconn.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := s.authorized.Load().(string); !strings.Contains(got, "Credential=AKIDROLE/") {
		t.Errorf("signed as %q", got)
	}
}

func TestOneRequest(t *testing.T) {
	s := newServer(t, http.StatusInternalServerError, `{"__type":"InternalFailure","message":"broken"}`)
	err := ask(t, section(s.URL), awsconn.Options{})
	if want := "SQS ListQueues: InternalFailure: broken"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status            int
		body, want        string
		throttled, denied bool
	}{
		"denied":           {http.StatusForbidden, `{"__type":"com.amazon.coral.service#InvalidClientTokenId","message":"no such token"}`, "the credentials are not accepted, or do not allow it", false, true},
		"throttled":        {http.StatusBadRequest, `{"__type":"RequestThrottled","message":"slow"}`, "RequestThrottled: slow", true, false},
		"denied by others": {http.StatusForbidden, `<html>`, "do not allow it (access_key, or what the environment has): the answer is 403 Forbidden", false, true},
		"another server":   {http.StatusNotFound, `<html>`, "SQS ListQueues: ", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := ask(t, section(newServer(t, c.status, c.body).URL), awsconn.Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) || awsconn.Throttled(err) != c.throttled || awsconn.Denied(err) != c.denied {
				t.Errorf("got %v; throttled %v, denied %v", err, awsconn.Throttled(err), awsconn.Denied(err))
			}
			found, ok := errors.AsType[*awsconn.Error](err)
			if !ok || found.Status != c.status {
				t.Errorf("got %+v, want the status %d", found, c.status)
			}
		})
	}
}

func TestLargeAnswer(t *testing.T) {
	s := newServer(t, http.StatusOK, `{"QueueUrls":["`+strings.Repeat("x", 2000)+`"]}`)
	if err := ask(t, section(s.URL), awsconn.Options{MaxAnswer: 1000}); err == nil || !strings.Contains(err.Error(), "larger than any of the service") {
		t.Errorf("got %v", err)
	}
	if err := ask(t, section(s.URL), awsconn.Options{MaxAnswer: 3000}); err != nil {
		t.Error(err)
	}
}

func TestNobodyThere(t *testing.T) {
	s := newServer(t, http.StatusOK, "{}")
	s.Close()
	err := ask(t, section(s.URL), awsconn.Options{})
	if !errors.Is(err, syscall.ECONNREFUSED) || !strings.HasPrefix(err.Error(), "SQS ListQueues: no answer: dial tcp") {
		t.Errorf("got %v", err)
	}
}

func TestGuard(t *testing.T) {
	s := newServer(t, http.StatusOK, "{}")
	err := ask(t, section(s.URL), awsconn.Options{Dialer: sinkhttp.NewGuard(sinkhttp.EgressPublic).Dialer(awsconn.DialTimeout)})
	if _, ok := errors.AsType[*sinkhttp.RefusedError](err); !ok || s.asked.Load() != 0 {
		t.Errorf("got %v after %d requests", err, s.asked.Load())
	}
}

func TestSilence(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	err = ask(t, section("http://"+listener.Addr().String()), awsconn.Options{Timeout: 50 * time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("got %v", err)
	}
}

func TestRedirect(t *testing.T) {
	other := newServer(t, http.StatusOK, "{}")
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(s.Close)
	if err := ask(t, section(s.URL), awsconn.Options{}); err == nil || other.asked.Load() != 0 {
		t.Errorf("got %v, and %d requests where it leads", err, other.asked.Load())
	}
}

// A body fails when it is written by WriteTo, as those of the clients do that are
// closed meanwhile.
type body struct{ io.Reader }

func (body) WriteTo(io.Writer) (int64, error) { return 0, io.EOF }
func (body) Close() error                     { return nil }

// TestBodiesAreRead: a client that closes a request's body while the answer begins
// costs neither the answer nor the connection.
func TestBodiesAreRead(t *testing.T) {
	s := newServer(t, http.StatusOK, "{}")
	session, err := awsconn.New(section(s.URL), awsconn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, body{strings.NewReader("text")})
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = 4
	response, err := session.Config.HTTPClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
}
