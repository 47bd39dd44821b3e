// Package devs3 is the bucket endpoint of `sluice dev`: a folder on disk that
// speaks S3 and MinIO's listen API, so that an upload by curl -T or by any S3
// tool, or a file copied into the folder, becomes an event at once.
//
// It is for development on one machine: it listens on loopback only and checks
// no signatures. Buckets are folders, objects are files. Parts of an upload in
// parts are kept in memory until it is complete, and its etag is the MD5 sum
// of the whole. There are no versions.
package devs3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
)

const (
	headerTimeout = 10 * time.Second
	closeTimeout  = 2 * time.Second
)

// Options say where the endpoint is and what it serves.
type Options struct {
	// Dir is the folder; it is created when it is not there.
	Dir string
	// Listen is a loopback address with a port, such as 127.0.0.1:9000.
	Listen string
	// Buckets are created when they are not there.
	Buckets []string
	Logger  *slog.Logger
}

// A Server is the endpoint.
type Server struct {
	logger   *slog.Logger
	folder   *folder
	hub      *hub
	listener net.Listener
	server   *http.Server
}

// New opens the folder and the address. Run serves; without it, nobody does.
func New(ctx context.Context, o Options) (*Server, error) {
	if err := checkLoopback(o.Listen); err != nil {
		return nil, err
	}
	s := &Server{logger: o.Logger, hub: newHub()}
	var err error
	if s.folder, err = openFolder(o.Dir, s.hub.publish); err != nil {
		return nil, fmt.Errorf("the folder of the development endpoint: %w", err)
	}
	if err := s.open(ctx, o); err != nil {
		return nil, errors.Join(err, s.folder.close())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context, o Options) error {
	for _, bucket := range o.Buckets {
		if err := s.folder.makeBucket(bucket); err != nil {
			return err
		}
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("the development endpoint cannot listen on %s: %w", o.Listen, err)
	}
	s.listener = listener
	s.server = &http.Server{Handler: s.handler(), ReadHeaderTimeout: headerTimeout, ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug)}
	return nil
}

func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address: write a host and a port, such as 127.0.0.1:9000", address)
	}
	if !loopback(host) {
		return fmt.Errorf("%q is not on this machine: the development endpoint checks no signatures and listens on loopback only, such as 127.0.0.1:9000", address)
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// Addr returns the address that is listened on, such as 127.0.0.1:9000.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves until ctx ends, and then closes everything.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	s.server.BaseContext = func(net.Listener) context.Context { return ctx }
	served := make(chan error, 1)
	watched := make(chan struct{})
	go func() { served <- s.server.Serve(s.listener) }()
	go func() { defer close(watched); s.watch(ctx) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	cancel()
	<-watched
	if err == nil {
		err = s.stop(context.WithoutCancel(ctx))
		<-served
	}
	return errors.Join(err, s.folder.close())
}

// stop ends the server: requests under way get a moment, then they are cut off.
func (s *Server) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	if s.server.Shutdown(ctx) == nil {
		return nil
	}
	return s.server.Close()
}

func (s *Server) handler() http.Handler {
	objects := gofakes3.New(backend{s.folder}, gofakes3.WithLogger(problems{s.logger})).Server()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.catch(w, r)
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		switch {
		case !loopback(host):
			// A page in a browser could otherwise reach in under a name of its own.
			http.Error(w, "the development endpoint is for this machine only", http.StatusForbidden)
		case isListen(r):
			s.listen(w, r)
		case decodeChunks(r) != nil:
			http.Error(w, "X-Amz-Decoded-Content-Length must be the number of bytes of the content", http.StatusBadRequest)
		default:
			objects.ServeHTTP(w, r)
		}
	})
}

// catch answers a request whose handler has panicked.
func (s *Server) catch(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	s.logger.Error("the development endpoint has failed at a request",
		slog.String("method", r.Method), slog.String("path", fmt.Sprintf("%q", r.URL.Path)),
		slog.Any("cause", cause), slog.String("stack", string(debug.Stack())))
	http.Error(w, "internal error", http.StatusInternalServerError)
}

// problems is gofakes3's logger: it says little that helps but errors.
type problems struct{ logger *slog.Logger }

func (p problems) Print(level gofakes3.LogLevel, v ...any) {
	if level == gofakes3.LogErr {
		p.logger.Warn("the development endpoint reports an error", slog.String("error", fmt.Sprintf("%q", fmt.Sprint(v...))))
	}
}
