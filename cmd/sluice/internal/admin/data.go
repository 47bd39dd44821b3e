package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"sluice/dlq"
	"sluice/event"
	"sluice/router/pattern"
)

// document is an event as patterns see it, wherever its data is.
func (s *Server) document(ctx context.Context, e *event.Event) *pattern.Doc {
	return pattern.FromStored(e, s.loader(ctx))
}

func (s *Server) loader(ctx context.Context) pattern.Loader {
	return func(large *event.Large) ([]byte, error) { return s.options.Log.Body(ctx, large) }
}

// eventData answers with the data of the event at a sequence, as it is.
func (s *Server) eventData(w http.ResponseWriter, r *http.Request) (any, error) {
	sequence, err := strconv.ParseUint(r.PathValue("ref"), 10, 64)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "ref %.100q: the data of an event is asked for by its sequence, a number", r.PathValue("ref"))
	}
	entries, err := s.at(r.Context(), sequence, &Found{})
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, refuse(http.StatusNotFound, "there is no event %d", sequence)
	}
	return nil, s.sendData(w, r, entries[0].Event, entries[0].Raw)
}

// letterData answers with the data of the event of a letter, as it is.
func (s *Server) letterData(w http.ResponseWriter, r *http.Request) (any, error) {
	letter, err := s.options.Letters.Get(r.Context(), r.PathValue("id"))
	if errors.Is(err, dlq.ErrNotFound) {
		return nil, refuse(http.StatusNotFound, "there is no letter %.300q", r.PathValue("id"))
	}
	if err != nil {
		return nil, err
	}
	return nil, s.sendData(w, r, letter.Event, letter.Raw)
}

// sendData sends the data of an event; raw, when the message was none. The
// content type is not the event's: no browser is to make anything of it. All
// answers together hold no more than the largest event.
func (s *Server) sendData(w http.ResponseWriter, r *http.Request, e *event.Event, raw []byte) error {
	data := raw
	if e != nil {
		size := min(e.Len(), event.MaxSize)
		if err := s.bodies.Acquire(r.Context(), size); err != nil {
			return err
		}
		defer s.bodies.Release(size)
		data = e.Data
		if e.Large != nil {
			var err error
			if data, err = s.options.Log.Body(r.Context(), e.Large); err != nil {
				return err
			}
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) // an error: the client has gone
	return nil
}
