package kafkaconn

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"sluice/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func bearer(t *testing.T, answer http.HandlerFunc) *SASL {
	t.Helper()
	endpoint := httptest.NewServer(answer)
	t.Cleanup(endpoint.Close)
	s := &SASL{Mechanism: OAuthBearer, OAuth: &OAuth{TokenURL: endpoint.URL + "/token?secret=1", ClientID: "sluice", ClientSecret: config.NewSecret("hidden"), Scopes: []string{"kafka"}}}
	if err := s.validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOAuthBearer(t *testing.T) {
	asked := 0
	s := bearer(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		user, password, _ := r.BasicAuth()
		if user != "sluice" || password != "hidden" || r.FormValue("scope") != "kafka" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"t-1","token_type":"bearer","expires_in":3600}`))
	})
	m := s.mechanism(&net.Dialer{})
	for range 2 {
		_, first, err := m.Authenticate(t.Context(), "127.0.0.1:9092")
		if err != nil || !strings.Contains(string(first), "auth=Bearer t-1\x01") {
			t.Errorf("it begins with %q, %v", first, err)
		}
	}
	if asked != 1 {
		t.Errorf("the endpoint was asked %d times", asked)
	}
}

func TestNoToken(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"refused": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"redirected": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := bearer(t, answer).mechanism(&net.Dialer{}).Authenticate(t.Context(), "127.0.0.1:9092")
			if _, is := errors.AsType[*TokenError](err); !is || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hidden") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	c := &Cluster{Brokers: []string{"127.0.0.1:9092"}, SASL: &SASL{Mechanism: Plain, User: "shop", Password: config.NewSecret("hidden")}}
	if _, err := c.Options("in", &net.Dialer{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		"refuse who sluice says to be":   kerr.SaslAuthenticationFailed,
		"do not take the mechanism":      kerr.UnsupportedSaslMechanism,
		`the user "shop" is not allowed`: kerr.TopicAuthorizationFailed,
	} {
		if got := c.Explain(err); !errors.Is(got, err) || !strings.Contains(got.Error(), want) || strings.Contains(got.Error(), "hidden") {
			t.Errorf("%v became %v", err, got)
		}
	}
	if c.Explain(nil) != nil || Refused(kerr.TopicAuthorizationFailed) || !Refused(kerr.SaslAuthenticationFailed) {
		t.Error("what is no error, or no refusal")
	}
}
