package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sluice/dlq"
	"sluice/event"
	"sluice/router"
)

// How far a search for an id goes back, and how it reads.
const (
	searchMost    = 1_000_000
	searchFirst   = 1024
	searchWindow  = 16 << 10
	searchBytes   = 8 << 20
	searchTimeout = 10 * time.Second
	foundMost     = 100
)

// events answers with the life of the event at a sequence, or of those with an
// id. What consists of digits is a sequence, unless by=id says otherwise.
func (s *Server) events(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := known(r, "ref", "by"); err != nil {
		return nil, err
	}
	ref, by := r.PathValue("ref"), r.URL.Query().Get("by")
	if ref == "" {
		ref = r.URL.Query().Get("ref")
	}
	if ref == "" {
		return nil, refuse(http.StatusBadRequest, "ref is missing: give the sequence or the id of an event")
	}
	if by != "" && by != "id" && by != "sequence" {
		return nil, refuse(http.StatusBadRequest, "by %.100q: it is id or sequence", by)
	}
	sequence, err := strconv.ParseUint(ref, 10, 64)
	if by == "sequence" && err != nil {
		return nil, refuse(http.StatusBadRequest, "ref %.100q: a sequence is a number", ref)
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTimeout)
	defer cancel()
	var found Found
	var entries []*event.Entry
	if by != "id" && err == nil {
		entries, err = s.at(ctx, sequence, &found)
	} else {
		entries, err = s.withID(ctx, ref, &found)
	}
	if err != nil {
		return nil, err
	}
	return s.lives(r.Context(), entries, &found)
}

// at returns the entry at a sequence.
func (s *Server) at(ctx context.Context, sequence uint64, found *Found) ([]*event.Entry, error) {
	first, last, err := s.options.Log.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	found.SearchedFrom, found.SearchedTo, found.Complete = first, last, true
	if sequence < first || sequence > last {
		return nil, nil
	}
	batch, err := s.options.Log.Range(ctx, sequence, 1, searchBytes)
	for i := range batch.Entries {
		if batch.Entries[i].Sequence == sequence {
			return batch.Entries[i : i+1], nil
		}
	}
	return nil, err
}

// withID looks for an id from the end of the log backwards, in windows that
// grow, up to the first that has it: what was made of an event comes after it,
// and the event itself is then found by its origin.
func (s *Server) withID(ctx context.Context, id string, found *Found) ([]*event.Entry, error) {
	first, last, err := s.options.Log.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	found.SearchedFrom, found.SearchedTo = last+1, last
	var entries []*event.Entry
	for window := uint64(searchFirst); found.SearchedFrom > first && len(entries) == 0; window = searchWindow {
		if last+1-found.SearchedFrom > searchMost {
			return nil, nil
		}
		from := first
		if found.SearchedFrom-first > window {
			from = found.SearchedFrom - window
		}
		if entries, err = s.scan(ctx, id, from, found.SearchedFrom-1); err != nil {
			return nil, err
		}
		found.SearchedFrom = from
	}
	found.Complete = found.SearchedFrom <= first
	slices.Reverse(entries)
	return s.withOrigins(ctx, entries[:min(len(entries), foundMost)])
}

// scan returns the entries with an id in a stretch of the log.
func (s *Server) scan(ctx context.Context, id string, from, to uint64) ([]*event.Entry, error) {
	var entries []*event.Entry
	for from <= to {
		batch, err := s.options.Log.Range(ctx, from, int(min(to-from+1, searchFirst)), searchBytes)
		if err != nil {
			return nil, err
		}
		for _, e := range batch.Entries {
			if e.Event != nil && e.Event.ID == id && e.Sequence <= to {
				entries = append(entries, e)
			}
		}
		if batch.To < from {
			break
		}
		from = batch.To + 1
	}
	return entries, nil
}

// withOrigins adds the entries that the given ones were made from.
func (s *Server) withOrigins(ctx context.Context, entries []*event.Entry) ([]*event.Entry, error) {
	for i := 0; i < len(entries) && len(entries) < foundMost; i++ {
		origin := originOf(entries[i])
		known := func(e *event.Entry) bool { return e.Sequence == origin }
		if origin == 0 || slices.ContainsFunc(entries, known) {
			continue
		}
		made, err := s.at(ctx, origin, &Found{})
		if err != nil {
			return nil, err
		}
		if len(made) == 1 && made[0].Event != nil && made[0].Event.ID == entries[i].Event.ID {
			entries = append(entries, made[0])
		}
	}
	slices.SortFunc(entries, func(a, b *event.Entry) int { return -compareSequences(a.Sequence, b.Sequence) })
	return entries, nil
}

// originOf returns the sequence that an entry was made from, or 0.
func originOf(e *event.Entry) uint64 {
	if id, err := event.ParseEntryID(e.Origin); err == nil {
		return id.Sequence
	}
	id, err := event.ParseDeliveryID(e.Origin)
	if err != nil {
		return 0
	}
	return id.Sequence
}

func compareSequences(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// lives adds what became of each entry.
func (s *Server) lives(ctx context.Context, entries []*event.Entry, found *Found) (any, error) {
	found.Events = []Event{}
	starts := map[string]uint64{}
	standings, err := s.options.Router.Triggers(ctx)
	if err != nil {
		return nil, err
	}
	for i := range standings {
		starts[standings[i].Name] = standings[i].Start
	}
	for _, e := range entries {
		lives, err := s.options.Router.Life(ctx, e.Sequence)
		if err != nil {
			return nil, err
		}
		whole := s.eventOf(ctx, e, lives, starts)
		if err := s.findLetters(ctx, &whole); err != nil {
			return nil, err
		}
		found.Events = append(found.Events, whole)
	}
	return found, nil
}

// findLetters tells which of the dead deliveries still are letters.
func (s *Server) findLetters(ctx context.Context, whole *Event) error {
	for i := range whole.Triggers {
		standing := &whole.Triggers[i]
		if standing.State != "dead" {
			continue
		}
		_, err := s.options.Letters.Get(ctx, standing.DeliveryID)
		if err != nil && !errors.Is(err, dlq.ErrNotFound) {
			return err
		}
		standing.Letter = err == nil
	}
	return nil
}

// eventOf puts the event, its deliveries, and the triggers that did not take it
// together.
func (s *Server) eventOf(ctx context.Context, e *event.Entry, lives []router.Life, starts map[string]uint64) Event {
	whole := Event{
		Sequence: e.Sequence, Source: e.Source, Accepted: e.Time, Directed: e.Trigger, Origin: e.Origin,
		Triggers: []Standing{}, Settled: true,
	}
	if e.Event != nil {
		whole.Event, whole.Large = e.Event.AppendJSON(nil), e.Event.Large
	} else if e.Err != nil {
		whole.Problem = e.Err.Error()
	}
	known := map[string]bool{}
	for i := range lives {
		known[lives[i].Trigger] = true
		whole.Triggers = append(whole.Triggers, standingOf(&lives[i]))
	}
	for _, subscription := range s.options.Subscriptions() {
		asked := subscription.Trigger == e.Trigger || e.Trigger == "" && subscription.wants(e.Source)
		if asked && !known[subscription.Trigger] && e.Event != nil {
			whole.Triggers = append(whole.Triggers, s.explain(ctx, &subscription, e, starts[subscription.Trigger]))
		}
	}
	for i := range whole.Triggers {
		whole.Settled = whole.Settled && whole.Triggers[i].Ended()
	}
	return whole
}

// explain says why a trigger has no delivery of an event, or has none yet.
func (s *Server) explain(ctx context.Context, subscription *Subscription, e *event.Entry, start uint64) Standing {
	standing := Standing{Trigger: subscription.Trigger}
	if subscription.Pattern != nil && e.Trigger == "" {
		explanation := subscription.Pattern.Explain(s.document(ctx, e.Event))
		if !explanation.Match {
			standing.State, standing.Explanation = StandingRefused, &explanation
			return standing
		}
	}
	standing.State = StandingPending
	standing.Matched = start == 0 || e.Sequence >= start
	if !standing.Matched {
		standing.State = StandingBefore
	}
	return standing
}

func standingOf(l *router.Life) Standing {
	standing := Standing{
		Trigger: l.Trigger, Matched: true, DeliveryID: l.DeliveryID, State: l.State, Reason: l.Reason, EndedAt: l.EndedAt,
	}
	for _, a := range l.Attempts {
		standing.Attempts = append(standing.Attempts, Attempt{
			Number: a.Number, Time: a.Time, DurationMS: milliseconds(a.Duration), Status: a.Status,
			Outcome: a.Outcome, Error: a.Error, Due: a.Due,
		})
	}
	return standing
}
