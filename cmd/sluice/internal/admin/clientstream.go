package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Tail calls fn with each event until ctx ends, fn fails, or the stream does:
// then it returns ErrStreamEnded, wrapped, and may be called again with the same
// query, whose from is moved on so that nothing is missed. The query is that of
// the API: source, trigger, type, from, pattern.
func (c *Client) Tail(ctx context.Context, query url.Values, fn func(*TailLine) error) error {
	begin := func(header http.Header) {
		if from := header.Get(headerFrom); from != "" {
			query.Set("from", from)
		}
	}
	return c.stream(ctx, c.path("tail"), query, begin, func(text []byte) error {
		sequence, err := tailLine(text, fn)
		if err == nil {
			query.Set("from", strconv.FormatUint(sequence+1, 10))
		}
		return err
	})
}

// tailLine gives one line to fn and returns its sequence.
func tailLine(text []byte, fn func(*TailLine) error) (uint64, error) {
	var line TailLine
	if err := json.Unmarshal(text, &line); err != nil {
		return 0, fmt.Errorf("the server's stream cannot be read: %w", err)
	}
	if line.Sequence == 0 && line.Problem != "" {
		return 0, fmt.Errorf("the server has ended the stream: %s", line.Problem)
	}
	return line.Sequence, fn(&line)
}

// FunctionLogs calls fn with the lines of a function's log until there are no
// more or, when the query has follow, until ctx ends, fn fails or the stream does:
// then it may be called again as Tail. The query is that of the API: since, until,
// filter, last, from, follow.
func (c *Client) FunctionLogs(ctx context.Context, name string, query url.Values, fn func(*LogLine) error) error {
	err := c.stream(ctx, c.path("functions", name, "logs"), query, func(http.Header) {}, func(text []byte) error {
		var line LogLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("the server's stream cannot be read: %w", err)
		}
		if line.Problem != "" {
			return fmt.Errorf("the server has ended the stream: %s", line.Problem)
		}
		if !line.Time.IsZero() {
			if err := fn(&line); err != nil {
				return err
			}
		}
		query.Set("from", line.Position)
		query.Del("last")
		return nil
	})
	if errors.Is(err, io.EOF) && query.Get("follow") == "" {
		return nil // that were all
	}
	return err
}

// stream calls each with the lines of an answer that are not empty, until it
// ends, which is ErrStreamEnded, wrapped.
func (c *Client) stream(ctx context.Context, at *url.URL, query url.Values, begin func(http.Header), each func([]byte) error) error {
	at.RawQuery = query.Encode()
	answer, err := c.send(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return problemIn(answer)
	}
	begin(answer.Header)
	lines := bufio.NewReaderSize(answer.Body, 64<<10)
	for {
		text, err := lines.ReadBytes('\n')
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrStreamEnded, err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if err := each(text); err != nil {
			return err
		}
	}
}
