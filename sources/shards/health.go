package shards

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// A health puts together what is wrong with the shards of a stream, and tells it
// when it changes. The empty name is that of the stream itself.
type health struct {
	logger *slog.Logger
	report func(error)

	mu     sync.Mutex
	wrong  map[string]error
	shown  string
	silent bool // nothing more is told
}

func newHealth(o *Options) *health {
	return &health{logger: o.Logger, report: o.Report, wrong: map[string]error{}}
}

// set says what is wrong with a shard; nil when nothing is.
func (h *health) set(shard string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch _, was := h.wrong[shard]; {
	case err != nil:
		h.wrong[shard] = err
	case !was:
		return
	default:
		delete(h.wrong, shard)
	}
	h.tell()
}

func (h *health) tell() {
	err := h.whole()
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == h.shown || h.silent {
		return
	}
	switch {
	case err == nil:
		h.logger.Info("the source is well again")
	case h.shown == "":
		h.logger.Warn("the source is degraded", slog.String("error", text))
	}
	h.shown = text
	h.report(err)
}

// whole returns the first problem, and how many shards have others.
func (h *health) whole() error {
	if len(h.wrong) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(h.wrong)))
	err := h.wrong[first]
	if first != "" {
		err = fmt.Errorf("shard %s: %w", first, err)
	}
	if more := len(h.wrong) - 1; more > 0 {
		err = fmt.Errorf("%w (and %d more with problems)", err, more)
	}
	return err
}

// end has nothing told any more: the run is over.
func (h *health) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.silent = true
}

// lags are how far the shards are behind that are being read.
type lags struct {
	mu  sync.Mutex
	all map[string]time.Duration
}

func (l *lags) set(shard string, behind time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]time.Duration{}
	}
	l.all[shard] = behind
}

func (l *lags) forget(shard string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, shard)
}

func (l *lags) most() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	longest := time.Duration(-1)
	for _, behind := range l.all {
		longest = max(longest, behind)
	}
	return longest
}
