package http

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"

	"sluice/config"
	"sluice/event"
	"sluice/sinks"
)

// validateAnswers checks what becomes of answers.
func (c *Config) validateAnswers() error {
	err := c.Answers.Validate()
	if c.Replies() && c.Mode == Batch {
		return errors.Join(err, config.Invalid("reply", "the answer to a batch says which deliveries have failed; write another mode, or leave reply out"))
	}
	return err
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
		return nil, fmt.Errorf("it is encoded as %s; send it as it is", sinks.Excerpt([]byte(encoding)))
	}
	return sinks.DecodeReply(header, body)
}
