package shards

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// lossShown is how long it is told of a shard that records of it are lost.
const lossShown = time.Hour

// A health puts together what is wrong with the shards of a stream, and tells it
// when it changes. The empty name is that of the stream itself.
type health struct {
	logger *slog.Logger
	report func(error)

	mu     sync.Mutex
	wrong  map[string]error // at the moment
	losses map[string]loss  // of the last hour, also of shards that have ended since
	shown  string
	silent bool // nothing more is told
}

func newHealth(o *Options) *health {
	return &health{logger: o.Logger, report: o.Report, wrong: map[string]error{}, losses: map[string]loss{}}
}

type loss struct {
	err error
	at  time.Time
}

// lost says that records of a shard are lost, for an hour.
func (h *health) lost(shard string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.losses[shard] = loss{err, time.Now()}
	h.tell()
}

// set says what is wrong with a shard; nil when nothing is.
func (h *health) set(shard string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch _, was := h.wrong[shard]; {
	case err != nil:
		h.wrong[shard] = err
	case !was && len(h.losses) == 0:
		return
	default:
		delete(h.wrong, shard)
	}
	h.tell()
}

func (h *health) tell() {
	maps.DeleteFunc(h.losses, func(_ string, l loss) bool { return time.Since(l.at) > lossShown })
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
	all := make(map[string]error, len(h.wrong)+len(h.losses))
	for shard, l := range h.losses {
		all[shard] = l.err
	}
	maps.Copy(all, h.wrong)
	if len(all) == 0 {
		return nil
	}
	first := slices.Min(slices.Collect(maps.Keys(all)))
	err := all[first]
	if first != "" {
		err = fmt.Errorf("shard %s: %w", first, err)
	}
	if more := len(all) - 1; more > 0 {
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
