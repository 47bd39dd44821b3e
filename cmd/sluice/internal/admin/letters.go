package admin

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/dlq"
)

// The size of a page of letters, when none is asked for, and at most.
const (
	defaultPage = 100
	maxPage     = 1000
)

// groups are what letters can be counted by.
var groups = map[string]func(*dlq.Counts) map[string]int{
	"trigger": func(c *dlq.Counts) map[string]int { return c.Triggers },
	"error":   func(c *dlq.Counts) map[string]int { return c.Errors },
	"type":    func(c *dlq.Counts) map[string]int { return c.Types },
	"source":  func(c *dlq.Counts) map[string]int { return c.Sources },
}

func (s *Server) letters(_ http.ResponseWriter, r *http.Request) (any, error) {
	query := r.URL.Query()
	if err := known(r, "trigger", "type", "source", "error", "reason", "id", "since", "until", "status", "after", "limit", "group"); err != nil {
		return nil, err
	}
	filter, err := ParseFilter(query)
	if err == nil {
		err = checkFilter(&filter)
	}
	if err != nil {
		return nil, err
	}
	if query.Has("group") {
		return s.count(r, filter, query.Get("group"))
	}
	after, err := number(query, "after", 0, 0, 1<<62)
	if err != nil {
		return nil, err
	}
	limit, err := number(query, "limit", defaultPage, 1, maxPage)
	if err != nil {
		return nil, err
	}
	found, next, err := s.options.Letters.List(r.Context(), filter, after, int(limit))
	if err != nil {
		return nil, err
	}
	page := Letters{Letters: make([]Letter, 0, len(found)), Next: next}
	for i := range found {
		page.Letters = append(page.Letters, letterOf(&found[i]))
	}
	return page, nil
}

func (s *Server) count(r *http.Request, filter dlq.Filter, group string) (any, error) {
	pick := groups[group]
	if pick == nil {
		return nil, refuse(http.StatusBadRequest, "group %.100q: group by trigger, error, type or source", group)
	}
	counts, err := s.options.Letters.Count(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	answer := countsOf(&counts)
	answer.Groups = pick(&counts)
	return answer, nil
}

func countsOf(c *dlq.Counts) Counts {
	return Counts{Total: c.Total, Replayable: c.Replayable, Skipped: c.Skipped}
}

func letterOf(s *dlq.Summary) Letter {
	return Letter{
		ID: s.ID.String(), Trigger: s.ID.Trigger, Source: s.Source,
		EventID: s.EventID, EventSource: s.EventSource, Type: s.Type,
		Reason: s.Reason, Error: s.Error, Status: s.Status, Attempts: s.Made,
		Accepted: s.AcceptedAt, Died: s.DiedAt, Origin: s.Origin, Problem: s.Problem,
	}
}

func (s *Server) letter(_ http.ResponseWriter, r *http.Request) (any, error) {
	found, err := s.options.Letters.Get(r.Context(), r.PathValue("id"))
	if errors.Is(err, dlq.ErrNotFound) {
		return nil, refuse(http.StatusNotFound, "there is no letter %.300q", r.PathValue("id"))
	}
	if err != nil {
		return nil, err
	}
	whole := WholeLetter{Letter: Letter{
		ID: found.ID.String(), Trigger: found.ID.Trigger, Source: found.Source,
		Reason: found.Reason, Error: found.Error, Status: found.Status, Attempts: found.Made,
		Accepted: found.AcceptedAt, Died: found.DiedAt, Origin: found.Origin,
	}, Header: found.Header, Raw: found.Raw, History: make([]Attempt, 0, len(found.Attempts))}
	if found.Event != nil {
		whole.EventID, whole.EventSource, whole.Type = found.Event.ID, found.Event.Source, found.Event.Type
		whole.Event, whole.Large = found.Event.AppendJSON(nil), found.Event.Large
	}
	for _, a := range found.Attempts {
		whole.History = append(whole.History, Attempt{
			Number: a.Number, Time: a.Time, DurationMS: milliseconds(a.Duration), Status: a.Status, Error: a.Error,
		})
	}
	return whole, nil
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

// request reads the body of a replay or purge.
func (s *Server) request(w http.ResponseWriter, r *http.Request) (*LettersRequest, error) {
	var request LettersRequest
	if err := readJSON(w, r, &request); err != nil {
		return nil, err
	}
	if selectsAll(&request.Filter) != request.All {
		return nil, refuse(http.StatusBadRequest, `a filter, or "all": true for all letters: one of them, not both`)
	}
	if err := checkFilter(&request.Filter); err != nil {
		return nil, err
	}
	return &request, checkRate(request.Rate, "letters")
}

func selectsAll(f *dlq.Filter) bool { return reflect.ValueOf(*f).IsZero() }

// replay makes a replay, or counts what it would take.
func (s *Server) replay(w http.ResponseWriter, r *http.Request) (any, error) {
	request, err := s.request(w, r)
	if err != nil {
		return nil, err
	}
	if request.DryRun {
		return s.dryRun(r, request)
	}
	made, err := s.options.Letters.Replay(r.Context(), dlq.ReplayRequest{Filter: request.Filter, Rate: request.Rate})
	if err != nil {
		return nil, err
	}
	writeJSON(w, http.StatusAccepted, jsonMedia, jobOf(made))
	return nil, nil
}

func (s *Server) dryRun(r *http.Request, request *LettersRequest) (any, error) {
	counts, err := s.options.Letters.Count(r.Context(), request.Filter)
	if err != nil {
		return nil, err
	}
	answer := countsOf(&counts)
	answer.Groups = counts.Triggers
	return answer, nil
}

func (s *Server) purge(w http.ResponseWriter, r *http.Request) (any, error) {
	request, err := s.request(w, r)
	if err != nil {
		return nil, err
	}
	if request.DryRun {
		return s.dryRun(r, request)
	}
	done, err := s.options.Letters.Purge(r.Context(), request.Filter)
	if err != nil {
		return nil, err
	}
	return Purged{Letters: done.Letters, Skipped: done.Skipped}, nil
}

// ParseFilter reads a filter from the parameters of a request.
func ParseFilter(query url.Values) (dlq.Filter, error) {
	filter := dlq.Filter{
		Trigger: query.Get("trigger"), Type: query.Get("type"), Source: query.Get("source"),
		ErrorContains: query.Get("error"), Reason: query.Get("reason"), IDs: query["id"],
	}
	var err error
	if filter.Since, err = moment(query, "since"); err != nil {
		return filter, err
	}
	if filter.Until, err = moment(query, "until"); err != nil {
		return filter, err
	}
	status, err := number(query, "status", 0, 0, 599)
	filter.Status = int(status)
	return filter, err
}

func checkFilter(f *dlq.Filter) error {
	if err := f.Validate(); err != nil {
		return refuse(http.StatusBadRequest, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

// known refuses a parameter that is none of the given names: what it should
// have done would not be done.
func known(r *http.Request, names ...string) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(http.StatusBadRequest, "the parameters cannot be read: %v", err)
	}
	for name := range query {
		if !slices.Contains(names, name) {
			return refuse(http.StatusBadRequest, "%s", UnknownName("parameter", name, names))
		}
	}
	return nil
}

// FilterQuery is what ParseFilter reads.
func FilterQuery(f *dlq.Filter) url.Values {
	query := url.Values{}
	for name, value := range map[string]string{
		"trigger": f.Trigger, "type": f.Type, "source": f.Source, "error": f.ErrorContains, "reason": f.Reason,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, value := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !value.IsZero() {
			query.Set(name, value.Format(time.RFC3339Nano))
		}
	}
	if f.Status != 0 {
		query.Set("status", strconv.Itoa(f.Status))
	}
	if len(f.IDs) > 0 {
		query["id"] = f.IDs
	}
	return query
}

func moment(query url.Values, name string) (time.Time, error) {
	text := query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, refuse(http.StatusBadRequest, "%s %.100q: write a time as 2026-03-29T02:30:00Z", name, text)
	}
	return at, nil
}

func number(query url.Values, name string, byDefault, least, most uint64) (uint64, error) {
	text := query.Get(name)
	if text == "" {
		return byDefault, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, refuse(http.StatusBadRequest, "%s %.100q: write a number from %d to %d", name, text, least, most)
	}
	return n, nil
}
