package admin

import (
	"net/http"

	"sluice/dlq"
)

func jobOf(j dlq.Job) Job { return Job{Job: j, Problem: j.Problem} }

// jobs lists the replays, of all kinds or of one.
func (s *Server) jobs(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := known(r, "kind"); err != nil {
		return nil, err
	}
	kind := r.URL.Query().Get("kind")
	if kind != "" && kind != dlq.KindLetters && kind != dlq.KindHistory {
		return nil, refuse(http.StatusBadRequest, "kind %.100q: it is %s or %s", kind, dlq.KindLetters, dlq.KindHistory)
	}
	all, err := s.options.Letters.Jobs(r.Context())
	if err != nil {
		return nil, err
	}
	list := make([]Job, 0, len(all))
	for _, j := range all {
		if kind == "" || kind == j.Kind {
			list = append(list, jobOf(j))
		}
	}
	return struct {
		Jobs []Job `json:"jobs"`
	}{list}, nil
}

func (s *Server) job(_ http.ResponseWriter, r *http.Request) (any, error) {
	found, err := s.options.Letters.Job(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return jobOf(found), nil
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := s.options.Letters.Cancel(r.Context(), r.PathValue("id")); err != nil {
		return nil, err
	}
	return s.job(w, r)
}

// resumeJob lets a replay go on that was cancelled. One that runs stays as it is.
func (s *Server) resumeJob(_ http.ResponseWriter, r *http.Request) (any, error) {
	resumed, err := s.options.Letters.Resume(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return jobOf(resumed), nil
}

// replayHistory makes a replay of history, or counts what it would take.
func (s *Server) replayHistory(w http.ResponseWriter, r *http.Request) (any, error) {
	var request HistoryRequest
	if err := readJSON(w, r, &request); err != nil {
		return nil, err
	}
	switch {
	case request.Filter.Trigger == "":
		return nil, refuse(http.StatusBadRequest, "filter.trigger is missing: name the trigger that the events are for")
	case request.Filter.Everything() != request.All:
		return nil, refuse(http.StatusBadRequest, `more of a filter than the trigger, or "all": true for all history: one of them, not both`)
	}
	if err := checkRate(request.Rate, "events"); err != nil {
		return nil, err
	}
	if request.DryRun {
		return s.options.Letters.CountHistory(r.Context(), request.Filter)
	}
	made, err := s.options.Letters.ReplayHistory(r.Context(), dlq.HistoryRequest{Filter: request.Filter, Rate: request.Rate})
	if err != nil {
		return nil, err
	}
	writeJSON(w, http.StatusAccepted, jsonMedia, jobOf(made))
	return nil, nil
}

func checkRate(rate float64, things string) error {
	if rate < 0 {
		return refuse(http.StatusBadRequest, "rate %v: ask for %s a second, or 0 for as fast as it goes", rate, things)
	}
	return nil
}
