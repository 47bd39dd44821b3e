package runtimeapi

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

const (
	runtimePrefix    = "/2018-06-01/runtime/"
	invocationPrefix = runtimePrefix + "invocation/"
	extensionPrefix  = "/2020-01-01/extension/"
)

type handler func(w http.ResponseWriter, r *http.Request)

// ServeHTTP answers one request of the worker.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		gone(w)
		return
	}
	defer s.running.Done()
	if foreign(r) {
		s.refuse(w, r, refusal(http.StatusForbidden, "Forbidden", "The Runtime API is for the worker of this listener only"))
		return
	}
	method, handle := s.route(r.URL.Path)
	switch {
	case handle == nil:
		http.NotFound(w, r)
	case method != r.Method:
		w.Header().Set("Allow", method)
		w.WriteHeader(http.StatusMethodNotAllowed)
	default:
		handle(w, r)
	}
}

// begin counts a request, which Close waits for.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return false
	default:
		s.running.Add(1)
		return true
	}
}

// foreign reports whether a browser has sent it, which a page of any site can make it do, perhaps under a name of its own for
// this address.
func foreign(r *http.Request) bool {
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		return true
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if host == "" || host == "localhost" || host == "host.docker.internal" {
		return false
	}
	_, err = netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil
}

// route returns the method and the handler of a path; no handler when there is no such path.
func (s *Server) route(path string) (string, handler) {
	if rest, ok := strings.CutPrefix(path, invocationPrefix); ok {
		return s.routeInvocation(rest)
	}
	switch path {
	case runtimePrefix + "init/error":
		return http.MethodPost, s.serveInitError
	case extensionPrefix + "register":
		return http.MethodPost, s.serveRegister
	case extensionPrefix + "event/next":
		return http.MethodGet, s.serveEvent
	case extensionPrefix + "init/error":
		return http.MethodPost, s.serveExtensionInitError
	case extensionPrefix + "exit/error":
		return http.MethodPost, s.serveExtensionExitError
	case "/2018-06-01/ping":
		return http.MethodGet, servePing
	case "/2020-08-15/logs":
		return http.MethodPut, s.unsupported("Logs")
	case "/2022-07-01/telemetry":
		return http.MethodPut, s.unsupported("Telemetry")
	}
	return "", nil
}

func (s *Server) routeInvocation(rest string) (string, handler) {
	if rest == "next" {
		return http.MethodGet, s.serveNext
	}
	id, verb, _ := strings.Cut(rest, "/")
	switch {
	case id == "":
		return "", nil
	case verb == "response":
		return http.MethodPost, func(w http.ResponseWriter, r *http.Request) { s.serveResponse(w, r, id) }
	case verb == "error":
		return http.MethodPost, func(w http.ResponseWriter, r *http.Request) { s.serveError(w, r, id) }
	}
	return "", nil
}

// gone answers a request that the end of the server has overtaken.
func gone(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusServiceUnavailable)
}

func servePing(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte("pong")) // whoever asks may have gone
}

// unsupported answers as the service does where it has no such API.
func (s *Server) unsupported(name string) handler {
	return func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, refusal(http.StatusAccepted, name+".NotSupported", name+" API is not supported"))
	}
}
