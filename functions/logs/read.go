package logs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clockSlack is by how much the lines of a segment may lie beside the times
// that the names of segments say: workers note their lines before they are
// written.
const clockSlack = time.Minute

// An Entry is one stored line.
type Entry struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"request_id,omitempty"`
	Worker    string    `json:"worker,omitempty"`
	// Platform is set on lines that are about the function: START, END, REPORT.
	Platform bool   `json:"platform,omitempty"`
	Text     string `json:"text"`
}

// A Position is a place between two lines of a function's log. It stays valid
// over restarts; when what it points at was removed, it stands for the oldest
// line that there is.
type Position struct {
	segment string
	offset  int64
}

// ErrPosition means that a text is no Position.
var ErrPosition = errors.New("it is no position in a log")

// ParsePosition reads what String has written.
func ParsePosition(text string) (Position, error) {
	begun, offset, _ := strings.Cut(text, "+")
	at, err := strconv.ParseInt(offset, 10, 64)
	if err != nil || at < 0 || segmentTime(begun+segmentSuffix).IsZero() {
		return Position{}, fmt.Errorf("%w: %.100q", ErrPosition, text)
	}
	return Position{segment: begun + segmentSuffix, offset: at}, nil
}

// String is for ParsePosition. It is empty for the zero Position, the beginning.
func (p Position) String() string {
	if p.segment == "" {
		return ""
	}
	return strings.TrimSuffix(p.segment, segmentSuffix) + "+" + strconv.FormatInt(p.offset, 10)
}

// A Query selects lines of one function.
type Query struct {
	Function string
	// Since and Until bound their times; zero is no bound.
	Since, Until time.Time
	// Match takes a line or not; nil takes all.
	Match func(*Entry) bool
	// After leaves out what stands before it.
	After Position
	// Last leaves out all but the newest so many; 0 leaves out none.
	Last int
}

func (q *Query) takes(e *Entry) bool {
	return (q.Since.IsZero() || !e.Time.Before(q.Since)) && (q.Until.IsZero() || e.Time.Before(q.Until)) &&
		(q.Match == nil || q.Match(e))
}

// Read calls fn with the lines that a query selects, in the order in which they
// were written, and with the position behind each. It returns the position behind
// all that it has looked at, from which another Read goes on. A function that has
// never written has no lines.
func (s *Store) Read(ctx context.Context, q Query, fn func(*Entry, Position) error) (Position, error) {
	segments, err := s.between(&q)
	if err != nil {
		return q.After, err
	}
	if q.Last > 0 {
		if q.After, err = s.lastFrom(ctx, &q, segments); err != nil {
			return q.After, err
		}
	}
	at := q.After
	for i := range segments {
		if segments[i].name < at.segment {
			continue
		}
		if at.segment != segments[i].name {
			at = Position{segment: segments[i].name}
		}
		at, err = s.scan(ctx, q.Function, at, func(e *Entry, behind Position) error {
			if !q.takes(e) {
				return nil
			}
			return fn(e, behind)
		})
		if err != nil {
			return at, err
		}
	}
	return at, nil
}

// between returns the segments that may hold lines of the query's times, behind
// its position.
func (s *Store) between(q *Query) ([]segment, error) {
	segments, err := listSegments(s.root, q.Function)
	if err != nil {
		return nil, fmt.Errorf("the log of %q: %w", q.Function, err)
	}
	selected := segments[:0:0]
	for i := range segments {
		ended := i+1 < len(segments) && !q.Since.IsZero() && segmentTime(segments[i+1].name).Add(clockSlack).Before(q.Since)
		later := !q.Until.IsZero() && segmentTime(segments[i].name).Add(-clockSlack).After(q.Until)
		if !ended && !later && segments[i].name >= q.After.segment {
			selected = append(selected, segments[i])
		}
	}
	return selected, nil
}

// lastFrom returns the position before the newest lines that a query takes.
func (s *Store) lastFrom(ctx context.Context, q *Query, segments []segment) (Position, error) {
	left := q.Last
	for _, one := range slices.Backward(segments) {
		from := Position{segment: one.name}
		if q.After.segment == one.name {
			from = q.After
		}
		befores := make([]Position, 0, min(left, 1024)) // a ring of the newest
		count, before := 0, from
		_, err := s.scan(ctx, q.Function, from, func(e *Entry, behind Position) error {
			if q.takes(e) {
				if len(befores) < left {
					befores = append(befores, before)
				} else {
					befores[count%left] = before
				}
				count++
			}
			before = behind
			return nil
		})
		if err != nil {
			return q.After, err
		}
		if count >= left {
			return befores[count%left], nil
		}
		left -= count
	}
	return q.After, nil
}

// checkEvery is after how many lines a reader looks whether it is still wanted.
const checkEvery = 256

// scan calls fn with the lines of one segment behind a position. What has no end
// is left for later, what is no line is skipped.
func (s *Store) scan(ctx context.Context, name string, at Position, fn func(*Entry, Position) error) (Position, error) {
	file, err := s.root.Open(path.Join(linesFolder, name, at.segment))
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil // it was too old
	}
	if err != nil {
		return at, err
	}
	defer func() { _ = file.Close() }()
	return scanFile(ctx, file, at, fn)
}

func scanFile(ctx context.Context, file *os.File, at Position, fn func(*Entry, Position) error) (Position, error) {
	if _, err := file.Seek(at.offset, io.SeekStart); err != nil {
		return at, err
	}
	lines := bufio.NewReaderSize(file, 64<<10)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return at, nil
		}
		if n%checkEvery == 0 && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return at, err
		}
		at.offset += int64(len(text))
		var entry Entry
		if json.Unmarshal(text, &entry) != nil {
			continue
		}
		if err := fn(&entry, at); err != nil {
			return at, err
		}
	}
}
