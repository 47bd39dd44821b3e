package sinks

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sluice/config"
	"sluice/event"
)

// Answers are the keys of a section that say what becomes of a worker's
// answers. A section whose sink can publish them embeds it.
type Answers struct {
	// Reply is empty, so that answers are of no matter, or ReplyPublish.
	Reply string `yaml:"reply"`
	// MaxHops is how many replies may follow one from another, from 1 to 100.
	MaxHops int `yaml:"max_hops"`
}

// ReplyPublish makes an answer into events, which are published before the
// delivery is done.
const ReplyPublish = "publish"

// maxHopsLimit bounds what can be configured.
const maxHopsLimit = 100

// DefaultAnswers are of no matter.
func DefaultAnswers() Answers { return Answers{MaxHops: DefaultMaxHops} }

// Replies tells whether answers are published as events.
func (a *Answers) Replies() bool { return a.Reply == ReplyPublish }

// Validate checks the keys.
func (a *Answers) Validate() error {
	var problems []error
	if a.Reply != "" && a.Reply != ReplyPublish {
		problems = append(problems, config.Invalid("reply", "found %q; write publish, or leave it out", a.Reply))
	}
	if a.MaxHops < 1 || a.MaxHops > maxHopsLimit {
		problems = append(problems, config.Invalid("max_hops", "found %d; write a whole number from 1 to %d", a.MaxHops, maxHopsLimit))
	}
	return errors.Join(problems...)
}

// DecodeReply returns what an answer of success is to be published as: the
// events that it is, or one of the type ReplyType whose data it is.
func DecodeReply(header http.Header, body []byte) ([]event.Event, error) {
	replies, mode, err := event.DecodeHTTP(header, body)
	if err != nil || mode != event.ModeNone || len(body) == 0 {
		return replies, err
	}
	contentType := header.Get("Content-Type")
	switch {
	case contentType == "":
		return nil, errors.New("it has a body and no Content-Type; say what the body is, such as application/json")
	case event.IsJSON(contentType) && !json.Valid(body):
		return nil, fmt.Errorf("its Content-Type says JSON, but the body is not: %s", Excerpt(body))
	}
	return []event.Event{{Type: ReplyType, Time: time.Now().UTC(), DataContentType: contentType, Data: body}}, nil
}
