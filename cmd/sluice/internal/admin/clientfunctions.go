package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"sluice/functions/logs"
)

// Functions returns how the functions stand, in the order of the file.
func (c *Client) Functions(ctx context.Context) ([]Function, error) {
	var answer struct {
		Functions []Function `json:"functions"`
	}
	err := c.do(ctx, http.MethodGet, c.path("functions"), nil, &answer)
	return answer.Functions, err
}

// Invoke calls a function at once with a payload, JSON. An error of the function
// is no error here.
func (c *Client) Invoke(ctx context.Context, name string, payload json.RawMessage) (Invoked, error) {
	var answer Invoked
	err := c.do(ctx, http.MethodPost, c.path("functions", name, "invoke"), payload, &answer)
	return answer, err
}

// Usage returns what functions have used between two times, by day of UTC.
func (c *Client) Usage(ctx context.Context, since, until time.Time) ([]logs.Day, error) {
	at := c.path("usage")
	at.RawQuery = url.Values{"since": {since.UTC().Format(time.RFC3339)}, "until": {until.UTC().Format(time.RFC3339)}}.Encode()
	var answer struct {
		Days []logs.Day `json:"days"`
	}
	err := c.do(ctx, http.MethodGet, at, nil, &answer)
	return answer.Days, err
}
