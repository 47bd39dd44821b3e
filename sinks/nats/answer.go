package nats

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/sinks"
	"sluice/worker"
)

const (
	// maxDelay is the longest that a worker may put an attempt off.
	maxDelay = 24 * time.Hour
	// maxBody is how much of an answer is kept.
	maxBody = 64 << 10
	// quoted is how much of an answer an error quotes.
	quoted = 256
	// statusNoResponders is what the server answers when nobody has subscribed.
	statusNoResponders = "503"
)

var errNoResponders = errors.New("nobody has subscribed to the subject: no worker is there")

// A verb begins an answer of JetStream's acknowledgements.
var verb = regexp.MustCompile(`^([+-][A-Z]{2,})(?:[ \t\r\n]+|$)`)

// settle judges an answer.
func settle(m *nats.Msg) (sinks.Response, error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == statusNoResponders {
		return sinks.Response{Status: http.StatusServiceUnavailable}, errNoResponders
	}
	response := sinks.Response{Body: append([]byte(nil), m.Data[:min(len(m.Data), maxBody)]...), ContentType: m.Header.Get("content-type")}
	found := verb.FindSubmatch(m.Data)
	if found == nil {
		err := service(&response, m)
		return response, err
	}
	rest := string(m.Data[len(found[0]):])
	switch string(found[1]) {
	case worker.AnswerAck:
		return response, nil
	case worker.AnswerTerm:
		return response, sinks.Permanent(failed("refused", m, rest))
	case worker.AnswerNak:
		return response, later(m, rest)
	}
	return response, fmt.Errorf("answered %s, which is no answer: there is %s, %s, %s and %s",
		quote(m.Data), worker.AnswerAck, worker.AnswerNak, worker.AnswerTerm, worker.AnswerProgress)
}

// failed is the error of an answer, with the worker's reason when it has one.
func failed(what string, m *nats.Msg, rest string) error {
	reason := m.Header.Get(worker.HeaderError)
	if reason == "" {
		reason = rest
	}
	if reason == "" {
		return fmt.Errorf("the worker has %s it, and gives no reason", what)
	}
	return fmt.Errorf("the worker has %s it: %s", what, quote([]byte(reason)))
}

// later is the error of an attempt that has failed, and may ask for time.
func later(m *nats.Msg, rest string) error {
	if rest == "" {
		return failed("failed at", m, "")
	}
	var asked struct {
		Delay time.Duration `json:"delay"`
	}
	if err := json.Unmarshal([]byte(rest), &asked); err != nil || asked.Delay < 0 {
		return failed("failed at", m, rest)
	}
	return &sinks.RetryAfterError{Err: failed("failed at", m, ""), After: min(asked.Delay, maxDelay)}
}

// service judges the answer of a service of NATS, which fails by a header. Its
// codes are taken for those of HTTP.
func service(response *sinks.Response, m *nats.Msg) error {
	code := m.Header.Get(worker.HeaderErrorCode)
	if code == "" && m.Header.Get(worker.HeaderError) == "" {
		return nil
	}
	err := fmt.Errorf("answered the error %s: %s", quote([]byte(code)), quote([]byte(m.Header.Get(worker.HeaderError))))
	status, parseErr := strconv.Atoi(code)
	if parseErr != nil || status < 100 || status > 599 {
		return err
	}
	response.Status = status
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return err
	case status >= 400 && status < 500:
		return sinks.Permanent(err)
	}
	return err
}

func quote(text []byte) string {
	if len(text) > quoted {
		return strconv.Quote(string(text[:quoted])) + "…"
	}
	return strconv.Quote(string(text))
}
