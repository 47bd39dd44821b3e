package http_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/config"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// An issuer is a token endpoint. Its tokens are t1, t2 and so on.
type issuer struct {
	*httptest.Server
	calls   atomic.Int64
	expires atomic.Int64 // seconds; 0: it does not say
	fail    atomic.Int64 // a status to answer with
	hold    chan struct{}
	mu      sync.Mutex
	asked   []string // what each call has said
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{hold: make(chan struct{})}
	close(i.hold)
	i.Server = serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := i.calls.Add(1)
		select {
		case <-i.hold:
		case <-r.Context().Done():
		}
		user, password, _ := r.BasicAuth()
		_ = r.ParseForm()
		i.mu.Lock()
		i.asked = append(i.asked, fmt.Sprintf("%s %s:%s %s", r.Method, user, password, r.PostForm.Encode()))
		i.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if status := i.fail.Load(); status != 0 {
			w.WriteHeader(int(status))
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": "not " + password})
			return
		}
		answer := map[string]any{"access_token": fmt.Sprintf("t%d", n), "token_type": "bearer"}
		if seconds := i.expires.Load(); seconds != 0 {
			answer["expires_in"] = seconds
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
	return i
}

// guarded is a worker that takes the tokens which accept allows.
func guarded(t *testing.T, accept func(token string) bool, refusal int) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var requests atomic.Int64
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !ok || !accept(token) {
			w.WriteHeader(refusal)
		}
	}), &requests
}

func anyToken(string) bool { return true }

func withIssuer(i *issuer, change ...func(*sinkhttp.OAuth)) func(*sinkhttp.Config) {
	return oauth(func(o *sinkhttp.OAuth) {
		o.TokenURL, o.ClientSecret = i.URL+"/token?tenant=a", config.NewSecret("s3cr&t")
		for _, f := range change {
			f(o)
		}
	})
}

func TestOneTokenForMany(t *testing.T) {
	i := newIssuer(t)
	i.expires.Store(3600)
	worker, requests := guarded(t, anyToken, 401)
	s := build(t, worker.URL, withIssuer(i, func(o *sinkhttp.OAuth) {
		o.Scopes, o.Audience, o.Params = []string{"a", "b"}, "https://api", map[string]config.Secret{"resource": config.NewSecret("r")}
	}))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := deliver(t, s); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want := "POST me:s3cr%26t audience=https%3A%2F%2Fapi&grant_type=client_credentials&resource=r&scope=a+b"
	if len(i.asked) != 1 || i.asked[0] != want || requests.Load() != 20 {
		t.Errorf("asked for tokens %q, and made %d requests\nwant %q", i.asked, requests.Load(), want)
	}
}

func TestTheClientInTheBody(t *testing.T) {
	i := newIssuer(t)
	worker, _ := guarded(t, anyToken, 401)
	s := build(t, worker.URL, withIssuer(i, func(o *sinkhttp.OAuth) { o.ClientAuth = sinkhttp.ClientAuthBody }))
	if _, err := deliver(t, s); err != nil {
		t.Fatal(err)
	}
	if want := "POST : client_id=me&client_secret=s3cr%26t&grant_type=client_credentials"; len(i.asked) != 1 || i.asked[0] != want {
		t.Errorf("asked %q, want %q", i.asked, want)
	}
}

func TestATokenIsReplacedBeforeItsEnd(t *testing.T) {
	for seconds, calls := range map[int64]int64{0: 1, 3600: 1, 1: 1, -1: 3} { // of -1 each is over when it comes
		i := newIssuer(t)
		i.expires.Store(seconds)
		worker, _ := guarded(t, anyToken, 401)
		s := build(t, worker.URL, withIssuer(i))
		for range 3 {
			if _, err := deliver(t, s); err != nil {
				t.Fatal(err)
			}
		}
		if seconds != 1 && i.calls.Load() != calls {
			t.Errorf("a token for %d s: %d calls, want %d", seconds, i.calls.Load(), calls)
		}
	}
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	for _, refusal := range []int{401, 407} {
		i := newIssuer(t)
		var revoked atomic.Bool
		worker, requests := guarded(t, func(token string) bool { return !revoked.Load() || token == "t2" }, refusal)
		s := build(t, worker.URL, withIssuer(i))
		for n := range 3 {
			revoked.Store(n > 0)
			if _, err := deliver(t, s); err != nil {
				t.Errorf("%d: delivery %d: %v", refusal, n, err)
			}
		}
		if i.calls.Load() != 2 || requests.Load() != 4 {
			t.Errorf("%d: %d tokens, %d requests", refusal, i.calls.Load(), requests.Load())
		}
	}
}

func TestAWorkerThatTakesNoToken(t *testing.T) {
	i := newIssuer(t)
	worker, requests := guarded(t, func(string) bool { return false }, 401)
	_, err := deliver(t, build(t, worker.URL, withIssuer(i)))
	if decision(err) != "dead" || err.Error() != "answered 401 Unauthorized" || i.calls.Load() != 2 || requests.Load() != 2 {
		t.Errorf("%v after %d tokens and %d requests", err, i.calls.Load(), requests.Load())
	}
}

func TestNoTokenIsTriedAgainAndNamesTheEndpoint(t *testing.T) {
	i := newIssuer(t)
	i.fail.Store(401)
	worker, requests := guarded(t, anyToken, 401)
	s := build(t, worker.URL, withIssuer(i))
	_, err := deliver(t, s)
	want := "no token from " + i.URL + `/token: answered 401 Unauthorized: "invalid_client", "not [redacted]"`
	if decision(err) != "retry" || err.Error() != want || requests.Load() != 0 {
		t.Errorf("got %v\nwant %s", err, want)
	}
	i.fail.Store(0)
	if _, err := deliver(t, s); err != nil {
		t.Errorf("when tokens are given again: %v", err)
	}
	i.Close()
	_, err = deliver(t, build(t, worker.URL, withIssuer(i)))
	if decision(err) != "retry" || !strings.HasPrefix(err.Error(), "no token from "+i.URL+"/token: dial tcp ") {
		t.Errorf("with the endpoint away: %v", err)
	}
}

func TestAHangingTokenEndpointEndsWithTheAttempt(t *testing.T) {
	i := newIssuer(t)
	i.hold = make(chan struct{})
	worker, _ := guarded(t, anyToken, 401)
	s := build(t, worker.URL, withIssuer(i))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			_, err := s.Deliver(ctx, attempt(sample()))
			if !errors.Is(err, context.DeadlineExceeded) || sinks.IsPermanent(err) || !strings.Contains(err.Error(), i.URL+"/token") {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if i.calls.Load() != 1 {
		t.Errorf("%d calls at once", i.calls.Load())
	}
	close(i.hold)
}

func TestTheGuardCoversTokens(t *testing.T) {
	i := newIssuer(t)
	worker, requests := guarded(t, anyToken, 401)
	public := build(t, worker.URL, withIssuer(i), func(c *sinkhttp.Config) { c.Egress = sinkhttp.EgressPublic })
	_, err := deliver(t, public)
	if decision(err) != "dead" || !strings.HasPrefix(err.Error(), "no token from "+i.URL) || !strings.Contains(err.Error(), "it is a loopback address, and egress is public") {
		t.Errorf("got %v", err)
	}
	if i.calls.Load()+requests.Load() != 0 {
		t.Error("somebody was reached")
	}
}

func TestTokensOfOneSinkAreItsOwn(t *testing.T) {
	i := newIssuer(t)
	worker, _ := guarded(t, anyToken, 401)
	for range 2 {
		if _, err := deliver(t, build(t, worker.URL, withIssuer(i))); err != nil {
			t.Fatal(err)
		}
	}
	if i.calls.Load() != 2 {
		t.Errorf("%d tokens for two sinks", i.calls.Load())
	}
}

func TestEgressOfTheInstallation(t *testing.T) {
	worker := serve(t, answer(200, "", "", ""))
	for name, c := range map[string]struct {
		own    sinkhttp.Egress
		all    string
		reason bool
	}{
		"public":            {"", "public", true},
		"public, but any":   {sinkhttp.EgressAny, "public", false},
		"any, but public":   {sinkhttp.EgressPublic, "any", true},
		"nothing said":      {"", "", false},
		"any":               {"", "any", false},
		"a name unknown to": {"", "strict", true},
	} {
		config := sinkhttp.NewConfig()
		config.URL, config.Egress = worker.URL, c.own
		s, err := config.Sink(sinks.Env{Name: "x", Egress: c.all})
		if err != nil {
			t.Fatal(err)
		}
		_, err = deliver(t, s)
		if refused, ok := errors.AsType[*sinkhttp.RefusedError](err); ok != c.reason {
			t.Errorf("%s: %v, %v", name, err, refused)
		}
		if err := s.(sinks.Closer).Close(); err != nil {
			t.Error(err)
		}
	}
}
