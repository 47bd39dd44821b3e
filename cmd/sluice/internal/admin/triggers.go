package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"sluice/router"
	"sluice/router/core"
)

func (s *Server) triggers(_ http.ResponseWriter, r *http.Request) (any, error) {
	all, err := s.options.Router.Triggers(r.Context())
	if err != nil {
		return nil, err
	}
	list := make([]Trigger, 0, len(all))
	for i := range all {
		list = append(list, triggerOf(&all[i]))
	}
	return struct {
		Triggers []Trigger `json:"triggers"`
	}{list}, nil
}

func triggerOf(s *router.Status) Trigger {
	return Trigger{
		Name: s.Name, State: s.State, Start: s.Start, Cursor: s.Cursor, Lag: s.Lag, Behind: s.Behind,
		Waiting: s.Waiting, Running: s.Running, Buffered: s.Buffered,
		Matched: s.Matched, Delivered: s.Delivered, Dead: s.Dead, Discarded: s.Discarded,
		OldestWaiting: s.OldestWaiting, Paused: pausedOf(s), Held: heldOf(s),
	}
}

func heldOf(s *router.Status) (held []Hold) {
	for _, h := range s.Holds {
		held = append(held, Hold{
			Reason: h.Reason, Deliveries: h.Deliveries, Keys: h.Keys, Until: h.Until, Limit: h.Limit, PerSeconds: h.Per.Seconds(), Event: h.Event,
		})
	}
	return held
}

func pausedOf(s *router.Status) *Paused {
	if s.Pause.Since == 0 {
		return nil
	}
	return &Paused{Since: time.Unix(0, s.Pause.Since), Reason: s.Pause.Reason, Error: s.Pause.Error}
}

func (s *Server) pause(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.steer(r, s.options.Router.Pause)
}

func (s *Server) resume(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.steer(r, s.options.Router.Resume)
}

// steer does something to a trigger, and answers with its standing.
func (s *Server) steer(r *http.Request, act func(context.Context, string) error) (any, error) {
	name := r.PathValue("name")
	err := act(r.Context(), name)
	if err != nil && !errors.Is(err, core.ErrUnknownTrigger) {
		return nil, err
	}
	all, listed := s.options.Router.Triggers(r.Context())
	if listed != nil {
		return nil, listed
	}
	names := make([]string, 0, len(all))
	for i := range all {
		if err == nil && all[i].Name == name {
			return triggerOf(&all[i]), nil
		}
		names = append(names, all[i].Name)
	}
	return nil, refuse(http.StatusNotFound, "%s", UnknownName("trigger", name, names))
}

func (s *Server) audit(_ http.ResponseWriter, r *http.Request) (any, error) {
	found, err := s.options.Router.Audit(r.Context())
	if err != nil {
		return nil, err
	}
	audit := Audit{
		Conserved: found.Conserved, Checked: found.Checked,
		Triggers: make([]AuditTrigger, 0, len(found.Triggers)), Missing: make([]Missing, 0, len(found.Missing)),
	}
	for _, t := range found.Triggers {
		audit.Triggers = append(audit.Triggers, AuditTrigger(t))
	}
	for _, m := range found.Missing {
		audit.Missing = append(audit.Missing, Missing(m))
	}
	return audit, nil
}
