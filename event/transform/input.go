package transform

import (
	"bytes"
	"encoding/json"
	"fmt"

	"sluice/event"
)

// maxDigits is how long a number may be that is written out.
const maxDigits = 1000

// An Input is an event as expressions see it: CloudEvents JSON, with the
// attributes at the top and the payload under data, or under data_base64 where
// it is no text. It is not changed by what reads it.
type Input struct {
	value map[string]any
	size  int
}

// NewInput reads an event. Its error wraps event.ErrTooLarge when the event is
// over MaxSize.
func NewInput(e *event.Event) (*Input, error) {
	if size := event.Size(e); size > MaxSize {
		return nil, tooLarge(size)
	}
	return inputOf(e.AppendJSON(make([]byte, 0, len(e.Data)+512)))
}

// InputFromJSON reads CloudEvents JSON as it stands.
func InputFromJSON(text []byte) (*Input, error) { return inputOf(text) }

func inputOf(text []byte) (*Input, error) {
	if len(text) > MaxSize {
		return nil, tooLarge(len(text))
	}
	in := &Input{size: len(text)}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // so that what is passed on stays as it was written
	if err := decoder.Decode(&in.value); err != nil {
		return nil, fmt.Errorf("the event cannot be read as CloudEvents JSON: %w", err)
	}
	if err := checkNumbers(in.value); err != nil {
		return nil, err
	}
	return in, nil
}

func tooLarge(size int) error {
	return fmt.Errorf("the event cannot be transformed: %w: %d bytes, at most %d", event.ErrTooLarge, size, MaxSize)
}

func checkNumbers(v any) error {
	switch v := v.(type) {
	case json.Number:
		if len(v) > maxDigits {
			return fmt.Errorf("the event has a number of %d digits: at most %d", len(v), maxDigits)
		}
	case []any:
		for _, item := range v {
			if err := checkNumbers(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, item := range v {
			if err := checkNumbers(item); err != nil {
				return err
			}
		}
	}
	return nil
}
