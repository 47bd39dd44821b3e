package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"sluice/dlq"
	"sluice/event"
	"sluice/router/core"
)

// A Problem is an answer that says what went wrong, RFC 9457. It is the error
// of the client's methods.
type Problem struct { //nolint:errname // its name is that of the specification
	Type   string `json:"type,omitempty"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Detail
}

const problemMedia = "application/problem+json"

// refuse makes a problem for the given status.
func refuse(status int, format string, args ...any) error {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// problemOf turns an error of a part into the problem that is answered.
func problemOf(err error) *Problem {
	if problem, ok := errors.AsType[*Problem](err); ok {
		return problem
	}
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, core.ErrUnknownTrigger), errors.Is(err, dlq.ErrNotFound):
		status = http.StatusNotFound
	case isInvalid(err):
		status = http.StatusBadRequest
	case errors.Is(err, dlq.ErrEnded):
		status = http.StatusConflict
	case errors.Is(err, event.ErrUnavailable), errors.Is(err, event.ErrFull), errors.Is(err, event.ErrFenced),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		status = http.StatusServiceUnavailable
	}
	return &Problem{Title: http.StatusText(status), Status: status, Detail: err.Error()}
}

func isInvalid(err error) bool {
	_, invalid := errors.AsType[*dlq.InvalidFilterError](err)
	return invalid
}

func writeProblem(w http.ResponseWriter, err error) {
	problem := problemOf(err)
	if problem.Status == http.StatusServiceUnavailable || problem.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, problem.Status, problemMedia, problem)
}

// writeJSON answers with JSON. That the caller has gone away is nothing that
// could be mended, so errors of the connection are left.
func writeJSON(w http.ResponseWriter, status int, media string, body any) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // it is JSON, and is never taken for anything else
	if err := encoder.Encode(body); err != nil {
		status, media = http.StatusInternalServerError, problemMedia
		text.Reset()
		text.WriteString(`{"title":"Internal Server Error","status":500,"detail":"the answer could not be written as JSON"}` + "\n")
	}
	header := w.Header()
	header.Set("Content-Type", media)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes())
}

// readJSON decodes the body of a request, strictly.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	defer liftDeadline(w)
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		_, err = decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("something follows the JSON object")
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(http.StatusRequestEntityTooLarge, "the body is too large: at most %d bytes", maxBody)
	}
	return refuse(http.StatusBadRequest, "the body is not what is expected here: %s", JSONText(err))
}

// JSONText says what is wrong with JSON, without the names of Go's types.
func JSONText(err error) string {
	wrong, isType := errors.AsType[*json.UnmarshalTypeError](err)
	_, isTime := errors.AsType[*time.ParseError](err)
	switch {
	case isType && wrong.Field == "":
		return fmt.Sprintf("found %s, want an object", withArticle(wrong.Value))
	case isType:
		return fmt.Sprintf("%s: found %s, want %s", wrong.Field, withArticle(wrong.Value), kindName(wrong.Type))
	case isTime:
		return "a time is written as 2026-03-29T02:30:00Z"
	case errors.Is(err, io.EOF):
		return "it is empty: want an object"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the object is cut off"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

func withArticle(value string) string {
	value, _, _ = strings.Cut(value, " ") // "number 1.5"
	switch value {
	case "bool":
		return "true or false"
	case "array", "object":
		return "an " + value
	}
	return "a " + value
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "an array"
	case reflect.Struct:
		return "an object"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	default:
		return "a number"
	}
}
