// Package page writes what programs have found into pages of the documentation.
package page

import (
	"fmt"
	"os"
	"strings"
)

// Update replaces what stands in a file in Markdown between the lines
// <!-- NAME: begin --> and <!-- NAME: end -->, and leaves the rest as it is. It
// tells whether that has changed anything.
func Update(path, name, content string) (changed bool, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	begin, end := "<!-- "+name+": begin -->", "<!-- "+name+": end -->"
	before, rest, found := strings.Cut(string(text), begin+"\n")
	_, after, ended := strings.Cut(rest, end+"\n")
	if !found || !ended {
		return false, fmt.Errorf("%s has no lines %q and %q to write between", path, begin, end)
	}
	updated := before + begin + "\n" + content + end + "\n" + after
	if updated == string(text) {
		return false, nil
	}
	return true, os.WriteFile(path, []byte(updated), 0o644) //nolint:gosec // a page to read
}
