package http

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"sluice/config"
	"sluice/event"
	"sluice/sources"
)

// An Inlet is where a source of another kind takes requests of its own form on
// the ingest listener, such as the notifications of a bucket: with the same
// authentication, limits and answers as the http source.
type Inlet struct {
	// Path is where requests come in. It is matched exactly.
	Path string `yaml:"path"`
	// Token must come with every request as a bearer token, when it is set. It is
	// one token, or two while they are changed.
	Token config.Secrets `yaml:"token"`
}

// Validate returns all problems of the section that stands at key, joined.
func (i *Inlet) Validate(key string) error {
	return errors.Join(checkInletPath(key+".path", i.Path), checkTokens(key+".token", i.Token))
}

func checkInletPath(key, path string) error {
	if err := checkPath(key, path); err != nil {
		return err
	}
	if path[len(path)-1] == '*' {
		return config.Invalid(key, "%q: write one path, without a star", path)
	}
	return nil
}

// Unauthenticated tells whether requests are taken from anybody.
func (i *Inlet) Unauthenticated() bool { return len(i.Token) == 0 }

// Permit returns an error when the ingest server would not have the inlet, for
// want of authentication. It is to be called before Serve, so that the server
// knows that the source takes requests.
func (i *Inlet) Permit(env sources.Env) error { return permit(env, !i.Unauthenticated()) }

// A MalformedError is what take returns for a body that is not what it should
// be: it is answered with 400 and Message.
type MalformedError struct{ Message string }

// Error returns the message.
func (e *MalformedError) Error() string { return e.Message }

// Serve takes requests until ctx ends, and then waits for those under way. take
// gets the body of each POST, and returns nil when what it says is durable: then
// the answer is 200. A MalformedError is answered with 400, an error of publishing
// as the http source does it, and any other with 503: the sender is asked to come
// again. GET and HEAD, by which senders look whether somebody is there, are
// answered with 200.
func (i *Inlet) Serve(ctx context.Context, env sources.Env, take func(ctx context.Context, body []byte) error) error {
	c := Config{
		Path: i.Path, Methods: []string{http.MethodPost, http.MethodGet, http.MethodHead},
		Token: i.Token, MaxBody: event.DefaultMaxSize,
	}
	return serve(ctx, env, i.Path, func(l life) http.Handler {
		return &inlet{
			handler: &handler{config: c, env: env, life: l, protected: !i.Unauthenticated(), auth: c.auth()},
			pass:    take,
		}
	})
}

// An inlet is the handler of an Inlet.
type inlet struct {
	*handler
	pass func(ctx context.Context, body []byte) error
}

func (i *inlet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !i.gate.enter() {
		stopping().write(w)
		return
	}
	defer i.gate.leave()
	body, refused := i.body(w, r)
	if refused == nil && r.Method == http.MethodPost {
		refused = i.hand(r, body)
	}
	if refused == nil {
		writeJSON(w, http.StatusOK, struct{}{})
		return
	}
	id := refused.write(w)
	if refused.cause != nil {
		i.env.Logger.Debug("a request could not be served", slog.String("source", i.env.Name),
			slog.String("request_id", id), slog.Any("error", refused.cause))
	}
}

// hand passes the body on, and turns the error into an answer.
func (i *inlet) hand(r *http.Request, body []byte) *refusal {
	ctx, cancel := context.WithTimeout(r.Context(), publishTimeout)
	defer cancel()
	defer i.onStop(cancel)()
	err := i.pass(ctx, body)
	var malformed *MalformedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &malformed):
		return badRequest("%s", malformed.Message)
	case errors.Is(err, event.ErrUnavailable), errors.Is(err, event.ErrFull), errors.Is(err, event.ErrTooLarge), ctx.Err() != nil:
		return refusePublish(r, err)
	}
	return &refusal{
		status: http.StatusServiceUnavailable, message: "the source cannot take this now",
		retryAfter: retryUnavailable, cause: err,
	}
}
