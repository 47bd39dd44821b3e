package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Key says by what a limit tells events apart: the values of these fields.
// Without fields it does not tell them apart.
type Key []Field

// A Field is where a value stands in an event as patterns see it, step by step:
// an attribute or an extension, or data and what is below it.
type Field []string

// The bounds of keys.
const (
	maxKeyFields = 8
	maxFieldPath = 512 // bytes
)

// fieldExample says what a field looks like.
const fieldExample = "such as data.tenant, subject, or an extension"

// UnmarshalNode reads one field or several.
func (k *Key) UnmarshalNode(n *Node) error {
	*k = nil
	if n.kind != sequenceNode {
		return k.add("", n)
	}
	if len(n.items) == 0 || len(n.items) > maxKeyFields {
		return Invalid("", "expected a field of the event, or a list of 1 to %d, found a list of %d", maxKeyFields, len(n.items))
	}
	var all []error
	for i, item := range n.items {
		all = append(all, k.add(fmt.Sprintf("[%d]", i), item))
	}
	return errors.Join(all...)
}

func (k *Key) add(key string, n *Node) error {
	if n.kind != scalarNode || n.isNull() {
		return Invalid(key, "expected a field of the event, %s, found %s", fieldExample, n.describe())
	}
	field, err := parseField(n.text)
	if err != nil {
		if problem, ok := errors.AsType[*Problem](err); ok {
			problem.Key = key
		}
		return err
	}
	*k = append(*k, field)
	return nil
}

// has tells whether an attribute is one of the fields.
func (k Key) has(attribute string) bool {
	return slices.ContainsFunc(k, func(f Field) bool { return len(f) == 1 && f[0] == attribute })
}

// String returns the key as it is written.
func (k Key) String() string {
	fields := make([]string, len(k))
	for i, f := range k {
		fields[i] = f.String()
	}
	return strings.Join(fields, ", ")
}

// attributeName is how CloudEvents names attributes (1.0.2, section 3.1).
var attributeName = regexp.MustCompile(`^[a-z0-9]{1,20}$`)

// String returns the field as it is written.
func (f Field) String() string {
	steps := make([]string, len(f))
	for i, step := range f {
		steps[i] = step
		if step == "" || strings.IndexFunc(step, needsQuotes) >= 0 {
			quoted, _ := json.Marshal(step) //nolint:errchkjson // a string
			steps[i] = string(quoted)
		}
	}
	return strings.Join(steps, ".")
}

// needsQuotes tells whether a step with this character must stand in quotes.
func needsQuotes(r rune) bool { return hidden(r) || strings.ContainsRune(" .\"'[]*$,", r) }

// parseField reads a field as it is written.
func parseField(text string) (Field, error) {
	if text == "" || len(text) > maxFieldPath {
		return nil, Invalid("", "expected a field of the event, %s, found %s", fieldExample, quoteShort(text))
	}
	if strings.HasPrefix(text, "$.") {
		return nil, &Problem{Message: quoteShort(text) + " is no field: there is nothing above an event", Suggestion: text[2:]}
	}
	var field Field
	for rest, more := text, true; more; {
		step, after, err := nextStep(rest)
		if err != nil {
			return nil, Invalid("", "%s is no field: %s", quoteShort(text), err.Error())
		}
		field = append(field, step)
		rest, more = strings.CutPrefix(after, ".")
	}
	return field, field.validate(text)
}

// nextStep reads one step, and returns what stands behind it: nothing, or a dot
// and more.
func nextStep(text string) (step, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		return quotedStep(text)
	}
	end := strings.IndexByte(text, '.')
	if end < 0 {
		end = len(text)
	}
	step, rest = text[:end], text[end:]
	at := strings.IndexFunc(step, needsQuotes)
	switch {
	case step == "":
		return "", "", errors.New(`a name is missing at a dot: write data.a.b, and data."" for a name that is empty`)
	case at >= 0 && strings.IndexByte("[]*", step[at]) >= 0:
		return "", "", fmt.Errorf("a key has no places of lists: end it at the list, or put %s in double quotes if it is a name", quoteShort(step))
	case at >= 0:
		return "", "", fmt.Errorf("put the name %s in double quotes", quoteShort(step))
	}
	return step, rest, nil
}

func quotedStep(text string) (step, rest string, err error) {
	end := 1
	for end < len(text) && text[end] != '"' {
		if text[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(text) {
		return "", "", errors.New("a double quote is not closed")
	}
	step, rest = text[:end+1], text[end+1:]
	if err := json.Unmarshal([]byte(step), &step); err != nil {
		return "", "", fmt.Errorf("%s is no text as JSON has it", quoteShort(step))
	}
	if rest != "" && rest[0] != '.' {
		return "", "", errors.New("a dot must follow the closing quote")
	}
	return step, rest, nil
}

// validate checks that an event can have the field.
func (f Field) validate(text string) error {
	first := f[0]
	lower := strings.ToLower(first)
	switch {
	case first == "data":
		return nil
	case lower == "data" || attributeName.MatchString(lower) && lower != first:
		return &Problem{Message: quoteShort(text) + " is no field: attributes of events have small letters", Suggestion: Field(append([]string{lower}, f[1:]...)).String()}
	case !attributeName.MatchString(first):
		return &Problem{
			Message:    quoteShort(text) + " is no field: an attribute or extension has at most 20 of a-z and 0-9, and what is in the payload stands below data",
			Suggestion: inData(f),
		}
	case len(f) > 1:
		return &Problem{Message: fmt.Sprintf("%s is no field: the attribute %q has nothing below it; what is in the payload stands below data", quoteShort(text), first), Suggestion: inData(f)}
	}
	return nil
}

// inData is the field of this name in the payload.
func inData(f Field) string { return Field(append([]string{"data"}, f...)).String() }
