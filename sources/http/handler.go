package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"sluice/event"
	"sluice/sources"
	"sluice/sources/http/signature"
)

// A handler takes the requests of one source. It answers 202 only when every
// event of the request is durable.
type handler struct {
	config Config
	env    sources.Env
	out    sources.Out
	life
	protected bool
	auth      auth
	granted   *rate.Limiter // nil: no rate has been agreed on
	readers   sync.Pool     // of *gzip.Reader
	failing   atomic.Bool   // the last publish has failed
}

// Authenticated tells whether the source knows its senders.
func (h *handler) Authenticated() bool { return h.protected }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.gate.enter() {
		stopping().write(w)
		return
	}
	defer h.gate.leave()
	if r.Method == http.MethodOptions && h.config.Handshake != nil {
		h.config.Handshake.answer(w, r)
		return
	}
	if h.config.Challenge.answer(w, r) {
		return
	}
	taken, refusal := h.take(w, r)
	if refusal == nil {
		h.accept(w, taken)
		return
	}
	id := refusal.write(w)
	if refusal.cause != nil && !h.failing.Swap(true) {
		h.env.Logger.Warn("events could not be stored", slog.String("source", h.env.Name),
			slog.String("request_id", id), slog.Any("error", refusal.cause))
		h.env.Report(refusal.cause)
	}
}

// stopping is the refusal of a request that comes too late.
func stopping() *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, message: "the source is stopping",
		retryAfter: retryUnavailable,
	}
}

// taken is what became of a request that is not refused.
type taken struct {
	ids       []string // of its events
	challenge string   // what a sender wants to hear that asks whether the source is there
}

// accept answers a request that is not refused.
func (h *handler) accept(w http.ResponseWriter, t taken) {
	if h.auth.verifier == nil || !h.auth.verifier.Challenges() {
		writeJSON(w, http.StatusAccepted, accepted{Accepted: len(t.ids), IDs: t.ids})
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(w, t.challenge) // with 200; see writeJSON
}

// take stores the events of a request.
func (h *handler) take(w http.ResponseWriter, r *http.Request) (t taken, _ *refusal) {
	body, refusal := h.body(w, r)
	if refusal != nil {
		return t, refusal
	}
	if answer, asked := h.auth.challenge(body); asked {
		return taken{challenge: answer}, nil
	}
	events, refusal := h.events(r, body)
	if refusal != nil {
		return t, refusal
	}
	if refusal := h.allow(); refusal != nil {
		return t, refusal
	}
	if refusal := h.publish(r, events); refusal != nil {
		return t, refusal
	}
	t.ids = make([]string, len(events))
	for i := range events {
		t.ids[i] = events[i].ID
	}
	return t, nil
}

// body returns the body of a request from a sender that may send it.
func (h *handler) body(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	claim, refusal := h.admit(r)
	if refusal != nil {
		return nil, refusal
	}
	body, refusal := h.read(w, r)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := h.auth.check(claim, body); refusal != nil {
		return nil, refusal
	}
	if isGzip(r.Header) {
		return h.inflate(r, body)
	}
	return body, nil
}

// admit looks at what can be judged without the body.
func (h *handler) admit(r *http.Request) (*signature.Claim, *refusal) {
	if !slices.Contains(h.config.Methods, r.Method) {
		allowed := strings.Join(h.config.Methods, ", ")
		return nil, &refusal{
			status: http.StatusMethodNotAllowed, message: fmt.Sprintf("method %.20q: send %s", r.Method, allowed),
			header: [2]string{"Allow", allowed},
		}
	}
	claim, refused := h.auth.admit(r.Header, h.env.Now)
	if refused != nil {
		return nil, refused
	}
	if refusal := checkEncoding(r.Header); refusal != nil {
		return nil, refusal
	}
	if r.ContentLength > int64(h.config.MaxBody) {
		return nil, h.tooLarge()
	}
	return claim, nil
}

func (h *handler) tooLarge() *refusal {
	return &refusal{
		status:  http.StatusRequestEntityTooLarge,
		message: fmt.Sprintf("the body is too large: at most %v", h.config.MaxBody),
	}
}

// read reads the body.
func (h *handler) read(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	body, err := readAll(http.MaxBytesReader(w, r.Body, int64(h.config.MaxBody)), r.ContentLength)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &tooLarge):
		return nil, h.tooLarge()
	case errors.Is(err, errOverloaded):
		return nil, overloaded()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &refusal{status: http.StatusRequestTimeout, message: "the body took too long", header: [2]string{"Connection", "close"}}
	default:
		return nil, badRequest("the body could not be read: %v", err)
	}
}

// readAll is io.ReadAll with an announced length, or -1. It never sets aside more
// than what has come yet and as much again, whatever is announced, and nothing
// beyond a length that is kept to: a large body is held once.
func readAll(from io.Reader, announced int64) ([]byte, error) {
	const least = 64 << 10
	room := func(have int) int { // one more byte, to meet the end
		if more := max(have, least); announced < int64(have) || announced > int64(have+more) {
			return more
		}
		return int(announced) - have + 1
	}
	body := make([]byte, 0, room(0))
	for {
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return body, err
		case len(body) == cap(body):
			body = append(make([]byte, 0, len(body)+room(len(body))), body...)
		}
	}
}

// overloaded is the refusal of a body for which there is no memory.
func overloaded() *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, message: errOverloaded.Error(),
		retryAfter: retryOverloaded, header: [2]string{"Connection", "close"},
	}
}

// events makes the events of a request.
func (h *handler) events(r *http.Request, body []byte) ([]event.Event, *refusal) {
	events, mode, err := event.DecodeHTTP(r.Header, body)
	if err == nil && mode == event.ModeNone {
		return h.plain(r, body)
	}
	if err == nil && mode == event.ModeBinary && h.auth.verifier != nil {
		return nil, badRequest("a CloudEvent in binary mode has its attributes in headers, which the signature does not cover: send it in structured mode")
	}
	if err == nil && len(events) > h.config.MaxBatch {
		return nil, &refusal{
			status:  http.StatusRequestEntityTooLarge,
			message: fmt.Sprintf("%d events in one batch: at most %d", len(events), h.config.MaxBatch),
		}
	}
	var mediaType *event.MediaTypeError
	switch {
	case errors.As(err, &mediaType):
		return nil, &refusal{status: http.StatusUnsupportedMediaType, message: err.Error()}
	case err != nil:
		return nil, badRequest("%v", err)
	}
	return events, h.validate(events, mode)
}

// validate refuses events that break the specification or are too large, with
// every problem of the first event that does.
func (h *handler) validate(events []event.Event, mode event.Mode) *refusal {
	for i := range events {
		status, err := http.StatusBadRequest, events[i].Validate()
		if err == nil {
			status, err = http.StatusRequestEntityTooLarge, event.CheckSize(&events[i], int(h.config.MaxBody))
		}
		if err == nil {
			continue
		}
		message := strings.ReplaceAll(err.Error(), "\n", "; ")
		if mode == event.ModeBatch {
			message = fmt.Sprintf("event %d: %s", i, message)
		}
		return &refusal{status: status, message: message}
	}
	return nil
}

// plain makes an event of a request that carries none.
func (h *handler) plain(r *http.Request, body []byte) ([]event.Event, *refusal) {
	contentType := r.Header.Get("Content-Type")
	if refusal := h.checkPlain(contentType, body); refusal != nil {
		return nil, refusal
	}
	id, refusal := h.eventID(r.Header, body)
	if refusal != nil {
		return nil, refusal
	}
	if h.config.Shape == shapeRequest {
		if body, refusal = h.envelop(r, body); refusal != nil {
			return nil, refusal
		}
		contentType = "application/json"
	}
	events := []event.Event{{
		ID:              id,
		Source:          "/" + h.env.Name,
		Type:            h.config.Type,
		Subject:         r.URL.Path,
		Time:            h.env.Now(),
		DataContentType: contentType,
		Data:            body,
	}}
	return events, h.validate(events, event.ModeNone)
}

// eventID returns the id of the event that a body becomes: the sender's, where
// it gives one, so that what is sent again is the same event (invariant I5).
func (h *handler) eventID(header http.Header, body []byte) (string, *refusal) {
	name, must := h.config.IDHeader, true
	if name == "" && h.auth.verifier != nil {
		name, must = h.auth.verifier.IDHeader(), false
	}
	values := header[http.CanonicalHeaderKey(name)]
	switch {
	case len(values) > 1:
		return "", badRequest("the header %s is there %d times: send it once", name, len(values))
	case len(values) == 1 && values[0] != "":
		return values[0], nil
	case name != "" && must:
		return "", badRequest("the header %s is missing: it has the id of the event", name)
	}
	if h.auth.verifier != nil {
		if id := h.auth.verifier.EventID(body); id != "" {
			return id, nil
		}
	}
	return uuid.NewString(), nil
}

// checkPlain wants a body with a content type, and JSON where it says so. An
// envelope makes an event of a request without a body too.
func (h *handler) checkPlain(contentType string, body []byte) *refusal {
	switch {
	case len(body) == 0 && h.config.Shape == shapeRequest:
		return nil
	case len(body) == 0:
		return badRequest("the body is empty: send a CloudEvent or some data")
	case contentType == "":
		return &refusal{
			status:  http.StatusUnsupportedMediaType,
			message: "no Content-Type: say what the body is, such as application/json",
		}
	case event.IsJSON(contentType):
		return checkJSON(body)
	case isForm(contentType) && (body[0] == '{' || body[0] == '[') && json.Valid(body):
		return &refusal{
			status:  http.StatusUnsupportedMediaType,
			message: "Content-Type says that the body is a form, but it is JSON: send Content-Type: application/json",
		}
	}
	return nil
}

func checkJSON(body []byte) *refusal {
	var raw json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return badRequest("Content-Type says JSON, but the body is not: %v", err)
	}
	if !utf8.Valid(body) {
		return badRequest("Content-Type says JSON, but the body is not UTF-8")
	}
	return nil
}

func isForm(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "application/x-www-form-urlencoded")
}

// How long a sender is asked to wait.
const (
	retryOverloaded  = time.Second
	retryUnavailable = 5 * time.Second
	retryFull        = 30 * time.Second
)

// publish stores the events. The request's own context ends it too: nobody
// waits for the answer any more.
func (h *handler) publish(r *http.Request, events []event.Event) *refusal {
	if len(events) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), publishTimeout)
	defer cancel()
	defer h.onStop(cancel)()
	err := h.out.Publish(ctx, events...)
	if err == nil {
		if h.failing.Load() && h.failing.Swap(false) {
			h.env.Logger.Info("events are stored again", slog.String("source", h.env.Name))
			h.env.Report(nil)
		}
		return nil
	}
	return refusePublish(r, err)
}

// refusePublish turns an error of the bus into an answer. Whatever else it may
// be, the sender is asked to come again: nothing that is answered with 202 is
// lost, and what is sent again under the same id is one event.
func refusePublish(r *http.Request, err error) *refusal {
	switch {
	case errors.Is(err, event.ErrTooLarge):
		return &refusal{status: http.StatusRequestEntityTooLarge, message: err.Error()}
	case errors.Is(err, event.ErrFull):
		return &refusal{
			status: http.StatusServiceUnavailable, message: event.ErrFull.Error(),
			retryAfter: retryFull, cause: err,
		}
	case r.Context().Err() != nil: // the sender has gone; no fault of the bus
		return &refusal{status: http.StatusServiceUnavailable, message: "the request was given up", retryAfter: retryUnavailable}
	default:
		return &refusal{
			status: http.StatusServiceUnavailable, message: event.ErrUnavailable.Error(),
			retryAfter: retryUnavailable, cause: err,
		}
	}
}
