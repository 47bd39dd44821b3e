package transform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"

	"github.com/itchyny/gojq"

	"sluice/event"
)

// The keys of a transform that is written as a mapping.
const (
	keyData        = "data"
	keyEvent       = "event"
	keyTemplate    = "template"
	keyContentType = "content_type"
)

const mediaTypeJSON = "application/json"

// A Transform makes another event of each, or none.
type Transform struct {
	data, whole *Expression // one of them, or a body
	body        *body
	contentType string // of the new payload
}

// A ConfigError is what is wrong with a transform as it is written.
type ConfigError struct {
	path    []any
	message string
}

// Path returns where it is, below the transform: keys and indices.
func (e *ConfigError) Path() []any { return e.path }

// Message returns the error without its place.
func (e *ConfigError) Message() string { return e.message }

func (e *ConfigError) Error() string {
	if len(e.path) == 0 {
		return e.message
	}
	return pathText(e.path) + ": " + e.message
}

func pathText(path []any) string {
	var b strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, step)
		}
	}
	return b.String()
}

const wanted = "write jq as text, or one of {data: jq}, {event: jq} and {template: …}"

// FromValue reads a transform as it stands in the file, as a JSON value: jq as a
// text, or a mapping with data, event or template. Its errors are joined, each a
// *ConfigError.
func FromValue(value any) (*Transform, error) {
	switch value := value.(type) {
	case string:
		x, err := Compile(value)
		if err != nil {
			return nil, &ConfigError{message: err.Error()}
		}
		return &Transform{data: x, contentType: mediaTypeJSON}, nil
	case map[string]any:
		return fromMapping(value)
	}
	return nil, &ConfigError{message: wanted}
}

func fromMapping(keys map[string]any) (*Transform, error) {
	t := &Transform{contentType: mediaTypeJSON}
	var all []error
	forms := 0
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		var err error
		switch key {
		case keyData:
			forms++
			t.data, err = expressionAt(key, keys[key])
		case keyEvent:
			forms++
			t.whole, err = expressionAt(key, keys[key])
		case keyTemplate:
			forms++
			t.body, err = newBody(keys[key], []any{key})
		case keyContentType:
			t.contentType, err = contentType(keys[key])
		default:
			err = &ConfigError{path: []any{key}, message: "unknown key: there is data, event, template and content_type"}
		}
		all = append(all, err)
	}
	_, typed := keys[keyContentType]
	switch err := errors.Join(all...); {
	case err != nil:
		return nil, err
	case forms != 1:
		return nil, &ConfigError{message: fmt.Sprintf("found %d of data, event and template: %s", forms, wanted)}
	case typed && t.whole != nil:
		return nil, &ConfigError{path: []any{keyContentType}, message: "with event the content type is an attribute of the event: set .datacontenttype in jq"}
	}
	return t, nil
}

func expressionAt(key string, value any) (*Expression, error) {
	source, ok := value.(string)
	if !ok {
		return nil, &ConfigError{path: []any{key}, message: "expected jq as text"}
	}
	x, err := Compile(source)
	if err != nil {
		return nil, &ConfigError{path: []any{key}, message: err.Error()}
	}
	return x, nil
}

func contentType(value any) (string, error) {
	text, _ := value.(string)
	if _, _, err := mime.ParseMediaType(text); err != nil || !strings.Contains(text, "/") {
		return "", &ConfigError{path: []any{keyContentType}, message: fmt.Sprintf("found %q; write a media type such as text/plain", text)}
	}
	return text, nil
}

// Apply returns the event that is delivered instead of e, which stays as it is.
//
// It returns ErrNothing when there is none. ErrSlow and ctx's errors may pass;
// all others come again with every attempt.
func (t *Transform) Apply(ctx context.Context, e *event.Event) (*event.Event, error) {
	in, err := NewInput(e)
	if err != nil {
		return nil, err
	}
	if t.whole != nil {
		return t.applyWhole(ctx, in)
	}
	var result any
	if t.data != nil {
		result, err = t.data.Run(ctx, in)
	} else {
		result, err = t.filled(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	payload, err := t.payload(result)
	if err != nil {
		return nil, err
	}
	changed := *e
	changed.Data, changed.DataContentType, changed.DataSchema = payload, t.contentType, ""
	return &changed, nil
}

// filled returns the value of a template, which as a whole is bounded as each
// expression in it is.
func (t *Transform) filled(ctx context.Context, in *Input) (any, error) {
	result, err := t.body.fill(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := newMeter(ctx, in.size).payDeep(result, 4); err != nil {
		return nil, t.wrong(err)
	}
	return result, nil
}

// payload encodes a result as the content type asks for.
func (t *Transform) payload(result any) ([]byte, error) {
	if !event.IsJSON(t.contentType) {
		text, ok := result.(string)
		if !ok {
			return nil, t.wrong(fmt.Errorf("the content type is %s and the result is %s: yield a text", t.contentType, describe(result)))
		}
		return []byte(text), nil
	}
	payload, err := marshal(result)
	if err != nil {
		return nil, t.wrong(err)
	}
	return payload, nil
}

func (t *Transform) applyWhole(ctx context.Context, in *Input) (*event.Event, error) {
	result, err := t.whole.Run(ctx, in)
	if err != nil {
		return nil, err
	}
	if _, ok := result.(map[string]any); !ok {
		return nil, t.wrong(fmt.Errorf("the result is %s, and should be an event: an object", describe(result)))
	}
	text, err := marshal(result)
	if err != nil {
		return nil, t.wrong(err)
	}
	changed, err := event.DecodeJSON(text)
	if err == nil {
		err = errors.Join(changed.Validate(), event.CheckSize(&changed, MaxSize))
	}
	if err != nil {
		return nil, t.wrong(fmt.Errorf("the result is no event: %s", strings.ReplaceAll(err.Error(), "\n", "; ")))
	}
	return &changed, nil
}

func (t *Transform) wrong(err error) error {
	switch {
	case t.whole != nil:
		return &EvalError{Expression: t.whole.source, Err: err}
	case t.data != nil:
		return &EvalError{Expression: t.data.source, Err: err}
	}
	return fmt.Errorf("the template: %w", err)
}

// marshal encodes a value that an expression has yielded, and paid for.
func marshal(v any) ([]byte, error) {
	text, err := gojq.Marshal(v)
	if err == nil && len(text) > MaxSize {
		err = fmt.Errorf("the result has %d bytes, at most %d", len(text), MaxSize)
	}
	return text, err
}

func describe(v any) string {
	switch gojq.TypeOf(v) {
	case "null":
		return "null"
	case "array", "object":
		return "an " + gojq.TypeOf(v)
	case "string":
		return "a text"
	}
	return "a " + gojq.TypeOf(v)
}
