// Package runtimeapi serves the Lambda Runtime API to one worker process: it hands out invocations and takes what the
// function answers, in the paths, headers, codes and words of the service, so that unmodified clients run.
//
// A client finds its server by the host and port in AWS_LAMBDA_RUNTIME_API, which can hold no path and no secret.
// So each worker has a listener of its own, and what comes in there is that worker's.
package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultMaxResponse is the most bytes of a response by default: 6 MiB and 100 bytes, as in the service.
const DefaultMaxResponse = 6<<20 + 100

const (
	// The Go client sends the cause of an error for X-Ray as a header of up to 1 MiB.
	maxHeaderBytes = 1 << 20
	// A worker may be stopped for a while between its connection and its request.
	readHeaderTimeout = time.Minute
	// Connections of one worker, besides those of its loops.
	spareConnections = 64
)

// Options are what a Server is made of.
type Options struct {
	ARN            string       // of the function; its account and name are told to extensions
	Handler        string       // as in _HANDLER, told to extensions
	Host           string       // where to listen; 127.0.0.1 by default
	MaxResponse    int64        // bytes of a response or an error; DefaultMaxResponse by default
	MaxConcurrency int          // the most invocations at once, as in AWS_LAMBDA_MAX_CONCURRENCY; 1 by default
	Logger         *slog.Logger // nothing is logged by default
}

func (o Options) withDefaults() Options {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.MaxResponse <= 0 {
		o.MaxResponse = DefaultMaxResponse
	}
	if o.MaxConcurrency <= 0 {
		o.MaxConcurrency = 1
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Server is the Runtime API of one worker process.
type Server struct {
	options     Options
	http        *http.Server
	listener    net.Listener
	work        chan *call // from Invoke to a waiting next
	initialized chan struct{}
	initError   chan *Error
	closed      chan struct{}
	close       sync.Once
	running     sync.WaitGroup // the serving and every request
	connections atomic.Int64
	blocks      sync.Pool // of *[blockSize]byte

	mu         sync.Mutex
	state      state
	calls      map[string]*call // by request id, from Invoke to its end
	extensions []*extension
}

// A state is that of the runtime, up to its first next.
type state int

const (
	started state = iota
	ready
	initFailed
)

// New returns a server that does not listen yet.
func New(o Options) *Server {
	o = o.withDefaults()
	s := &Server{
		options:     o,
		work:        make(chan *call),
		initialized: make(chan struct{}),
		initError:   make(chan *Error, 1),
		closed:      make(chan struct{}),
		calls:       make(map[string]*call),
	}
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		ConnState:         s.count,
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, peer{}, c) },

		DisableGeneralOptionsHandler: true,
	}
	return s
}

// peer is the key of a request's connection in its context.
type peer struct{}

// count bounds the connections, and with them what their requests can hold.
func (s *Server) count(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if s.connections.Add(1) > int64(spareConnections+2*s.options.MaxConcurrency) {
			_ = c.Close() // there is nobody to tell
		}
	case http.StateClosed:
		s.connections.Add(-1)
	case http.StateActive, http.StateIdle, http.StateHijacked:
	}
}

// Listen opens a free port and serves it until Close. It is called once.
func (s *Server) Listen(ctx context.Context) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(s.options.Host, "0"))
	if err != nil {
		return fmt.Errorf("runtimeapi: listening for a worker: %w", err)
	}
	s.listener = listener
	s.running.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.options.Logger.Error("the Runtime API of a worker has ended", slog.Any("error", err))
		}
	})
	return nil
}

// Addr is the host and port for AWS_LAMBDA_RUNTIME_API, once Listen has returned.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Initialized is closed when the worker asks for its first invocation.
func (s *Server) Initialized() <-chan struct{} { return s.initialized }

// InitError yields what the worker, or an extension in it, has reported of a failed initialization; at most once.
func (s *Server) InitError() <-chan *Error { return s.initError }

// Close ends the connections and what is under way; Invoke returns ErrClosed. It waits for all requests.
func (s *Server) Close() error {
	var err error
	s.close.Do(func() {
		err = s.http.Close()
		close(s.closed)
		s.running.Wait()
	})
	return err
}
