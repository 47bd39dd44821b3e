package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice/config"
	"sluice/dlq"
)

// ErrUnreachable means that nobody answers at the server's address.
var ErrUnreachable = errors.New("the server cannot be reached")

// ErrStreamEnded means that a stream has ended, because the server or the
// network went away.
var ErrStreamEnded = errors.New("the stream has ended")

// maxAnswer bounds an answer that is read whole.
const maxAnswer = 64 << 20

// A Client asks a server. It may be used by many goroutines at once.
type Client struct {
	base  *url.URL
	token config.Secret
	http  *http.Client
}

// NewClient returns a client of the server at base, such as
// http://127.0.0.1:4801.
func NewClient(base string, token config.Secret) (*Client, error) {
	parsed, err := url.Parse(base)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return nil, fmt.Errorf("the server %q is no URL: write one such as http://127.0.0.1:4801", base)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: answerTimeout, IdleConnTimeout: idleTimeout,
		DialContext: (&net.Dialer{Timeout: headerTimeout}).DialContext,
	}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: parsed, token: token, http: &http.Client{Transport: transport, CheckRedirect: noRedirect}}, nil
}

// Base returns the server's URL.
func (c *Client) Base() string { return c.base.String() }

// Close lets go of the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Triggers returns how the triggers stand.
func (c *Client) Triggers(ctx context.Context) ([]Trigger, error) {
	var answer struct {
		Triggers []Trigger `json:"triggers"`
	}
	err := c.do(ctx, http.MethodGet, c.path("triggers"), nil, &answer)
	return answer.Triggers, err
}

// Pause stops the deliveries of a trigger, durably.
func (c *Client) Pause(ctx context.Context, name string) (Trigger, error) {
	var t Trigger
	err := c.do(ctx, http.MethodPost, c.path("triggers", name, "pause"), nil, &t)
	return t, err
}

// Resume takes Pause back.
func (c *Client) Resume(ctx context.Context, name string) (Trigger, error) {
	var t Trigger
	err := c.do(ctx, http.MethodPost, c.path("triggers", name, "resume"), nil, &t)
	return t, err
}

// Sources returns the health of the sources.
func (c *Client) Sources(ctx context.Context) ([]Source, error) {
	var answer struct {
		Sources []Source `json:"sources"`
	}
	err := c.do(ctx, http.MethodGet, c.path("sources"), nil, &answer)
	return answer.Sources, err
}

// Events returns the life of the event with a sequence or id. By is "id",
// "sequence", or empty: then what consists of digits is a sequence.
func (c *Client) Events(ctx context.Context, ref, by string) (Found, error) {
	at := c.path("events")
	query := url.Values{"ref": {ref}}
	if by != "" {
		query.Set("by", by)
	}
	at.RawQuery = query.Encode()
	var found Found
	err := c.do(ctx, http.MethodGet, at, nil, &found)
	return found, err
}

// Letters returns a page of the letters that the filter selects.
func (c *Client) Letters(ctx context.Context, filter url.Values) (Letters, error) {
	at := c.path("letters")
	at.RawQuery = filter.Encode()
	var page Letters
	err := c.do(ctx, http.MethodGet, at, nil, &page)
	return page, err
}

// CountLetters counts the letters that the filter selects, by group: trigger,
// error, type or source.
func (c *Client) CountLetters(ctx context.Context, filter url.Values, group string) (Counts, error) {
	filter.Set("group", group)
	at := c.path("letters")
	at.RawQuery = filter.Encode()
	var counts Counts
	err := c.do(ctx, http.MethodGet, at, nil, &counts)
	return counts, err
}

// Letter returns one letter.
func (c *Client) Letter(ctx context.Context, id string) (WholeLetter, error) {
	var letter WholeLetter
	err := c.do(ctx, http.MethodGet, c.path("letters", id), nil, &letter)
	return letter, err
}

// EventData writes the payload of the event at a sequence to w.
func (c *Client) EventData(ctx context.Context, sequence uint64, w io.Writer) error {
	return c.copy(ctx, c.path("events", strconv.FormatUint(sequence, 10), "data"), w)
}

// LetterData writes the payload of the event of a letter to w.
func (c *Client) LetterData(ctx context.Context, id string, w io.Writer) error {
	return c.copy(ctx, c.path("letters", id, "data"), w)
}

func (c *Client) copy(ctx context.Context, at *url.URL, w io.Writer) error {
	answer, err := c.send(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return problemIn(answer)
	}
	if _, err := io.Copy(w, answer.Body); err != nil {
		return fmt.Errorf("the payload could not be copied: %w", err)
	}
	return nil
}

// DryRun counts what a replay or purge would take.
func (c *Client) DryRun(ctx context.Context, request *LettersRequest) (Counts, error) {
	counted := *request
	counted.DryRun = true
	var counts Counts
	err := c.do(ctx, http.MethodPost, c.path("letters", "replay"), &counted, &counts)
	return counts, err
}

// Replay makes a replay.
func (c *Client) Replay(ctx context.Context, request *LettersRequest) (Job, error) {
	var job Job
	err := c.do(ctx, http.MethodPost, c.path("letters", "replay"), request, &job)
	return job, err
}

// Purge deletes letters for ever.
func (c *Client) Purge(ctx context.Context, request *LettersRequest) (Purged, error) {
	var purged Purged
	err := c.do(ctx, http.MethodPost, c.path("letters", "purge"), request, &purged)
	return purged, err
}

// ReplayHistory makes a replay of history.
func (c *Client) ReplayHistory(ctx context.Context, request *HistoryRequest) (Job, error) {
	var job Job
	err := c.do(ctx, http.MethodPost, c.path("history", "replay"), request, &job)
	return job, err
}

// CountHistory counts what a replay of history would take.
func (c *Client) CountHistory(ctx context.Context, request *HistoryRequest) (dlq.HistoryCounts, error) {
	counted := *request
	counted.DryRun = true
	var counts dlq.HistoryCounts
	err := c.do(ctx, http.MethodPost, c.path("history", "replay"), &counted, &counts)
	return counts, err
}

// Jobs returns the replays of a kind, the oldest first.
func (c *Client) Jobs(ctx context.Context, kind string) ([]Job, error) {
	at := c.path("jobs")
	at.RawQuery = url.Values{"kind": {kind}}.Encode()
	var answer struct {
		Jobs []Job `json:"jobs"`
	}
	err := c.do(ctx, http.MethodGet, at, nil, &answer)
	return answer.Jobs, err
}

// Job returns one replay.
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	var job Job
	err := c.do(ctx, http.MethodGet, c.path("jobs", id), nil, &job)
	return job, err
}

// CancelJob ends a replay.
func (c *Client) CancelJob(ctx context.Context, id string) (Job, error) {
	var job Job
	err := c.do(ctx, http.MethodPost, c.path("jobs", id, "cancel"), nil, &job)
	return job, err
}

// ResumeJob lets a replay go on that was cancelled.
func (c *Client) ResumeJob(ctx context.Context, id string) (Job, error) {
	var job Job
	err := c.do(ctx, http.MethodPost, c.path("jobs", id, "resume"), nil, &job)
	return job, err
}

// Audit asks whether every delivery is accounted for.
func (c *Client) Audit(ctx context.Context) (Audit, error) {
	var audit Audit
	err := c.do(ctx, http.MethodGet, c.path("audit"), nil, &audit)
	return audit, err
}

// Ready returns the checks of the server, also when it is not ready.
func (c *Client) Ready(ctx context.Context) (Readiness, error) {
	var ready Readiness
	answer, err := c.send(ctx, http.MethodGet, c.base.JoinPath("readyz").String()+"?verbose", nil)
	if err != nil {
		return ready, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusServiceUnavailable {
		return ready, problemIn(answer)
	}
	return ready, decodeAnswer(answer, &ready)
}

// path returns the URL of a part of the API. Its segments are escaped.
func (c *Client) path(segments ...string) *url.URL {
	escaped := make([]string, 0, len(segments)+2)
	escaped = append(escaped, "api", "v1")
	for _, segment := range segments {
		escaped = append(escaped, url.PathEscape(segment))
	}
	return c.base.JoinPath(escaped...)
}

func (c *Client) do(ctx context.Context, method string, at *url.URL, body, into any) error {
	answer, err := c.send(ctx, method, at.String(), body)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= http.StatusMultipleChoices {
		return problemIn(answer)
	}
	return decodeAnswer(answer, into)
}

func (c *Client) send(ctx context.Context, method, at string, body any) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("the request cannot be written: %w", err)
		}
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, at, reader)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", jsonMedia)
	}
	if !c.token.IsZero() {
		request.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	answer, err := c.http.Do(request)
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// problemIn returns the problem that an answer holds. Where it holds none,
// somebody else than sluice has answered.
func problemIn(answer *http.Response) error {
	media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	problem := &Problem{Status: answer.StatusCode}
	if media == problemMedia && decodeAnswer(answer, problem) == nil {
		return problem
	}
	return fmt.Errorf("something answers that is not sluice's admin listener: status %d, %q",
		answer.StatusCode, answer.Header.Get("Content-Type"))
}

func decodeAnswer(answer *http.Response, into any) error {
	if media := answer.Header.Get("Content-Type"); !strings.HasPrefix(media, "application/") || !strings.Contains(media, "json") {
		return fmt.Errorf("something answers that is not sluice's admin listener: status %d, %q", answer.StatusCode, media)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	return nil
}

// pollFirst and pollMost are how long Poll waits between two looks.
const (
	pollFirst = 25 * time.Millisecond
	pollMost  = time.Second
)

// Poll calls look, less and less often, until it returns true or an error, or
// ctx ends.
func Poll(ctx context.Context, look func(ctx context.Context) (bool, error)) error {
	for wait := pollFirst; ; wait = min(2*wait, pollMost) {
		done, err := look(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
