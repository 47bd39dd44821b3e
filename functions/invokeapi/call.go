package invokeapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"sluice/functions"
)

// The kinds of invocations, as X-Amz-Invocation-Type names them.
const (
	direct = "RequestResponse"
	async  = "Event"
	dryRun = "DryRun"
)

// A call is what a request asks for, by one who may.
type call struct {
	target target
	kind   string
	tail   bool
	in     functions.Invocation
}

// read reads a request. What it returns no failure for is authorized.
func (a *API) read(r *http.Request) (*call, *failure) {
	target, failed := parseTarget(r.URL.EscapedPath(), r.URL.Query().Get("Qualifier"))
	if failed == nil && r.Method != http.MethodPost {
		failed = unknownOperation(r.URL.Path)
	}
	if failed != nil {
		return nil, failed
	}
	call := &call{target: target, kind: r.Header.Get("X-Amz-Invocation-Type")}
	if call.kind == "" {
		call.kind = direct
	}
	limit := maxSync
	if call.kind == async {
		limit = maxAsync
	}
	var who *claim
	if !a.options.Open {
		if who, failed = a.claimed(r); failed != nil {
			return nil, failed
		}
	}
	body, failed := readBody(r, limit)
	if failed != nil {
		return nil, failed
	}
	if failed := a.authorize(r, who, body, target.name); failed != nil {
		return nil, failed
	}
	return call, a.check(call, r.Header, body)
}

// authorize returns a failure unless the request comes from one who may invoke
// the function.
func (a *API) authorize(r *http.Request, who *claim, body []byte, name string) *failure {
	if a.options.Open {
		return nil
	}
	if failed := who.holds(r.Context(), r, body); failed != nil {
		return failed
	}
	return who.may(name, a.arn(name))
}

// check reads the rest of an authorized request.
func (a *API) check(call *call, header http.Header, body []byte) *failure {
	name := call.target.name
	switch q := call.target.qualifier; {
	case !a.options.Functions.Has(name):
		return notFound(a.arn(name))
	case q != "" && q != latest:
		return notFound(a.arn(name) + ":" + q)
	}
	switch call.kind {
	case direct, async, dryRun:
	default:
		return invalidParameter("X-Amz-Invocation-Type %.100q: it is RequestResponse, Event or DryRun", call.kind)
	}
	switch log := header.Get("X-Amz-Log-Type"); log {
	case "", "None":
	case "Tail":
		call.tail = true
	default:
		return invalidParameter("X-Amz-Log-Type %.100q: it is None or Tail", log)
	}
	if trace := header.Get("X-Amzn-Trace-Id"); len(trace) <= maxTrace {
		call.in.TraceID = trace
	}
	if failed := clientContext(call, header.Get("X-Amz-Client-Context")); failed != nil {
		return failed
	}
	return payload(call, header.Get("Content-Encoding"), body)
}

// clientContext reads what the function finds in its context.
func clientContext(call *call, encoded string) *failure {
	if encoded == "" {
		return nil
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if len(encoded) > maxClientContext || err != nil || !json.Valid(text) {
		return invalidContent("X-Amz-Client-Context: it is JSON in base64, of at most %d bytes", maxClientContext)
	}
	call.in.ClientContext = string(text)
	return nil
}

// payload reads what the function is given. Nothing is an empty object.
func payload(call *call, encoding string, body []byte) *failure {
	if encoding != "" && !strings.EqualFold(encoding, "identity") {
		return &failure{
			status: http.StatusUnsupportedMediaType, kind: "UnsupportedMediaTypeException",
			message: "The body must be JSON, without a Content-Encoding",
		}
	}
	call.in.Payload = body
	if len(body) == 0 {
		call.in.Payload = []byte("{}")
	}
	if !json.Valid(call.in.Payload) {
		var value json.RawMessage
		return invalidContent("Could not parse request body into json: %s", json.Unmarshal(body, &value))
	}
	return nil
}
