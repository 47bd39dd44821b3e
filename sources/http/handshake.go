package http

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"sluice/config"
)

// A Handshake is the abuse protection of CloudEvents: HTTP webhooks 1.0.2,
// section 4. A sender asks by OPTIONS whether it may send, and how much.
type Handshake struct {
	// Origins are the senders that may: DNS names, *.example.com for all below
	// one, or * for all.
	Origins []string `yaml:"origins"`
	// Rate is how many requests a minute the source takes; 0: any number.
	Rate int `yaml:"rate"`
}

const maxRate = 10_000_000

func (h *Handshake) validate(methods []string) error {
	var problems []error
	if !slices.Contains(methods, http.MethodPost) {
		problems = append(problems, config.Invalid("handshake", "it is for events that are sent by POST: add that to methods, or remove this"))
	}
	if len(h.Origins) == 0 {
		problems = append(problems, config.Invalid("handshake.origins", "it is missing: write who may send, such as [eventgrid.azure.net], or [\"*\"] for everybody"))
	}
	for i, origin := range h.Origins {
		if origin != "*" && !isDNSName(strings.TrimPrefix(origin, "*.")) {
			problems = append(problems, config.Invalid(fmt.Sprintf("handshake.origins[%d]", i), "%q is no name: write one such as eventgrid.azure.net, *.example.com, or *", origin))
		}
	}
	if h.Rate < 0 || h.Rate > maxRate {
		problems = append(problems, config.Invalid("handshake.rate", "%d: write the requests of a minute, 1 to %d", h.Rate, maxRate))
	}
	return errors.Join(problems...)
}

func isDNSName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, letters) != "" {
			return false
		}
	}
	return len(name) <= 253
}

// allows tells whether a sender may send.
func (h *Handshake) allows(origin string) bool {
	for _, allowed := range h.Origins {
		suffix, below := strings.CutPrefix(allowed, "*")
		switch {
		case strings.EqualFold(origin, allowed), allowed == "*":
			return true
		case below && len(origin) > len(suffix) && strings.EqualFold(origin[len(origin)-len(suffix):], suffix):
			return true
		}
	}
	return false
}

// answer answers the validation request, section 4.2. That permission is given
// at once is why no callback is called, which would let anybody make sluice
// send requests.
func (h *Handshake) answer(w http.ResponseWriter, r *http.Request) {
	origins, rates := r.Header["Webhook-Request-Origin"], r.Header["Webhook-Request-Rate"]
	switch {
	case len(origins) != 1 || !isDNSName(origins[0]):
		badRequest("send the name of the sender as WebHook-Request-Origin, once").write(w)
		return
	case !h.allows(origins[0]):
		(&refusal{status: http.StatusForbidden, message: fmt.Sprintf("%.100q may not send events here", origins[0])}).write(w)
		return
	}
	granted, ok := h.grant(rates)
	if !ok {
		badRequest("send WebHook-Request-Rate once, as a number of requests a minute").write(w)
		return
	}
	header := w.Header()
	header.Set("Allow", http.MethodPost)
	header.Set("WebHook-Allowed-Origin", origins[0])
	header.Set("WebHook-Allowed-Rate", granted)
	w.WriteHeader(http.StatusOK)
}

// grant returns the rate that a sender may have, of those that it asks for.
func (h *Handshake) grant(asked []string) (string, bool) {
	granted := "*"
	if h.Rate > 0 {
		granted = strconv.Itoa(h.Rate)
	}
	if len(asked) == 0 {
		return granted, true
	}
	n, err := strconv.ParseUint(asked[0], 10, 31)
	if err != nil || n == 0 || len(asked) > 1 {
		return "", false
	}
	if h.Rate > 0 && n > uint64(h.Rate) {
		return granted, true
	}
	return strconv.FormatUint(n, 10), true
}

// limiter returns what holds senders to the rate: a minute's worth at once.
func (h *Handshake) limiter() *rate.Limiter {
	if h == nil || h.Rate == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(float64(h.Rate)/60), h.Rate)
}

// allow refuses a request beyond the rate that was granted.
func (h *handler) allow() *refusal {
	if h.granted == nil {
		return nil
	}
	now := h.env.Now()
	turn := h.granted.ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	turn.CancelAt(now)
	return &refusal{
		status: http.StatusTooManyRequests, message: fmt.Sprintf("more than %d requests a minute", h.config.Handshake.Rate),
		retryAfter: wait.Truncate(time.Second) + time.Second,
	}
}
