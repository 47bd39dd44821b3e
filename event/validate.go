package event

import (
	"errors"
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Validate tells whether the event keeps the rules of CloudEvents 1.0.2,
// sections 3 and 4. It returns all problems, joined, each an *InvalidError that
// names the attribute. The data is not looked at.
func (e *Event) Validate() error {
	problems := appendError(nil, checkRequired("id", e.ID))
	if err := checkRequired("source", e.Source); err != nil {
		problems = append(problems, err)
	} else {
		problems = appendError(problems, checkURIReference("source", e.Source))
	}
	problems = appendError(problems, checkRequired("type", e.Type))
	problems = appendError(problems, checkText("subject", e.Subject))
	problems = appendError(problems, checkTime(e))
	if e.DataContentType != "" {
		problems = appendError(problems, checkMediaType("datacontenttype", e.DataContentType))
	}
	if e.DataSchema != "" {
		problems = appendError(problems, checkURI("dataschema", e.DataSchema))
	}
	for _, name := range e.extensionNames() {
		problems = appendError(problems, checkExtension(name, e.Extensions[name]))
	}
	return errors.Join(problems...)
}

func appendError(problems []error, err error) []error {
	if err == nil {
		return problems
	}
	return append(problems, err)
}

func checkRequired(name, value string) error {
	if value == "" {
		return invalid(name, "missing: every event needs a non-empty %s", name)
	}
	return checkText(name, value)
}

// checkTime refuses what RFC 3339 cannot write: years of more or fewer than
// four digits, and zones that are a day or more away or not whole minutes.
func checkTime(e *Event) error {
	_, offset := e.Time.Zone()
	if year := e.Time.Year(); year < 0 || year > 9999 {
		return invalid("time", "the year %d cannot be written as RFC 3339: use 0000 to 9999", year)
	}
	if offset%60 != 0 || offset <= -24*3600 || offset >= 24*3600 {
		return invalid("time", "a zone of %d s from UTC cannot be written as RFC 3339", offset)
	}
	return nil
}

// checkExtension tells whether name and value may be an extension attribute.
func checkExtension(name string, value any) error {
	if err := checkExtensionName(name); err != nil {
		return err
	}
	switch v := value.(type) {
	case bool, int32:
		return nil
	case string:
		return checkText(name, v)
	default:
		return invalid(name, "a value of type %T: use a string, a bool or an int32", value)
	}
}

// checkExtensionName applies the naming conventions of section 3.1.
func checkExtensionName(name string) error {
	if isCore(name) || name == "data" {
		return invalid(name, "no extension may have the name of a CloudEvents attribute or of the data")
	}
	return checkName(name)
}

// checkName tells whether name is made of a to z and 0 to 9.
func checkName(name string) error {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return invalid(strconv.Quote(name), "attribute names are made of lower-case letters and digits")
		}
	}
	if name == "" {
		return invalid(`""`, "an attribute has no name")
	}
	return nil
}

func isCore(name string) bool {
	switch name {
	case "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema":
		return true
	}
	return false
}

// checkText applies section 3.2's rules for strings: valid UTF-8 without
// control characters and noncharacters. So nothing can break out of a header.
func checkText(name, value string) error {
	for i, r := range value {
		if r >= 0x20 && r < 0x7f {
			continue
		}
		if !allowedRune(r, value[i:]) {
			return invalid(name, "%s: the character at byte %d is not allowed: "+
				"control characters, noncharacters and invalid UTF-8 are not", quoted(value), i)
		}
	}
	return nil
}

func allowedRune(r rune, rest string) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f:
		return false
	case r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe:
		return false
	case r == utf8.RuneError:
		_, width := utf8.DecodeRuneInString(rest)
		return width > 1
	}
	return true
}

// checkMediaType tells whether value is a media type with its parameters, RFC
// 2046.
func checkMediaType(name, value string) error {
	switch value {
	case "application/json", "text/plain", "application/octet-stream":
		return nil
	}
	parsed, _, err := mime.ParseMediaType(value)
	if err != nil || !printable(value) || !isTypeAndSubtype(parsed) {
		return invalid(name, "%s is not a media type: write one such as application/json", quoted(value))
	}
	return nil
}

func isTypeAndSubtype(mediaType string) bool {
	kind, subtype, found := strings.Cut(mediaType, "/")
	return found && kind != "" && subtype != ""
}

// printable tells whether value is made of printable ASCII characters.
func printable(value string) bool {
	for i := range len(value) {
		if value[i] < 0x20 || value[i] > 0x7e {
			return false
		}
	}
	return true
}

// quoted returns foreign text for a message: escaped, and cut when it is long.
func quoted(value string) string {
	const most = 80
	if len(value) <= most {
		return strconv.Quote(value)
	}
	return strconv.Quote(value[:most]) + "…"
}
