package dlq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

// A Filter selects letters: those that meet everything that is set. The zero
// Filter selects all.
type Filter struct {
	Trigger string `json:"trigger,omitempty"`
	// Type is the event's, Source the name of the sluice source.
	Type   string `json:"type,omitempty"`
	Source string `json:"source,omitempty"`
	// Since and Until bound when the delivery died: from Since, before Until.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// ErrorContains is a part of the last error, in any case of letters.
	ErrorContains string `json:"error_contains,omitempty"`
	Status        int    `json:"status,omitempty"`
	Reason        string `json:"reason,omitempty"`
	// IDs are delivery ids.
	IDs []string `json:"ids,omitempty"`
}

// Match tells whether the filter selects a letter. One that cannot be read is
// selected by its trigger and id alone.
func (f *Filter) Match(s *Summary) bool {
	if f.Trigger != "" && f.Trigger != s.ID.Trigger || len(f.IDs) > 0 && !slices.Contains(f.IDs, s.ID.String()) {
		return false
	}
	if s.Problem != "" {
		return f.onlyNames()
	}
	switch {
	case f.Type != "" && f.Type != s.Type,
		f.Source != "" && f.Source != s.Source,
		f.Status != 0 && f.Status != s.Status,
		f.Reason != "" && f.Reason != s.Reason,
		!f.Since.IsZero() && s.DiedAt.Before(f.Since),
		!f.Until.IsZero() && !s.DiedAt.Before(f.Until):
		return false
	}
	return f.ErrorContains == "" || strings.Contains(strings.ToLower(s.Error), strings.ToLower(f.ErrorContains))
}

// onlyNames tells whether nothing but the trigger and the ids is asked for.
func (f *Filter) onlyNames() bool {
	return f.Type == "" && f.Source == "" && f.Status == 0 && f.Reason == "" && f.Since.IsZero() && f.Until.IsZero() &&
		f.ErrorContains == ""
}

// Validate refuses what could be no letter's. Names that could be no trigger's
// or delivery's would select something else, as part of a subject.
func (f *Filter) Validate() error {
	var problems []error
	if f.Status != 0 && (f.Status < 100 || f.Status > 599) {
		problems = append(problems, fmt.Errorf("the filter's status: %d is no status code: write 100 to 599", f.Status))
	}
	if f.Reason != "" && !slices.Contains(Reasons(), f.Reason) {
		problems = append(problems, fmt.Errorf("the filter's reason: %.100q is none: write one of %s", f.Reason, strings.Join(Reasons(), ", ")))
	}
	if f.Trigger != "" {
		probe := event.DeliveryID{Incarnation: "x", Sequence: 1, Trigger: f.Trigger}
		if _, err := event.ParseDeliveryID(probe.String()); err != nil {
			problems = append(problems, fmt.Errorf("the filter's trigger: %q is no name of a trigger", f.Trigger))
		}
	}
	for i, id := range f.IDs {
		if _, err := event.ParseDeliveryID(id); err != nil {
			problems = append(problems, fmt.Errorf("the filter's ids[%d]: %w", i, err))
		}
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		problems = append(problems, fmt.Errorf("the filter's since, %v, is not before its until, %v", f.Since, f.Until))
	}
	return errors.Join(problems...)
}

// List returns up to limit letters that the filter selects, the oldest first,
// after the given position. The position of the next page is next; it is 0
// when there is none.
func (s *Store) List(ctx context.Context, f Filter, after uint64, limit int) (page []Summary, next uint64, err error) {
	if limit < 1 {
		return nil, 0, fmt.Errorf("listing letters: the limit is %d; ask for one at least", limit)
	}
	return s.page(ctx, &f, after, 0, limit)
}

// page is List up to a position; 0 is the last one at this moment.
func (s *Store) page(ctx context.Context, f *Filter, after, upto uint64, limit int) (page []Summary, next uint64, err error) {
	ahead := readAhead
	if f.onlyNames() {
		ahead = min(limit+1, readAhead)
	}
	err = s.scan(ctx, f, after, upto, ahead, func(letter Summary) bool {
		if len(page) == limit {
			next = page[limit-1].Sequence
			return false
		}
		page = append(page, letter)
		return true
	})
	return page, next, err
}

// Counts says how many letters there are, in groups.
type Counts struct {
	Total int
	// Replayable is how many of them a replay would take now. The others are
	// counted in Skipped by reason.
	Replayable int
	Skipped    map[string]int
	// The groups. Errors are grouped by reason and error, without the numbers in
	// it. A group of more than a thousand keys puts the rest under "others".
	Triggers, Errors, Types, Sources map[string]int
}

// maxGroup bounds the keys of one group, and others is where the rest goes.
const (
	maxGroup = 1000
	others   = "others"
)

// Count counts the letters that the filter selects. It is also the dry run of a
// replay and of a purge.
func (s *Store) Count(ctx context.Context, f Filter) (Counts, error) {
	c := Counts{
		Skipped: map[string]int{}, Triggers: map[string]int{}, Errors: map[string]int{},
		Types: map[string]int{}, Sources: map[string]int{},
	}
	some := make([]Summary, 0, together)
	err := s.scan(ctx, &f, 0, 0, readAhead, func(letter Summary) bool {
		if some = append(some, letter); len(some) == together {
			s.count(&c, some)
			some = some[:0]
		}
		return true
	})
	s.count(&c, some)
	return c, err
}

func (s *Store) count(c *Counts, letters []Summary) {
	for i, reason := range s.unfit(letters) {
		letter := &letters[i]
		c.Total++
		if reason != "" {
			c.Skipped[reason]++
		} else {
			c.Replayable++
		}
		count(c.Triggers, letter.ID.Trigger)
		count(c.Errors, errorKey(letter))
		count(c.Types, letter.Type)
		count(c.Sources, letter.Source)
	}
}

func count(group map[string]int, key string) {
	if _, found := group[key]; !found && len(group) >= maxGroup {
		key = others
	}
	group[key]++
}

var numbers = regexp.MustCompile(`\b[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b0x[0-9a-fA-F]+\b|\b[0-9]+(\.[0-9]+)*`)

// errorKey makes letters with the same cause alike.
func errorKey(s *Summary) string {
	if s.Problem != "" {
		return "unreadable"
	}
	if s.Error == "" {
		return s.Reason
	}
	status := ""
	if s.Status != 0 {
		status = fmt.Sprintf(" (%d)", s.Status)
	}
	return s.Reason + status + ": " + cut(numbers.ReplaceAllString(s.Error, "#"), 160)
}

// Objects calls yield with the name of each object that a letter refers to. A
// letter that a newer sluice has written is an error: nobody knows what it
// refers to.
func (s *Store) Objects(ctx context.Context, yield func(object string)) error {
	last, err := s.last(ctx)
	if err != nil {
		return err
	}
	var unknown error
	err = s.scanAll(ctx, "", 0, last, readAhead, func(letter Summary) bool {
		if letter.newer {
			unknown = fmt.Errorf("the letter of %s: %s", letter.ID, letter.Problem)
			return false
		}
		if letter.Large != nil {
			yield(letter.Large.Object)
		}
		return true
	})
	return errors.Join(err, unknown)
}

// readAhead is how many letters are read ahead of what is looked at, at most.
const readAhead = 500

// scan calls fn with every letter that the filter selects, the oldest first,
// after one position and up to another (0: to the last one at this moment),
// until fn returns false. It reads headers only, and so many letters ahead.
func (s *Store) scan(ctx context.Context, f *Filter, after, upto uint64, ahead int, fn func(Summary) bool) error {
	if err := f.Validate(); err != nil {
		return err
	}
	if upto == 0 {
		last, err := s.last(ctx)
		if err != nil {
			return err
		}
		upto = last
	}
	selected := func(letter Summary) bool { return !f.Match(&letter) || fn(letter) }
	if len(f.IDs) > 0 {
		return s.scanIDs(ctx, f.IDs, after, upto, selected)
	}
	return s.scanAll(ctx, f.Trigger, after, upto, ahead, selected)
}

// last returns the position of the last letter that was ever stored.
func (s *Store) last(ctx context.Context) (uint64, error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("asking for the state of the letters: %w", translate(err))
	}
	return info.State.LastSeq, nil
}

func (s *Store) scanIDs(ctx context.Context, ids []string, after, upto uint64, fn func(Summary) bool) error {
	var found []Summary
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		parsed, err := event.ParseDeliveryID(id)
		if err != nil {
			return err
		}
		msg, err := s.stream.GetLastMsgForSubject(ctx, subject(s.options.Prefix, parsed))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the letter of %s: %w", id, translate(err))
		}
		if msg.Sequence > after && msg.Sequence <= upto {
			found = append(found, summarize(parsed, msg.Sequence, msg.Header))
		}
	}
	slices.SortFunc(found, func(a, b Summary) int { return cmp.Compare(a.Sequence, b.Sequence) })
	for _, letter := range found {
		if !fn(letter) {
			return nil
		}
	}
	return nil
}

// scanAll reads with a consumer that lives as long as the scan.
func (s *Store) scanAll(ctx context.Context, trigger string, after, upto uint64, ahead int, fn func(Summary) bool) error {
	if upto <= after {
		return nil
	}
	config := jetstream.OrderedConsumerConfig{
		HeadersOnly: true, InactiveThreshold: 30 * time.Second,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
	}
	if trigger != "" { // with any filter the server counts what it lets through
		config.FilterSubjects = []string{s.options.Prefix + ".dl." + trigger + ".>"}
	}
	consumer, err := s.js.OrderedConsumer(ctx, s.options.Stream, config)
	if err != nil {
		return fmt.Errorf("reading the letters: %w", translate(err))
	}
	info := consumer.CachedInfo()
	defer func() { _ = s.js.DeleteConsumer(context.WithoutCancel(ctx), s.options.Stream, info.Name) }()
	if info.NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(ahead))
	if err != nil {
		return fmt.Errorf("reading the letters: %w", translate(err))
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for {
		more, err := s.step(ctx, consumer, messages, upto, fn)
		if err != nil {
			return fmt.Errorf("reading the letters: %w", translate(err))
		}
		if !more {
			return nil
		}
	}
}

// step reads one letter, and tells whether to go on.
func (s *Store) step(ctx context.Context, c jetstream.Consumer, messages jetstream.MessagesContext, upto uint64, fn func(Summary) bool) (bool, error) {
	msg, err := messages.Next(jetstream.NextMaxWait(time.Second))
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, nats.ErrTimeout):
		// What was still to come may have been deleted meanwhile.
		info, err := c.Info(ctx)
		return err == nil && info.NumPending > 0, err
	case err != nil:
		return false, err
	}
	position, err := msg.Metadata()
	if err != nil {
		return false, err
	}
	sequence := position.Sequence.Stream
	if sequence > upto {
		return false, nil
	}
	id, err := parseSubject(s.options.Prefix, msg.Subject())
	if err == nil && !fn(summarize(id, sequence, msg.Headers())) {
		return false, nil
	}
	return position.NumPending > 0 && sequence < upto, nil
}
