package kafka

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// remembered is for how long what has happened once is told.
const remembered = time.Hour

// A health tells what is wrong with the source: several things by name, each
// until it is mended, or for an hour where nothing can mend it.
type health struct {
	report func(error)
	log    *slog.Logger
	now    func() time.Time

	mu   sync.Mutex
	ills map[string]ill
	told string
}

type ill struct {
	err   error
	until time.Time // zero for as long as it lasts
}

// set tells that something is wrong, or with nil that it is well again.
func (h *health) set(name string, err error) { h.put(name, err, time.Time{}) }

// happened tells of what cannot be mended.
func (h *health) happened(name string, err error) { h.put(name, err, h.now().Add(remembered)) }

func (h *health) put(name string, err error, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, was := h.ills[name]
	switch {
	case err == nil && !was:
		return
	case err == nil:
		delete(h.ills, name)
		h.log.Info("the source is well again", slog.String("what", name))
	default:
		h.ills[name] = ill{err: err, until: until}
		if !was {
			h.log.Warn("the source is degraded", slog.String("what", name), slog.Any("error", err))
		}
	}
	h.tell()
}

// forget ends what was told for long enough.
func (h *health) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.ills, func(_ string, i ill) bool { return !i.until.IsZero() && i.until.Before(h.now()) })
	h.tell()
}

// tell reports when something has changed.
func (h *health) tell() {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(h.ills)) {
		all = append(all, h.ills[name].err)
	}
	err, text := errors.Join(all...), ""
	if err != nil {
		text = err.Error()
	}
	if text == h.told {
		return
	}
	h.told = text
	h.report(err)
}
