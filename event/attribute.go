package event

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// setAttribute sets an attribute from its canonical string form. The names
// specversion and datacontenttype are not among them: they are read on their
// own.
func (e *Event) setAttribute(name, value string) error {
	switch name {
	case "id":
		e.ID = value
	case "source":
		e.Source = value
	case "type":
		e.Type = value
	case "subject":
		e.Subject = value
	case "dataschema":
		e.DataSchema = value
	case "time":
		parsed, err := parseTime(name, value)
		e.Time = parsed
		return err
	default:
		return e.addExtension(name, value)
	}
	return nil
}

func (e *Event) addExtension(name string, value any) error {
	if err := checkExtensionName(name); err != nil {
		return err
	}
	if e.Extensions == nil {
		e.Extensions = make(map[string]any, 4)
	}
	e.Extensions[name] = value
	return nil
}

// parseTime reads an RFC 3339 time. Go knows no leap seconds: 23:59:60 is
// refused.
func parseTime(name, value string) (time.Time, error) {
	var parsed time.Time
	if err := parsed.UnmarshalText([]byte(value)); err == nil {
		return parsed, nil
	}
	// RFC 3339, section 5.6 allows a small t and z.
	if err := parsed.UnmarshalText(bytes.ToUpper([]byte(value))); err == nil {
		return parsed, nil
	}
	return time.Time{}, invalid(name, "%s is not an RFC 3339 time: write one such as 2026-01-31T15:04:05Z", quoted(value))
}

// checkSpecVersion refuses every version but 1.0.
func checkSpecVersion(value string) error {
	if value == SpecVersion {
		return nil
	}
	if value == "" {
		return invalid("specversion", "missing: every event needs specversion %q", SpecVersion)
	}
	return invalid("specversion", "%s is not supported: send %q", quoted(value), SpecVersion)
}

// parseInt32 reads the string form of an Integer, CloudEvents section 3.2:
// digits with or without a minus sign.
func parseInt32(text string) (int32, bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return int32(n), err == nil && !strings.HasPrefix(text, "+")
}
