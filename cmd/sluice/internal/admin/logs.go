package admin

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sluice/functions/logs"
)

// maxLast bounds how many lines may be asked for by their number.
const maxLast = 10_000

// functionLogs streams the lines of a function, a JSON object a line, and with follow
// those that come.
func (s *Server) functionLogs(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := known(r, "since", "until", "filter", "last", "from", "follow"); err != nil {
		return nil, err
	}
	f, err := s.function(r)
	if err != nil {
		return nil, err
	}
	q, follow, err := s.logQuery(r, f.Name)
	if err != nil {
		return nil, err
	}
	out, err := startStream(w)
	if err != nil {
		return nil, nil //nolint:nilerr // the client has gone
	}
	s.streamLogs(r, q, follow, out)
	return nil, nil
}

// logQuery reads what is asked for.
func (s *Server) logQuery(r *http.Request, name string) (q logs.Query, follow bool, err error) {
	values := r.URL.Query()
	q.Function = name
	if values.Get("since") != "" || values.Get("until") != "" {
		if q.Since, q.Until, err = s.between(r, 0); err != nil {
			return q, false, err
		}
	}
	if values.Get("since") == "" {
		q.Since = time.Time{}
	}
	if values.Get("until") == "" {
		q.Until = time.Time{}
	}
	if text := values.Get("filter"); text != "" {
		if q.Match, err = logs.ParseFilter(text); err != nil {
			return q, false, refuse(http.StatusBadRequest, "%s", err)
		}
	}
	if text := values.Get("from"); text != "" {
		if q.After, err = logs.ParsePosition(text); err != nil {
			return q, false, refuse(http.StatusBadRequest, "from: %s", err)
		}
	}
	if q.Last, err = lastOf(values); err != nil {
		return q, false, err
	}
	follow, err = followOf(values)
	return q, follow, err
}

func lastOf(values url.Values) (int, error) {
	text := values.Get("last")
	if text == "" {
		return 0, nil
	}
	last, err := strconv.Atoi(text)
	if err != nil || last < 1 || last > maxLast {
		return 0, refuse(http.StatusBadRequest, "last %.100q: write a number from 1 to %d", text, maxLast)
	}
	return last, nil
}

func followOf(values url.Values) (bool, error) {
	text := values.Get("follow")
	if text == "" {
		return false, nil
	}
	follow, err := strconv.ParseBool(text)
	switch {
	case err != nil:
		return false, refuse(http.StatusBadRequest, "follow %.100q: write true or false", text)
	case follow && values.Get("until") != "":
		return false, refuse(http.StatusBadRequest, "until is for lines that are there: leave it out to follow")
	}
	return follow, nil
}

// streamLogs writes lines until there are no more or, with follow, until the
// client has gone.
func (s *Server) streamLogs(r *http.Request, q logs.Query, follow bool, out *streamWriter) {
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	for {
		changed := s.options.Logs.Changed()
		at, err := s.options.Logs.Read(r.Context(), q, func(e *logs.Entry, behind logs.Position) error {
			return out.line(&LogLine{Entry: *e, Position: behind.String()})
		})
		switch {
		case err != nil && r.Context().Err() == nil:
			_ = out.line(&LogLine{Problem: err.Error()})
			return
		case err != nil || !follow:
			return
		case at != q.After:
			// The client goes on from here also when nothing was selected.
			if out.line(&LogLine{Position: at.String()}) != nil || out.control.Flush() != nil {
				return
			}
		}
		q.After, q.Last = at, 0
		select {
		case <-changed:
		case <-beat.C:
			if out.beat() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
