package http

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// guard does what every request needs before a source sees it: it bounds the
// time for the body, takes headers away that only a proxy or sluice itself may
// set, and refuses browsers that act for another site.
func (s *Server) guard(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	local := isLoopback(s.options.Listen)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recovered(w)
		if err := crossOrigin.Check(changing(r)); err != nil || local && rebound(r) {
			(&refusal{status: http.StatusForbidden, message: "a browser sends this for another site: that is not allowed"}).write(w)
			return
		}
		if len(r.TransferEncoding) > 0 {
			// It may have had a Content-Length too, which net/http hides: then what
			// follows must not be taken for a request (RFC 9112, section 6.1).
			w.Header().Set("Connection", "close")
		}
		strip(r.Header)
		defer s.limitBody(w, r)()
		next.ServeHTTP(w, r)
	})
}

// recovered answers a request that has made our own code panic: an error of
// sluice, which the log must show and the sender may try again.
func (s *Server) recovered(w http.ResponseWriter) {
	problem := recover()
	switch problem {
	case nil:
		return
	case http.ErrAbortHandler: //nolint:errorlint // the contract of net/http: this value itself
		panic(problem)
	}
	id := (&refusal{status: http.StatusInternalServerError, message: "sluice has failed on this request"}).write(w)
	s.options.Logger.Error("a request has made ingest panic", slog.String("request_id", id),
		slog.Any("panic", problem), slog.String("stack", string(debug.Stack())))
}

// changing returns the request as one that changes something: a GET makes an
// event too, where a source takes it.
func changing(r *http.Request) *http.Request {
	if r.Method != http.MethodGet {
		return r
	}
	post := *r
	post.Method = http.MethodPost
	return &post
}

// rebound tells whether a browser was led here by a name that is not this
// machine's: DNS rebinding. Other programs send no Origin.
func rebound(r *http.Request) bool {
	if r.Header.Get("Origin") == "" {
		return false
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	if ip := net.ParseIP(host); ip != nil {
		return !ip.IsLoopback()
	}
	return host != "localhost" && !strings.HasSuffix(host, ".localhost")
}

// strip takes away hop-by-hop headers (RFC 9110, section 7.6.1), headers that
// mean something to the log, and those by which proxies tell who somebody is.
func strip(header http.Header) {
	for _, list := range header["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			header.Del(strings.TrimSpace(name))
		}
	}
	for name := range header {
		if isStripped(name) {
			delete(header, name)
		}
	}
}

func isStripped(name string) bool {
	switch name {
	case "":
		return false
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
		"X-Forwarded-Access-Token", "X-Forwarded-Client-Cert":
		return true
	}
	switch name[0] { // most names need no more than this
	case 'C':
		return strings.HasPrefix(name, "Cf-Access-")
	case 'N':
		return strings.HasPrefix(name, "Nats-")
	case 'R':
		return strings.HasPrefix(name, "Remote-")
	case 'S':
		return hasPrefix(name, "Sluice-", "Ssl-Client-")
	case 'T':
		return strings.HasPrefix(name, "Tailscale-User-")
	case 'X':
		return hasPrefix(name, "X-Remote-", "X-Auth-Request-", "X-Authenticated-", "X-Webauth-", "X-Authentik-", "X-Pomerium-",
			"X-Goog-Authenticated-", "X-Goog-Iap-", "X-Ms-Client-Principal", "X-Amzn-Oidc-", "X-Ssl-Client-")
	}
	return false
}

func hasPrefix(name string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// errOverloaded ends the reading of a body for which there is no memory.
var errOverloaded = errors.New("too many large requests at once")

// limitBody gives the body the body timeout, from now, and counts its bytes
// against what all bodies together may take, until release is called. The
// deadline is lifted when the body has been read, since it would end a publish
// that waits.
func (s *Server) limitBody(w http.ResponseWriter, r *http.Request) (release func()) {
	if r.Body == nil || r.Body == http.NoBody {
		return func() {}
	}
	control := http.NewResponseController(w)
	lift := func() {}
	if control.SetReadDeadline(time.Now().Add(s.options.BodyTimeout)) == nil {
		lift = func() { _ = control.SetReadDeadline(time.Time{}) }
	}
	from, _ := r.Context().Value(peerKey{}).(*peer)
	if from == nil {
		from = &peer{}
	}
	body := &limitedBody{ReadCloser: r.Body, lift: lift, all: &s.bodies, peers: &from.bodies, most: s.options.MaxBodies}
	r.Body = body
	return body.release
}

// A limitedBody counts its bytes against what all bodies may take. One address
// may take half of it, so that it alone cannot keep the others out.
type limitedBody struct {
	io.ReadCloser
	lift       func()
	all, peers *atomic.Int64 // the bytes of all bodies, and of those of its address
	most       int64
	taken      int64 // of them this one's
}

func (b *limitedBody) release() {
	b.all.Add(-b.taken)
	b.peers.Add(-b.taken)
}

// take counts n bytes more, and tells whether there is room for them.
func (b *limitedBody) take(n int) bool {
	b.taken += int64(n)
	all, peers := b.all.Add(int64(n)), b.peers.Add(int64(n))
	return all <= b.most && peers <= (b.most+1)/2
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if !b.take(n) {
		return n, errOverloaded
	}
	if err == io.EOF { //nolint:errorlint // the contract of io.Reader: EOF itself.
		b.lift()
	}
	return n, err
}
