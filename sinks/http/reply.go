package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/config"
	"sluice/event"
	"sluice/sinks"
)

// A Reply says what becomes of the worker's answers.
type Reply string

// ReplyPublish makes an answer into events, which are published before the
// delivery is done. Without it answers are of no matter.
const ReplyPublish Reply = "publish"

// maxHopsLimit bounds what can be configured.
const maxHopsLimit = 100

// Replies tells whether answers are published as events.
func (c *Config) Replies() bool { return c.Reply == ReplyPublish }

func (c *Config) validateReply() error {
	var problems []error
	switch {
	case c.Reply != "" && c.Reply != ReplyPublish:
		problems = append(problems, config.Invalid("reply", "found %q; write publish, or leave it out", c.Reply))
	case c.Reply == ReplyPublish && c.Mode == Batch:
		problems = append(problems, config.Invalid("reply", "the answer to a batch says which deliveries have failed; write another mode, or leave reply out"))
	}
	if c.MaxHops < 1 || c.MaxHops > maxHopsLimit {
		problems = append(problems, config.Invalid("max_hops", "found %d; write a whole number from 1 to %d", c.MaxHops, maxHopsLimit))
	}
	return errors.Join(problems...)
}

// A replier makes answers into events; nil makes none.
type replier struct {
	name    string // of the function or trigger
	maxHops int
}

// events returns what a settled answer is to be published as. Its errors are
// permanent: nothing is cut, and nothing guessed.
func (r *replier) events(resp *fasthttp.Response, cut bool, d *sinks.Delivery) ([]event.Event, error) {
	switch status := resp.StatusCode(); {
	case r == nil || status/100 != 2 || status == http.StatusAccepted || status == http.StatusNoContent:
		return nil, nil
	case cut:
		return nil, sinks.Permanent(fmt.Errorf("the answer cannot be published: it is over %v", MaxResponse))
	}
	replies, err := decodeReply(resp)
	if err != nil {
		return nil, sinks.Permanent(fmt.Errorf("the answer cannot be published: %w", err))
	}
	return replies, sinks.CompleteReplies(d, r.name, r.maxHops, replies)
}

func decodeReply(resp *fasthttp.Response) ([]event.Event, error) {
	header := http.Header{}
	for name, value := range resp.Header.All() {
		header.Add(string(name), string(value))
	}
	body := bytes.Clone(resp.Body())
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, fmt.Errorf("it is encoded as %s; send it as it is", excerpt([]byte(encoding)))
	}
	replies, mode, err := event.DecodeHTTP(header, body)
	if err != nil || mode != event.ModeNone || len(body) == 0 {
		return replies, err
	}
	contentType := header.Get("Content-Type")
	switch {
	case contentType == "":
		return nil, errors.New("it has a body and no Content-Type; say what the body is, such as application/json")
	case event.IsJSON(contentType) && !json.Valid(body):
		return nil, fmt.Errorf("its Content-Type says JSON, but the body is not: %s", excerpt(body))
	}
	return []event.Event{{Type: sinks.ReplyType, Time: time.Now().UTC(), DataContentType: contentType, Data: body}}, nil
}
