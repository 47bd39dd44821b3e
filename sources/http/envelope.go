package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"sluice/config"
	"sluice/event"
)

// The shapes of the data of events that are made of plain requests.
const (
	shapeBody    = "body"    // the body as it is
	shapeRequest = "request" // an envelope
)

// methods are those that may be configured, in the order of error messages.
func methods() []string {
	return []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodGet}
}

// validateRequest checks which requests are taken, and what of them is in the
// event.
func (c *Config) validateRequest() error {
	problems := []error{c.validateMethods()}
	if c.Shape != shapeBody && c.Shape != shapeRequest {
		problems = append(problems, config.Invalid("shape", "found %q: write body or request", c.Shape))
	}
	if len(c.Headers) > 0 && c.Shape == shapeBody {
		problems = append(problems, config.Invalid("headers", "headers are in the event with shape: request only: write that, or remove this"))
	}
	for i, name := range c.Headers {
		if message := unfit(name); message != "" {
			problems = append(problems, config.Invalid(fmt.Sprintf("headers[%d]", i), "%q %s", name, message))
		}
	}
	return errors.Join(problems...)
}

func (c *Config) validateMethods() error {
	if len(c.Methods) == 0 {
		return config.Invalid("methods", "the list is empty: write [POST]")
	}
	var problems []error
	for i, method := range c.Methods {
		at := fmt.Sprintf("methods[%d]", i)
		switch {
		case !slices.Contains(methods(), method):
			problems = append(problems, config.Invalid(at, "found %q: write %s", method, strings.Join(methods(), ", ")))
		case slices.Contains(c.Methods[:i], method):
			problems = append(problems, config.Invalid(at, "%s stands twice: remove one", method))
		case method == http.MethodGet && c.Shape == shapeBody:
			problems = append(problems, config.Invalid(at, "a GET request has no body to make an event of: write shape: request"))
		}
	}
	return errors.Join(problems...)
}

// unfit says why a header may not be in events; empty: it may.
func unfit(name string) string {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return "is not the name of a header: write one such as X-Event-Type"
	case isStripped(canonical):
		return "is taken away from every request before anything is read: remove it"
	case canonical == "Authorization", canonical == "Cookie":
		return "is a secret of the sender, which does not belong into events: remove it"
	}
	return ""
}

// An envelope is the data of an event in the shape "request". Patterns see the
// values of a query or a form as lists.
type envelope struct {
	Method  string              `json:"method"`
	Path    string              `json:"path"`
	Query   map[string][]string `json:"query"`
	Headers map[string]string   `json:"headers"` // names in small letters
	// Body is the JSON value, the form or the text; nil when there is none.
	Body any `json:"body,omitempty"`
	// Base64 is a body that is none of them.
	Base64 []byte `json:"body_base64,omitempty"`
}

// envelop returns the data of the event that a request becomes.
func (h *handler) envelop(r *http.Request, body []byte) ([]byte, *refusal) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query cannot be read: %v", err)
	}
	e := envelope{Method: r.Method, Path: r.URL.Path, Query: query, Headers: h.chosen(r.Header)}
	if what := e.notText(); what != "" {
		return nil, badRequest("%s is not UTF-8: events are", what)
	}
	if refusal := e.setBody(r.Header.Get("Content-Type"), body); refusal != nil {
		return nil, refusal
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(&e); err != nil {
		return nil, badRequest("the request cannot be an event: %v", err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// chosen returns the headers that the file asks for, and the content type.
// Several of one name are one list (RFC 9110, section 5.3).
func (h *handler) chosen(header http.Header) map[string]string {
	chosen := make(map[string]string, len(h.config.Headers)+1)
	for _, name := range append([]string{"Content-Type"}, h.config.Headers...) {
		if values := header[textproto.CanonicalMIMEHeaderKey(name)]; len(values) > 0 {
			chosen[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	return chosen
}

// notText names what is not UTF-8, which encoding would silently change.
func (e *envelope) notText() string {
	if !utf8.ValidString(e.Path) {
		return "the path"
	}
	for name, value := range e.Headers {
		if !utf8.ValidString(value) {
			return "the header " + name
		}
	}
	if !validForm(e.Query) {
		return "the query"
	}
	return ""
}

func validForm(form map[string][]string) bool {
	for name, values := range form {
		if !utf8.ValidString(name) || slices.ContainsFunc(values, func(s string) bool { return !utf8.ValidString(s) }) {
			return false
		}
	}
	return true
}

func (e *envelope) setBody(contentType string, body []byte) *refusal {
	switch {
	case len(body) == 0:
	case event.IsJSON(contentType):
		e.Body = json.RawMessage(body)
	case isForm(contentType):
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return badRequest("the form cannot be read: %v", err)
		}
		if !validForm(form) {
			return badRequest("the form is not UTF-8: events are")
		}
		e.Body = form
	case utf8.Valid(body):
		e.Body = string(body)
	default:
		e.Base64 = body
	}
	return nil
}
