package file

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sluice/event"
)

// The types of the events.
const (
	TypeCreated = "file.created"
	TypeChanged = "file.changed"
	TypeRemoved = "file.removed"
)

type payload struct {
	Folder   string `json:"folder"`
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	Modified string `json:"modified"`

	Content       *string `json:"content,omitempty"`
	ContentBase64 *string `json:"content_base64,omitempty"`
}

// event returns the event of a change. Its id follows from the path and the state
// alone.
func (c *change) event(folder string, content []byte) (event.Event, error) {
	modified := time.Unix(0, c.state.modified).UTC()
	p := payload{Folder: folder, Path: c.path, Size: c.state.size, Modified: modified.Format(time.RFC3339Nano)}
	if content != nil {
		p.setContent(content)
	}
	data, err := json.Marshal(p)
	if err != nil {
		return event.Event{}, err
	}
	escaped := (&url.URL{Path: "/" + c.path}).EscapedPath()[1:]
	e := event.Event{
		ID:              fmt.Sprintf("%s@%d-%d-%d", escaped, c.state.modified, c.state.size, c.state.inode),
		Source:          (&url.URL{Scheme: "file", Path: folder}).String(),
		Type:            TypeCreated,
		Subject:         c.path,
		Time:            modified,
		DataContentType: "application/json",
		Data:            data,
	}
	if strings.ContainsFunc(c.path, forbidden) {
		e.Subject = escaped
	}
	e.Extensions = map[string]any{"partitionkey": e.Subject}
	switch {
	case c.gone:
		e.ID, e.Type, e.Time = e.ID+"/removed", TypeRemoved, c.at.UTC()
	case c.known:
		e.Type = TypeChanged
	}
	return e, nil
}

func (p *payload) setContent(content []byte) {
	text := string(content)
	if utf8.Valid(content) {
		p.Content = &text
		return
	}
	text = base64.StdEncoding.EncodeToString(content)
	p.ContentBase64 = &text
}

// forbidden is what attributes may not have (CloudEvents 1.0.2, section 3.1.1).
func forbidden(r rune) bool {
	return unicode.IsControl(r) || r&0xFFFE == 0xFFFE || (r >= 0xFDD0 && r <= 0xFDEF)
}

// content reads a file that is as it was seen; false when it is not any more.
func content(root *os.Root, path string, seen state) ([]byte, bool, error) {
	file, err := root.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = file.Close() }()
	data := make([]byte, seen.size)
	_, err = io.ReadFull(file, data)
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // io.ReadFull's own
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	info, err := file.Stat()
	return data, err == nil && stateOf(info) == seen, err
}
