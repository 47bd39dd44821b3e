package admin

import (
	"context"
	"net/http"
)

// readyz answers 200 when everything that must work does, else 503.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	body := Readiness{Ready: true, Checks: s.options.Checks(ctx)}
	for _, check := range body.Checks {
		body.Ready = body.Ready && check.State != StateFailed
	}
	status := http.StatusOK
	if !body.Ready {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	if !r.URL.Query().Has("verbose") {
		writeJSON(w, status, jsonMedia, map[string]bool{"ready": body.Ready})
		return
	}
	writeJSON(w, status, jsonMedia, body)
}

func (s *Server) sources(http.ResponseWriter, *http.Request) (any, error) {
	return struct {
		Sources []Source `json:"sources"`
	}{s.options.Sources()}, nil
}
