package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"sluice/event"
	"sluice/router/pattern"
)

const (
	tailPending = 16 // batches between log and client
	// headerFrom says which sequence the stream begins with.
	headerFrom = "Sluice-From"
)

// A tailFilter selects entries.
type tailFilter struct {
	source, kind string
	prefix       bool // kind is the beginning of the type
	trigger      *Subscription
	pattern      *pattern.Pattern
	load         pattern.Loader // of data that is kept apart
}

// tail streams events as they are accepted, a JSON object a line. Without from
// it begins with the next one; from is a sequence, or a time.
func (s *Server) tail(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := known(r, "from", "source", "trigger", "type", "pattern"); err != nil {
		return nil, err
	}
	filter, err := s.tailFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	filter.load = s.loader(r.Context())
	from, err := s.tailFrom(r.Context(), r.URL.Query().Get("from"))
	if err != nil {
		return nil, err
	}
	w.Header().Set(headerFrom, strconv.FormatUint(from, 10))
	out, err := startStream(w)
	if err != nil {
		return nil, nil //nolint:nilerr // the client has gone
	}
	s.stream(r.Context(), from, filter, &tailWriter{out})
	return nil, nil
}

// stream writes until the client has gone or ctx ends. What ends the reading is
// the last line.
func (s *Server) stream(ctx context.Context, from uint64, filter *tailFilter, out *tailWriter) {
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan event.Batch, tailPending)
	failed := make(chan error, 1)
	go func() {
		defer close(batches)
		failed <- s.options.Log.Tail(ctx, from, func(b event.Batch) error {
			select {
			case batches <- b:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	defer func() {
		cancel()
		for range batches { //nolint:revive // let the reader go
		}
	}()
	out.run(batches, filter)
	select {
	case err := <-failed:
		if err != nil && ctx.Err() == nil {
			_ = out.line(&TailLine{Problem: err.Error()})
		}
	default:
	}
}

// A tailWriter writes events to one client.
type tailWriter struct{ *streamWriter }

// run writes what the filter selects until there are no more batches, or the
// client has gone.
func (t *tailWriter) run(batches <-chan event.Batch, filter *tailFilter) {
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	for {
		select {
		case b, more := <-batches:
			if !more || t.batch(&b, filter) != nil {
				return
			}
		case <-beat.C:
			if t.beat() != nil {
				return
			}
		}
	}
}

func (t *tailWriter) batch(b *event.Batch, filter *tailFilter) error {
	written := false
	for _, e := range b.Entries {
		if !filter.selects(e) {
			continue
		}
		line := TailLine{Sequence: e.Sequence, Source: e.Source, Accepted: e.Time, Directed: e.Trigger, Origin: e.Origin}
		if e.Event != nil {
			line.Event, line.Large = e.Event.AppendJSON(nil), e.Event.Large
		} else if e.Err != nil {
			line.Problem = e.Err.Error()
		}
		if err := t.line(&line); err != nil {
			return err
		}
		written = true
	}
	if !written {
		return nil
	}
	return t.control.Flush()
}

func (s *Server) tailFilter(query url.Values) (*tailFilter, error) {
	filter := &tailFilter{source: query.Get("source"), kind: query.Get("type")}
	filter.kind, filter.prefix = strings.CutSuffix(filter.kind, "*")
	if filter.source != "" {
		if err := s.checkSource(filter.source); err != nil {
			return nil, err
		}
	}
	if name := query.Get("trigger"); name != "" {
		subscription, err := s.subscription(name)
		if err != nil {
			return nil, err
		}
		filter.trigger = subscription
	}
	if text := query.Get("pattern"); text != "" {
		compiled, err := pattern.Compile([]byte(text))
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "the pattern is invalid: %v", err)
		}
		filter.pattern = compiled
	}
	return filter, nil
}

// checkSource takes the name of a source, or one that answers are published
// under.
func (s *Server) checkSource(name string) error {
	all := s.options.Sources()
	names := make([]string, 0, len(all))
	for i := range all {
		names = append(names, all[i].Name)
	}
	for _, subscription := range s.options.Subscriptions() {
		if subscription.Publishes != "" && !slices.Contains(names, subscription.Publishes) {
			names = append(names, subscription.Publishes)
		}
	}
	if slices.Contains(names, name) {
		return nil
	}
	return refuse(http.StatusNotFound, "%s", UnknownName("source", name, names))
}

func (s *Server) subscription(name string) (*Subscription, error) {
	all := s.options.Subscriptions()
	names := make([]string, 0, len(all))
	for i := range all {
		if all[i].Trigger == name {
			return &all[i], nil
		}
		names = append(names, all[i].Trigger)
	}
	return nil, refuse(http.StatusNotFound, "%s", UnknownName("trigger", name, names))
}

func (f *tailFilter) selects(e *event.Entry) bool {
	if f.source != "" && e.Source != f.source {
		return false
	}
	if f.trigger != nil && !f.taken(e) {
		return false
	}
	if f.kind == "" && !f.prefix && f.pattern == nil {
		return true
	}
	if e.Event == nil {
		return false
	}
	if f.prefix && !strings.HasPrefix(e.Event.Type, f.kind) || !f.prefix && f.kind != "" && e.Event.Type != f.kind {
		return false
	}
	return f.pattern == nil || f.pattern.Matches(pattern.FromStored(e.Event, f.load))
}

// taken tells whether the trigger takes an entry.
func (f *tailFilter) taken(e *event.Entry) bool {
	if e.Trigger != "" {
		return e.Trigger == f.trigger.Trigger
	}
	return f.trigger.wants(e.Source) && e.Event != nil &&
		(f.trigger.Pattern == nil || f.trigger.Pattern.Matches(pattern.FromStored(e.Event, f.load)))
}

// tailFrom returns the sequence to begin with.
func (s *Server) tailFrom(ctx context.Context, text string) (uint64, error) {
	first, last, err := s.options.Log.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	if text == "" {
		return last + 1, nil
	}
	if sequence, err := strconv.ParseUint(text, 10, 64); err == nil {
		return max(sequence, 1), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, refuse(http.StatusBadRequest, "from %.100q: write a sequence, or a time as 2026-03-29T02:30:00Z", text)
	}
	return s.firstAt(ctx, at, first, last)
}

// firstAt returns the first sequence that was accepted at a time or later.
func (s *Server) firstAt(ctx context.Context, at time.Time, first, last uint64) (uint64, error) {
	var failed error
	n := sort.Search(int(last+1-first), func(i int) bool {
		if failed != nil {
			return true
		}
		next, err := s.next(ctx, first+uint64(i), last)
		failed = err
		return next == nil || !next.Time.Before(at)
	})
	return first + uint64(n), failed
}

// next returns the first entry at a sequence or above, or nil: not every place
// of the log holds one.
func (s *Server) next(ctx context.Context, from, last uint64) (*event.Entry, error) {
	for limit := 1; from <= last; limit = min(2*limit, searchFirst) {
		batch, err := s.options.Log.Range(ctx, from, limit, searchBytes)
		if err != nil {
			return nil, err
		}
		if len(batch.Entries) > 0 {
			return batch.Entries[0], nil
		}
		if batch.To < from {
			return nil, nil //nolint:nilnil // there is none
		}
		from = batch.To + 1
	}
	return nil, nil //nolint:nilnil // there is none
}
