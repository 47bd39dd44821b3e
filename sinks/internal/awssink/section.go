// Package awssink is what the sinks of AWS services share: the keys that all of
// them have, requests of several entries within the bounds of a service, and what
// becomes of a delivery by the service's answer.
package awssink

import (
	"context"
	"errors"
	"fmt"

	"sluice/config"
	"sluice/connect/awsconn"
	"sluice/event/transform"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// A Section is what the section of each sink begins with.
type Section struct {
	config.AWS `yaml:",inline"`
	// Egress is empty for that of the whole installation.
	Egress sinkhttp.Egress `yaml:"egress"`
}

// Validate returns everything that is wrong, each problem with its key.
func (s *Section) Validate() error { return errors.Join(s.AWS.Validate(), s.Egress.Validate()) }

// Session returns what clients are made of. Their connections pass the egress
// guard, and end with the context alone.
func (s *Section) Session(env sinks.Env) (*awsconn.Session, error) {
	guard := s.Egress.Guard(env.Egress)
	return awsconn.New(&s.AWS, awsconn.Options{Dialer: guard.Dialer(awsconn.DialTimeout)})
}

// A Text is a key whose value may be a template.
type Text struct {
	key, fixed string
	template   *transform.Template // nil when it is always the same
}

// NewText reads the value of a key.
func NewText(key, value string) (Text, error) {
	if !transform.IsTemplate(value) {
		return Text{key: key, fixed: value}, nil
	}
	template, err := transform.ParseTemplate(value)
	if err != nil {
		return Text{}, config.Invalid(key, "%v", err)
	}
	return Text{key: key, template: template}, nil
}

// IsTemplate tells whether the value is made anew for each event.
func (t *Text) IsTemplate() bool { return t.template != nil }

// String returns a value that is always the same.
func (t *Text) String() string { return t.fixed }

// Fill returns the value for an event.
func (t *Text) Fill(ctx context.Context, in *transform.Input) (string, error) {
	if t.template == nil {
		return t.fixed, nil
	}
	text, err := t.template.Text(ctx, in, func(part string) (string, error) { return part, nil })
	if err != nil {
		return "", fmt.Errorf("%s: %w", t.key, err)
	}
	return text, nil
}
