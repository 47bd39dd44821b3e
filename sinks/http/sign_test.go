package http_test

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	sinkhttp "sluice/sinks/http"
)

// The vector of the Standard Webhooks specification and its libraries.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var vectorTime = time.Unix(1614265330, 0)

func TestThePublishedSignature(t *testing.T) {
	c := sinkhttp.NewConfig()
	sign(vectorSecret)(c)
	got, err := sinkhttp.Signature(c.Sign, vectorID, vectorTime, vectorBody)
	want := map[string]string{"webhook-id": vectorID, "webhook-timestamp": "1614265330", "webhook-signature": vectorSignature}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
	sign(whsec(24), vectorSecret)(c)
	got, err = sinkhttp.Signature(c.Sign, vectorID, vectorTime, vectorBody)
	first, second, _ := strings.Cut(got["webhook-signature"], " ")
	if err != nil || !strings.HasPrefix(first, "v1,") || first == second || second != vectorSignature {
		t.Errorf("with two secrets the signatures are %q, %v", got["webhook-signature"], err)
	}
}

// verifier answers 401 to what is not signed with a secret, and keeps the ids.
type verifier struct {
	key *standardwebhooks.Webhook
	mu  sync.Mutex
	ids []string
}

func (v *verifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if err := v.key.Verify(body, r.Header); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ids = append(v.ids, r.Header.Get("webhook-id"))
}

func TestSignedRequestsAreVerifiedByTheOfficialLibrary(t *testing.T) {
	for _, mode := range []sinkhttp.Mode{sinkhttp.Binary, sinkhttp.Structured, sinkhttp.Raw} {
		t.Run(string(mode), func(t *testing.T) {
			key, err := standardwebhooks.NewWebhook(whsec(64))
			if err != nil {
				t.Fatal(err)
			}
			worker := &verifier{key: key}
			s := build(t, serve(t, worker.ServeHTTP).URL, sign(whsec(24), whsec(64)), func(c *sinkhttp.Config) { c.Mode = mode })
			for range 2 { // two attempts of one delivery
				if _, err := deliver(t, s); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Join(worker.ids, " "); got != "inc.42.resize inc.42.resize" {
				t.Errorf("the ids are %s", got)
			}
		})
	}
}
