package samples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"sluice/event"
	"sluice/event/aws"
)

func gatewaySamples() []Sample {
	request := []Option{
		{"method", "the request's `METHOD`", "POST"},
		{"path", "its `PATH`", "/orders"},
		{"query", "its `QUERY`, such as a=1&b=2", ""},
		{"body", "its `TEXT`", `{"order": 7}`},
	}
	return []Sample{
		{"apigateway", "aws-proxy", "a request to a REST API, payload version 1", append(append([]Option(nil), request...),
			Option{"stage", "the `STAGE`", "prod"}), func(o *options) (event.Event, error) { return o.request(o.proxyRequest) }},
		{"apigateway", "http-api-proxy", "a request to an HTTP API, payload version 2", append(append([]Option(nil), request...),
			Option{"stage", "the `STAGE`", "$default"}), func(o *options) (event.Event, error) { return o.request(o.httpRequest) }},
	}
}

const (
	gatewayAPI   = "a1b2c3d4e5"
	gatewayAgent = "curl/8.5.0"
	gatewayFrom  = "127.0.0.1"
)

func (o *options) gatewayHost() string {
	return gatewayAPI + ".execute-api." + o.Region + ".amazonaws.com"
}

// request makes the invocation whose payload is that of a request.
func (o *options) request(payload func(url.Values) any) (event.Event, error) {
	if !strings.HasPrefix(o.value("path"), "/") {
		return event.Event{}, fmt.Errorf("the path %q does not begin with a slash", o.value("path"))
	}
	query, err := url.ParseQuery(o.value("query"))
	if err != nil {
		return event.Event{}, fmt.Errorf("the query %q: %w", o.value("query"), err)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(payload(query)); err != nil {
		return event.Event{}, err
	}
	return event.Event{
		ID: o.id, Source: "/sluice/generate-event", Type: aws.TypeInvocation, Time: o.Time.UTC(),
		DataContentType: mediaJSON, Data: bytes.TrimSpace(b.Bytes()),
	}, nil
}

// gatewayHeaders are those of a request, by their names as clients write them.
func (o *options) gatewayHeaders() map[string]string {
	headers := map[string]string{
		"Accept": "*/*", "Host": o.gatewayHost(), "User-Agent": gatewayAgent,
		"X-Forwarded-For": gatewayFrom, "X-Forwarded-Port": "443", "X-Forwarded-Proto": "https",
	}
	if body := o.value("body"); body != "" {
		headers["Content-Type"] = mediaType(body)
	}
	return headers
}

// A httpRequest is the payload of an HTTP API, version 2.0.
type httpRequest struct {
	Version         string            `json:"version"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Headers         map[string]string `json:"headers"`
	Query           map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext  httpContext       `json:"requestContext"`
	Body            string            `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

type httpContext struct {
	AccountID    string          `json:"accountId"`
	APIID        string          `json:"apiId"`
	DomainName   string          `json:"domainName"`
	DomainPrefix string          `json:"domainPrefix"`
	HTTP         httpDescription `json:"http"`
	RequestID    string          `json:"requestId"`
	RouteKey     string          `json:"routeKey"`
	Stage        string          `json:"stage"`
	Time         string          `json:"time"`
	TimeEpoch    int64           `json:"timeEpoch"`
}

type httpDescription struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// layoutGateway is that of access logs.
const layoutGateway = "02/Jan/2006:15:04:05 -0700"

// httpRequest is version 2.0: names of headers in lower case, several values
// with commas between.
func (o *options) httpRequest(query url.Values) any {
	headers := map[string]string{}
	for name, value := range o.gatewayHeaders() {
		headers[strings.ToLower(name)] = value
	}
	joined := map[string]string{}
	for name, values := range query {
		joined[name] = strings.Join(values, ",")
	}
	path := o.value("path")
	if stage := o.value("stage"); stage != "$default" {
		path = "/" + stage + path
	}
	return httpRequest{
		Version: "2.0", RouteKey: "$default", RawPath: path, RawQueryString: query.Encode(), Headers: headers, Query: joined,
		RequestContext: httpContext{
			AccountID: o.Account, APIID: gatewayAPI, DomainName: o.gatewayHost(), DomainPrefix: gatewayAPI,
			HTTP:      httpDescription{o.value("method"), path, "HTTP/1.1", gatewayFrom, gatewayAgent},
			RequestID: o.id, RouteKey: "$default", Stage: o.value("stage"),
			Time: o.Time.UTC().Format(layoutGateway), TimeEpoch: o.Time.UnixMilli(),
		},
		Body: o.value("body"),
	}
}

// A proxyRequest is the payload of a REST API, version 1.0.
type proxyRequest struct {
	Resource        string              `json:"resource"`
	Path            string              `json:"path"`
	HTTPMethod      string              `json:"httpMethod"`
	Headers         map[string]string   `json:"headers"`
	MultiHeaders    map[string][]string `json:"multiValueHeaders"`
	Query           map[string]string   `json:"queryStringParameters"`
	MultiQuery      map[string][]string `json:"multiValueQueryStringParameters"`
	PathParameters  map[string]string   `json:"pathParameters"`
	StageVariables  map[string]string   `json:"stageVariables"`
	RequestContext  proxyContext        `json:"requestContext"`
	Body            *string             `json:"body"`
	IsBase64Encoded bool                `json:"isBase64Encoded"`
}

type proxyContext struct {
	AccountID         string        `json:"accountId"`
	ResourceID        string        `json:"resourceId"`
	Path              string        `json:"path"`
	Stage             string        `json:"stage"`
	DomainName        string        `json:"domainName"`
	DomainPrefix      string        `json:"domainPrefix"`
	RequestID         string        `json:"requestId"`
	ExtendedRequestID string        `json:"extendedRequestId"`
	Protocol          string        `json:"protocol"`
	Identity          proxyIdentity `json:"identity"`
	ResourcePath      string        `json:"resourcePath"`
	HTTPMethod        string        `json:"httpMethod"`
	RequestTime       string        `json:"requestTime"`
	RequestTimeEpoch  int64         `json:"requestTimeEpoch"`
	APIID             string        `json:"apiId"`
}

// A proxyIdentity is who has sent a request: nobody who is known.
type proxyIdentity struct {
	CognitoIdentityPoolID         *string `json:"cognitoIdentityPoolId"`
	AccountID                     *string `json:"accountId"`
	CognitoIdentityID             *string `json:"cognitoIdentityId"`
	Caller                        *string `json:"caller"`
	AccessKey                     *string `json:"accessKey"`
	SourceIP                      string  `json:"sourceIp"`
	CognitoAuthenticationType     *string `json:"cognitoAuthenticationType"`
	CognitoAuthenticationProvider *string `json:"cognitoAuthenticationProvider"`
	UserARN                       *string `json:"userArn"`
	UserAgent                     string  `json:"userAgent"`
	User                          *string `json:"user"`
}

// proxyRequest is version 1.0: each value alone, and in a list. Of several
// values in a query the last one stands alone.
func (o *options) proxyRequest(query url.Values) any {
	headers := o.gatewayHeaders()
	lists := map[string][]string{}
	for name, value := range headers {
		lists[name] = []string{value}
	}
	r := proxyRequest{
		Resource: "/{proxy+}", Path: o.value("path"), HTTPMethod: o.value("method"), Headers: headers, MultiHeaders: lists,
		PathParameters: map[string]string{"proxy": strings.TrimPrefix(o.value("path"), "/")},
		RequestContext: proxyContext{
			AccountID: o.Account, ResourceID: "f6g7h8", Path: "/" + o.value("stage") + o.value("path"), Stage: o.value("stage"),
			DomainName: o.gatewayHost(), DomainPrefix: gatewayAPI, RequestID: o.id, ExtendedRequestID: "JKJaXmPLvHcESHA=", Protocol: "HTTP/1.1",
			Identity:     proxyIdentity{SourceIP: gatewayFrom, UserAgent: gatewayAgent},
			ResourcePath: "/{proxy+}", HTTPMethod: o.value("method"),
			RequestTime: o.Time.UTC().Format(layoutGateway), RequestTimeEpoch: o.Time.UnixMilli(), APIID: gatewayAPI,
		},
	}
	if len(query) > 0 {
		r.MultiQuery, r.Query = query, map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(query)) {
			r.Query[name] = query[name][len(query[name])-1]
		}
	}
	if body := o.value("body"); body != "" {
		r.Body = &body
	}
	return r
}
