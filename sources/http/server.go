package http

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice/sources"
)

// MaxHeaderBytes bounds the headers of a request.
const MaxHeaderBytes = 32 << 10

// Options say how a Server listens. A zero value of a limit means its default.
type Options struct {
	// Listen is the address, such as 127.0.0.1:4800. Port 0 takes a free one.
	Listen string
	Logger *slog.Logger
	// AllowUnauthenticated lets sources without authentication be mounted on an
	// address that is reached from other machines.
	AllowUnauthenticated bool

	HeaderTimeout time.Duration // for the headers of a request; 5 s
	BodyTimeout   time.Duration // for the body of a request; 30 s
	IdleTimeout   time.Duration // between two requests of a connection; 2 min
	DrainTimeout  time.Duration // for requests under way when Run's ctx ends; 10 s

	MaxConnections           int // open at once; 4,096
	MaxConnectionsPerAddress int // of one IPv4 address or IPv6 /64; 1,024
	// MaxBodies bounds the bytes of all request bodies that are being worked
	// on, one address half of them; beyond it requests are answered with 503.
	// 256 MiB.
	MaxBodies int64
}

func (o Options) withDefaults() Options {
	o.HeaderTimeout = orDefault(o.HeaderTimeout, 5*time.Second)
	o.BodyTimeout = orDefault(o.BodyTimeout, 30*time.Second)
	o.IdleTimeout = orDefault(o.IdleTimeout, 2*time.Minute)
	o.DrainTimeout = orDefault(o.DrainTimeout, 10*time.Second)
	o.MaxConnections = orDefault(o.MaxConnections, 4096)
	o.MaxConnectionsPerAddress = orDefault(o.MaxConnectionsPerAddress, 1024)
	o.MaxBodies = orDefault(o.MaxBodies, 256<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// A Server is the ingest server: it serves the paths that HTTP sources mount,
// and nothing else. It implements sources.Mux.
type Server struct {
	options Options
	bodies  atomic.Int64 // the bytes of the bodies under way

	mu       sync.RWMutex
	mounts   map[string]*mount
	deepest  int // the length of the longest path that ended with a star, without it
	listener net.Listener
}

var _ sources.Mux = (*Server)(nil)

type mount struct {
	source  string
	handler http.Handler
}

// NewServer returns a server that does not listen yet.
func NewServer(options Options) *Server {
	return &Server{options: options.withDefaults(), mounts: map[string]*mount{}}
}

// Permit returns an error when a source may not be mounted: it has no
// authentication, and the address is reached from other machines.
func (s *Server) Permit(source string, authenticated bool) error {
	if authenticated || s.options.AllowUnauthenticated || isLoopback(s.options.Listen) {
		return nil
	}
	return fmt.Errorf("source %q has no authentication, and %s is reached from other machines: "+
		"give it a token, or listen on 127.0.0.1", source, s.options.Listen)
}

// isLoopback tells whether only this machine reaches a listening address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return host == "localhost"
}

// Handle serves path, and nothing below it, until remove is called; or, when
// path ends with /*, everything below that no other source has. It returns an
// error when another source has the path, or by the rule of Permit: a handler
// says that it asks for authentication by a method Authenticated() bool.
func (s *Server) Handle(source, path string, handler http.Handler) (remove func(), err error) {
	guarded, ok := handler.(interface{ Authenticated() bool })
	if err := s.Permit(source, ok && guarded.Authenticated()); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if taken := s.mounts[path]; taken != nil {
		return nil, fmt.Errorf("path %q is taken by source %q", path, taken.source)
	}
	m := &mount{source: source, handler: handler}
	s.mounts[path] = m
	if above, star := strings.CutSuffix(path, "*"); star {
		s.deepest = max(s.deepest, len(above))
	}
	return func() { s.remove(path, m) }, nil
}

func (s *Server) remove(path string, m *mount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mounts[path] == m {
		delete(s.mounts, path)
	}
}

// Listen opens the port. Run does it too, when it has not been done.
func (s *Server) Listen(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	var options net.ListenConfig
	inner, err := options.Listen(ctx, "tcp", s.options.Listen)
	if err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	s.listener = limit(inner, s.options)
	return nil
}

// Addr returns the address that the server listens on, or nil before Listen.
func (s *Server) Addr() net.Addr {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run serves until ctx ends; then it takes no new requests, waits for those
// under way, at most the drain timeout, and returns nil. A server runs once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(ctx); err != nil {
		return err
	}
	server := s.httpServer()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(s.listener) }()
	s.options.Logger.Info("ingest listens", slog.String("address", s.Addr().String()))
	select {
	case err := <-failed:
		return fmt.Errorf("ingest: %w", err)
	case <-ctx.Done():
	}
	err := s.drain(ctx, server)
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// drain ends server within the drain timeout.
func (s *Server) drain(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.options.DrainTimeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.options.Logger.Warn("ingest cuts off requests", slog.Duration("after", s.options.DrainTimeout))
		return server.Close()
	}
	return err
}

func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s.guard(http.HandlerFunc(s.route)),
		ReadHeaderTimeout: s.options.HeaderTimeout,
		ConnContext:       withPeer,
		IdleTimeout:       s.options.IdleTimeout,
		WriteTimeout:      s.options.BodyTimeout + publishTimeout + 15*time.Second,
		// net/http reads 4 KiB more than it is told.
		MaxHeaderBytes: MaxHeaderBytes - 4<<10,
		ErrorLog:       slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelDebug),
	}
}

// route serves a request by its path.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	m := s.find(r.URL.Path)
	if m == nil {
		(&refusal{status: http.StatusNotFound, message: fmt.Sprintf("no source takes events at %.200q", r.URL.Path)}).write(w)
		return
	}
	m.handler.ServeHTTP(w, r)
}

// find returns what is mounted at a path, or else next above it with a star. A
// path that another program might read as a different one is below nothing.
func (s *Server) find(at string) *mount {
	s.mu.RLock()
	defer s.mu.RUnlock()
	below := strings.TrimSuffix(at, "/")
	if m := s.mounts[at]; m != nil || s.deepest == 0 || path.Clean(at) != below {
		return m
	}
	for end := min(len(below), s.deepest); ; {
		if end = strings.LastIndexByte(below[:end], '/'); end < 0 {
			return nil
		}
		if m := s.mounts[below[:end]+"/*"]; m != nil {
			return m
		}
	}
}
