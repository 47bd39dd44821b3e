package logs

import (
	"fmt"
	"regexp"
	"strings"
)

// maxFilter bounds a filter, in bytes.
const maxFilter = 1024

// ParseFilter makes a Query's Match of what a user writes: a text that the line
// or its request id contains, or a regular expression (RE2) between slashes.
func ParseFilter(text string) (func(*Entry) bool, error) {
	if len(text) > maxFilter {
		return nil, fmt.Errorf("the filter has %d bytes: at most %d", len(text), maxFilter)
	}
	inner, slash := strings.CutPrefix(text, "/")
	inner, both := strings.CutSuffix(inner, "/")
	if !slash || !both || inner == "" {
		return func(e *Entry) bool { return strings.Contains(e.Text, text) || strings.Contains(e.RequestID, text) }, nil
	}
	expression, err := regexp.Compile(inner)
	if err != nil {
		return nil, fmt.Errorf("the filter %q is no regular expression: %w", text, err)
	}
	return func(e *Entry) bool { return expression.MatchString(e.Text) || expression.MatchString(e.RequestID) }, nil
}
