package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/semaphore"

	"sluice/config"
	"sluice/dlq"
	"sluice/event"
	"sluice/functions/logs"
	"sluice/router"
	"sluice/router/pattern"
)

// The limits of the listener.
const (
	maxBody        = 1 << 20
	maxHeader      = 32 << 10
	maxConnections = 256
	headerTimeout  = 5 * time.Second
	bodyTimeout    = 30 * time.Second
	answerTimeout  = 10 * time.Minute // an audit reads all that is kept
	idleTimeout    = 2 * time.Minute
	drainTimeout   = 2 * time.Second
	healthTimeout  = 2 * time.Second
)

// A Router is what the API shows and steers. It has as many methods as the API
// has things to ask a router for.
type Router interface {
	Triggers(ctx context.Context) ([]router.Status, error)
	Pause(ctx context.Context, name string) error
	Resume(ctx context.Context, name string) error
	Life(ctx context.Context, sequence uint64) ([]router.Life, error)
	Audit(ctx context.Context) (router.Audit, error)
}

// A Log is where the events are.
type Log interface {
	Bounds(ctx context.Context) (first, last uint64, err error)
	Range(ctx context.Context, from uint64, limit, maxBytes int) (event.Batch, error)
	Tail(ctx context.Context, from uint64, fn func(event.Batch) error) error
	// Body returns the data of an event that is kept apart from it.
	Body(ctx context.Context, large *event.Large) ([]byte, error)
}

// A Subscription is what a configured trigger asks for.
type Subscription struct {
	Trigger string
	Sources []string
	Pattern *pattern.Pattern // nil: everything
	// Publishes is the name under which its sink's answers are published; empty
	// when they are not.
	Publishes string
}

// wants tells whether the trigger is on a source.
func (s *Subscription) wants(source string) bool {
	return slices.Contains(s.Sources, source)
}

// Options are what a Server is made of.
type Options struct {
	// Listen is the address. Port 0 takes a free one.
	Listen string
	// Token, when it is set, must come with every request but those for health.
	Token config.Secret
	// UnsafeNoAuth allows an address that other machines reach without a token.
	UnsafeNoAuth bool
	Logger       *slog.Logger

	Router        Router
	Log           Log
	Letters       *dlq.Store
	Metrics       prometheus.Gatherer
	Checks        func(ctx context.Context) []Check
	Sources       func() []Source
	Subscriptions func() []Subscription
	Functions     Functions
	Logs          *logs.Store // of functions
	// Now is the clock; nil for the system's.
	Now func() time.Time
}

// A Server serves health, metrics and the API.
type Server struct {
	options  Options
	bodies   *semaphore.Weighted // bytes of data that is being sent
	digest   [sha256.Size]byte
	listener net.Listener
}

// New opens the address. It returns an error when other machines reach it and
// there is neither a token nor UnsafeNoAuth. Run serves; without it, nobody
// does, and Close closes the address.
func New(ctx context.Context, options Options) (*Server, error) {
	if options.Token.IsZero() && !options.UnsafeNoAuth && !isLoopback(options.Listen) {
		return nil, fmt.Errorf("the admin listener %s can be reached from other machines: set a token, or listen on 127.0.0.1", options.Listen)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", options.Listen)
	if err != nil {
		return nil, fmt.Errorf("the admin listener: %w", err)
	}
	return &Server{
		options: options, bodies: semaphore.NewWeighted(event.MaxSize), listener: netutil.LimitListener(listener, maxConnections),
		digest: sha256.Sum256([]byte(options.Token.Reveal())),
	}, nil
}

// Addr returns the address that is listened on, such as 127.0.0.1:4801.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close closes the address of a server that has not run.
func (s *Server) Close() error { return s.listener.Close() }

// Run serves until ctx ends; then it takes no more requests, ends the streams,
// and gives the others two seconds.
func (s *Server) Run(ctx context.Context) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: headerTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader - 4<<10, // net/http reads 4 KiB more than it is told
		BaseContext:    func(net.Listener) context.Context { return requests },
		ErrorLog:       slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("the admin listener: %w", err)
	case <-ctx.Done():
	}
	cancel()
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer stop()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-failed
	return err
}

// handler is the table of everything that is served.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, jsonMedia, map[string]bool{"alive": true})
	})
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.options.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	for route, serve := range map[string]func(http.ResponseWriter, *http.Request) (any, error){
		"GET /api/v1/triggers":                 s.triggers,
		"POST /api/v1/triggers/{name}/pause":   s.pause,
		"POST /api/v1/triggers/{name}/resume":  s.resume,
		"GET /api/v1/sources":                  s.sources,
		"GET /api/v1/events":                   s.events,
		"GET /api/v1/events/{ref}":             s.events,
		"GET /api/v1/events/{ref}/data":        s.eventData,
		"GET /api/v1/tail":                     s.tail,
		"GET /api/v1/letters":                  s.letters,
		"GET /api/v1/letters/{id}":             s.letter,
		"GET /api/v1/letters/{id}/data":        s.letterData,
		"POST /api/v1/letters/replay":          s.replay,
		"POST /api/v1/letters/purge":           s.purge,
		"POST /api/v1/history/replay":          s.replayHistory,
		"GET /api/v1/jobs":                     s.jobs,
		"GET /api/v1/jobs/{id}":                s.job,
		"POST /api/v1/jobs/{id}/cancel":        s.cancel,
		"POST /api/v1/jobs/{id}/resume":        s.resumeJob,
		"GET /api/v1/audit":                    s.audit,
		"GET /api/v1/functions":                s.functions,
		"GET /api/v1/functions/{name}/logs":    s.functionLogs,
		"POST /api/v1/functions/{name}/invoke": s.invoke,
		"GET /api/v1/usage":                    s.usage,
	} {
		mux.HandleFunc(route, s.answer(serve))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { writeProblem(w, nothing(w, r, mux)) })
	return s.guard(mux)
}

// nothing says why nothing answers: there is no such path, or it is asked for by
// another method.
func nothing(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) error {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, found := mux.Handler(probe); found != "/" {
			w.Header().Set("Allow", method)
			return refuse(http.StatusMethodNotAllowed, "method %.40q: send %s", r.Method, method)
		}
	}
	return refuse(http.StatusNotFound, "there is nothing at %.200q", r.URL.Path)
}

const jsonMedia = "application/json"

// answer serves what a function returns. A nil answer was written already.
func (s *Server) answer(serve func(http.ResponseWriter, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer s.caught(w)
		body, err := serve(w, r)
		switch {
		case err != nil:
			writeProblem(w, err)
		case body != nil:
			writeJSON(w, http.StatusOK, jsonMedia, body)
		}
	}
}

// caught answers for a panic, and logs it. What was written already stays.
func (s *Server) caught(w http.ResponseWriter) {
	if value := recover(); value != nil {
		s.options.Logger.Error("a request has panicked", slog.Any("panic", value), slog.String("stack", string(debug.Stack())))
		writeProblem(w, refuse(http.StatusInternalServerError, "a defect of sluice: its log says more"))
	}
}

// guard refuses whoever may not ask.
func (s *Server) guard(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	local := isLoopback(s.options.Listen)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case local && !namesLoopback(r.Host):
			writeProblem(w, refuse(http.StatusForbidden, "the host %.100q is not this machine: ask for 127.0.0.1 or localhost", r.Host))
		case crossOrigin.Check(r) != nil:
			writeProblem(w, refuse(http.StatusForbidden, "a browser sends this for another site: that is not allowed"))
		case !s.open(r) && !s.authorized(r.Header):
			w.Header().Set("WWW-Authenticate", `Bearer realm="sluice"`)
			writeProblem(w, refuse(http.StatusUnauthorized, "send the admin token as Authorization: Bearer …"))
		default:
			limitBody(w, r)
			next.ServeHTTP(w, r)
		}
	})
}

// limitBody gives the body its time. The deadline is lifted when the body has
// been read: at a timeout of its own the server would end whoever still works.
func limitBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // a connection has deadlines
	}
}

func liftDeadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

// open tells whether a request needs no token.
func (s *Server) open(r *http.Request) bool {
	return s.options.Token.IsZero() || r.URL.Path == "/livez" || r.URL.Path == "/readyz" && !r.URL.Query().Has("verbose")
}

// authorized compares digests, so that neither the length of the token nor how
// much of it is right shows in the time that it takes.
func (s *Server) authorized(header http.Header) bool {
	values := header["Authorization"]
	if len(values) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	digest := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(digest[:], s.digest[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// isLoopback tells whether only this machine reaches a listening address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopbackHost(host)
}

// namesLoopback tells whether a Host header names this machine.
func namesLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return loopbackHost(host) || strings.HasSuffix(host, ".localhost")
}

func loopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
