package runtimeapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// The most bytes of a body that is read only to be thrown away, so that the client gets to see why.
const maxDrained = 64 << 20

const jsonType = "application/json"

// A reply is a code with a JSON body.
type reply struct {
	status int
	body   []byte
}

// refusal is a reply in the service's form.
func refusal(status int, errorType, message string) reply {
	body, err := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{message, errorType})
	if err != nil {
		return reply{http.StatusInternalServerError, nil}
	}
	return reply{status, append(body, '\n')}
}

func accepted() reply { return reply{http.StatusAccepted, []byte("{\"status\":\"OK\"}\n")} }

func invalidRequestID() reply {
	return refusal(http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
}

func invalidResponseMode() reply {
	return refusal(http.StatusBadRequest, "InvalidFunctionResponseMode", "Invalid function response mode")
}

func truncated() reply {
	return refusal(http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
}

func tooLarge(limit int64) reply {
	return refusal(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", limit))
}

// invalidTransition refuses what a client may not ask in its state; who is "runtime" or "extension" and its id.
func invalidTransition(errorType, from, to, who string) reply {
	return refusal(http.StatusForbidden, errorType,
		fmt.Sprintf("State transition from %s to %s failed for %s. Error: State transition is not allowed", from, to, who))
}

func (s *Server) send(w http.ResponseWriter, p reply) {
	w.Header()["Content-Type"] = []string{jsonType}
	w.WriteHeader(p.status)
	_, _ = w.Write(p.body) // the client may have gone, which its state does not depend on
}

// refuse sends a reply to a request whose body was not read.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, p reply) {
	drain(r)
	s.send(w, p)
}

// drain reads what is left of a body, so that a client that writes it all before it reads gets its answer.
func drain(r *http.Request) {
	if r.Body != http.NoBody {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained) // what cannot be read needs no draining
	}
}
