// Package awsconn makes clients of AWS services from a section of the file, for
// sources and sinks alike: where the service is, who sluice is to it, and how far
// and for how long its requests may go.
package awsconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"sluice/config"
)

const (
	// DialTimeout bounds the opening of one connection.
	DialTimeout = 5 * time.Second
	// DefaultRegion is that of requests to an endpoint, where none is given.
	DefaultRegion = "us-east-1"
	// DefaultMaxAnswer is the largest answer that is read, in bytes, unless
	// Options say otherwise: more than any service gives.
	DefaultMaxAnswer = 32 << 20

	handshakeTimeout = 10 * time.Second
	idleTimeout      = 30 * time.Second
	maxIdle          = 256
	defaultSession   = "sluice"
)

// Options are what differs between adapters.
type Options struct {
	// Dialer opens the connections: for sinks, that of their egress guard. With
	// nil any address may be connected to, and a proxy of the environment is used.
	Dialer *net.Dialer
	// Timeout bounds one request from connecting to the last byte of its answer;
	// 0 for no bound beside the context's.
	Timeout time.Duration
	// MaxAnswer bounds the answers that are read, in bytes; 0 for DefaultMaxAnswer.
	MaxAnswer int64
}

// A Session is what clients of services are made of: `sqs.NewFromConfig(s.Config)`.
// Requests are made once: whether they are made again is decided by the router
// for sinks, and by sources themselves. Redirects are not followed.
type Session struct {
	Config    aws.Config
	transport *http.Transport
}

// New returns a session. It reads what the default chain of the SDK needs, where
// the section has no keys, and opens no connection. Its problems have keys of the
// section.
func New(section *config.AWS, o Options) (*Session, error) {
	transport, err := newTransport(section, o)
	if err != nil {
		return nil, err
	}
	base, err := load(section)
	if err != nil {
		return nil, err
	}
	base.HTTPClient = &http.Client{
		Transport:     &limited{base: transport, most: cmp.Or(o.MaxAnswer, DefaultMaxAnswer)},
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	base.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	base.RetryMaxAttempts = 0
	base.AppID = "sluice"
	if section.AssumeRole != nil {
		base.Credentials = assume(base, section.AssumeRole)
	}
	if section.Endpoint != "" {
		base.BaseEndpoint = aws.String(section.Endpoint)
	}
	return &Session{Config: base, transport: transport}, nil
}

// Close closes the connections that are idle. Call it after the last request.
func (s *Session) Close() { s.transport.CloseIdleConnections() }

// load returns the configuration that says who sluice is, and the region. With
// keys in the section the environment has no say.
func load(section *config.AWS) (aws.Config, error) {
	if !section.AccessKey.IsZero() {
		return aws.Config{
			Region: cmp.Or(section.Region, DefaultRegion),
			Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(
				section.AccessKey.Reveal(), section.SecretKey.Reveal(), section.SessionToken.Reveal())),
		}, nil
	}
	var options []func(*awsconfig.LoadOptions) error
	if section.Region != "" {
		options = append(options, awsconfig.WithRegion(section.Region))
	}
	loaded, err := awsconfig.LoadDefaultConfig(context.Background(), options...)
	switch {
	case err != nil:
		return aws.Config{}, fmt.Errorf("there are no keys in the section, and what the environment has for AWS cannot be read: %w", err)
	case loaded.Region == "" && section.Endpoint == "":
		return aws.Config{}, config.Invalid("region", "it is missing here and in the environment: write one such as eu-central-1, or set AWS_REGION")
	}
	loaded.Region = cmp.Or(loaded.Region, DefaultRegion)
	return loaded, nil
}

// assume returns the credentials of a role. They are fetched with the first
// request, and again before they end.
func assume(base aws.Config, role *config.AWSRole) aws.CredentialsProvider {
	base.BaseEndpoint = nil
	if role.Endpoint != "" {
		base.BaseEndpoint = aws.String(role.Endpoint)
	}
	return aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(base), role.ARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = cmp.Or(role.SessionName, defaultSession)
		if role.ExternalID != "" {
			o.ExternalID = aws.String(role.ExternalID)
		}
	}))
}

func newTransport(section *config.AWS, o Options) (*http.Transport, error) {
	trust, err := section.TLS.Load()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig: trust, TLSHandshakeTimeout: handshakeTimeout, ForceAttemptHTTP2: true,
		MaxIdleConns: maxIdle, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idleTimeout,
		ExpectContinueTimeout: time.Second,
	}
	if o.Dialer != nil {
		transport.DialContext = o.Dialer.DialContext
		return transport, nil
	}
	transport.DialContext = (&net.Dialer{Timeout: DialTimeout, KeepAlive: idleTimeout}).DialContext
	transport.Proxy = http.ProxyFromEnvironment
	return transport, nil
}

// errLarge is the error of an answer over the bound.
var errLarge = errors.New("the answer is larger than any of the service: what answers there may be something else")

// A limited transport bounds the answers, and sends bodies by their Read alone: the
// clients close a body as soon as the answer begins, and its WriteTo then fails with
// io.EOF, for which the connection would be closed while the answer is read.
type limited struct {
	base http.RoundTripper
	most int64
}

// RoundTrip implements http.RoundTripper.
func (l *limited) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body != nil && request.Body != http.NoBody {
		request = request.WithContext(request.Context()) // a copy
		request.Body = struct{ io.ReadCloser }{request.Body}
	}
	response, err := l.base.RoundTrip(request)
	if err == nil {
		response.Body = &limitedBody{ReadCloser: response.Body, left: l.most}
	}
	return response, err
}

// A limitedBody fails with errLarge where it would go on.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errLarge
	}
	return n, err
}
