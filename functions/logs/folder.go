package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"sluice/functions"
)

const (
	linesFolder   = "lines"
	segmentSuffix = ".jsonl"
	segmentLayout = "20060102T150405.000000000Z"
	// segmentsIn is how many segments the bounds of a function hold: so much of
	// them goes at once.
	segmentsIn = 8
)

// errNoRoom means that the disk has nothing to give to logs.
var errNoRoom = errors.New("what is left of the disk is kept for events")

// A folder is where the lines of one function are written.
type folder struct {
	root    *os.Root
	name    string
	options *Options

	known    bool // segments was read
	segments []segment
	lost     uint64 // lines that could not be written, and are not told yet
}

// A segment is a file of lines. Its name is the time of its first line.
type segment struct {
	name     string
	size     int64
	modified time.Time
}

// write appends lines. Those that it cannot write are counted, and told with
// the next ones.
func (f *folder) write(p *pending) error {
	f.lost += p.dropped
	err := f.prepare()
	if err != nil {
		f.lost += uint64(len(p.lines))
		return err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	told := f.lost
	if told > 0 {
		_ = encoder.Encode(missing(told, f.options.Now())) // a buffer takes everything
	}
	from := 0
	for i := range p.lines {
		_ = encoder.Encode(entryOf(&p.lines[i]))
		if int64(text.Len()) < f.segmentBytes() && i+1 < len(p.lines) {
			continue
		}
		if err := f.append(text.Bytes()); err != nil {
			f.lost += uint64(len(p.lines) - from)
			return err
		}
		f.lost -= told
		told, from = 0, i+1
		text.Reset()
	}
	if told > 0 { // there were no lines beside
		err = f.append(text.Bytes())
		if err == nil {
			f.lost -= told
		}
	}
	return err
}

// missing is the line that says how many are not there.
func missing(count uint64, now time.Time) *Entry {
	lines := "lines are"
	if count == 1 {
		lines = "line is"
	}
	return &Entry{Time: now, Platform: true, Text: fmt.Sprintf("%d %s missing here: there was no room, or they came faster than they could be written", count, lines)}
}

func (f *folder) segmentBytes() int64 { return f.options.MaxBytes / segmentsIn }

// prepare sees to the folder, and that there is room.
func (f *folder) prepare() error {
	if f.options.Full() {
		return errNoRoom
	}
	if f.known {
		return nil
	}
	if err := f.root.Mkdir(f.path(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	segments, err := listSegments(f.root, f.name)
	if err != nil {
		return err
	}
	f.segments, f.known = segments, true
	return nil
}

func (f *folder) path(below ...string) string {
	return path.Join(append([]string{linesFolder, f.name}, below...)...)
}

// append writes whole lines to the newest segment, or to a new one. After an
// error none of them is there.
func (f *folder) append(lines []byte) error {
	now := f.options.Now().UTC()
	if n := len(f.segments); n == 0 || f.segments[n-1].size >= f.segmentBytes() || f.begun(n-1).Before(now.Add(-f.options.MaxAge/segmentsIn)) {
		f.segments = append(f.segments, segment{name: f.nextName(now)})
	}
	f.trim(now, int64(len(lines)))
	last := &f.segments[len(f.segments)-1]
	size, err := f.appendTo(last.name, lines)
	if err != nil {
		f.known = false // look again
		return err
	}
	last.size, last.modified = size, now
	return nil
}

// begun is when a segment was begun.
func (f *folder) begun(i int) time.Time { return segmentTime(f.segments[i].name) }

// nextName is the name of a segment that sorts behind all others, also when the
// clock was put back.
func (f *folder) nextName(now time.Time) string {
	if n := len(f.segments); n > 0 && !f.begun(n-1).Before(now) {
		now = f.begun(n - 1).Add(time.Nanosecond)
	}
	return now.Format(segmentLayout) + segmentSuffix
}

// appendTo appends to a file and returns its size then. What was torn at its end
// is closed by a line break. After an error the file is as it was.
func (f *folder) appendTo(name string, lines []byte) (size int64, err error) {
	file, err := f.root.OpenFile(f.path(name), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	before := info.Size()
	if torn, err := endsTorn(file, before); err != nil {
		return 0, err
	} else if torn {
		lines = slices.Concat([]byte("\n"), lines)
	}
	if _, err := file.Write(lines); err != nil {
		return 0, errors.Join(err, file.Truncate(before))
	}
	return before + int64(len(lines)), nil
}

// endsTorn tells whether the last line of a file has no end.
func endsTorn(file *os.File, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	var last [1]byte
	_, err := file.ReadAt(last[:], size-1)
	return last[0] != '\n', err
}

// trim removes the oldest segments that are too old, or for which there is no
// room together with what comes. The newest one stays.
func (f *folder) trim(now time.Time, coming int64) {
	total := coming
	for i := range f.segments {
		total += f.segments[i].size
	}
	for len(f.segments) > 1 && (total > f.options.MaxBytes || f.segments[0].modified.Before(now.Add(-f.options.MaxAge))) {
		total -= f.segments[0].size
		_ = f.root.Remove(f.path(f.segments[0].name)) // one that stays is found at the next start
		f.segments = f.segments[1:]
	}
}

// listSegments returns the segments of a function, the oldest first; none when it
// has no folder.
func listSegments(root *os.Root, name string) ([]segment, error) {
	entries, err := fs.ReadDir(root.FS(), path.Join(linesFolder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	segments := make([]segment, 0, len(entries))
	for _, entry := range entries {
		if segmentTime(entry.Name()).IsZero() {
			continue
		}
		if info, err := entry.Info(); err == nil { // else it has just gone
			segments = append(segments, segment{name: entry.Name(), size: info.Size(), modified: info.ModTime()})
		}
	}
	return segments, nil // sorted: their names are times
}

// segmentTime is when a segment of that name was begun; zero when it is none.
func segmentTime(name string) time.Time {
	text, ok := strings.CutSuffix(name, segmentSuffix)
	begun, err := time.Parse(segmentLayout, text)
	if !ok || err != nil {
		return time.Time{}
	}
	return begun
}

// clean removes what is too old, also of functions that are there no more.
func (s *Store) clean() {
	s.note("old lines", errors.Join(s.cleanLines(), s.usage.clean()))
}

func (s *Store) cleanLines() error {
	names, err := s.Functions()
	if err != nil {
		return err
	}
	oldest := s.options.Now().Add(-s.options.MaxAge)
	var failures []error
	for _, name := range names {
		segments, err := listSegments(s.root, name)
		failures = append(failures, err)
		for i := range segments {
			if segments[i].modified.Before(oldest) {
				failures = append(failures, s.root.Remove(path.Join(linesFolder, name, segments[i].name)))
			}
		}
		if f := s.folders[name]; f != nil {
			f.known = false
		}
		_ = s.root.Remove(path.Join(linesFolder, name)) // an empty folder goes, another one stays
	}
	return errors.Join(failures...)
}

// Functions returns the names of those that have lines, sorted.
func (s *Store) Functions() ([]string, error) {
	entries, err := fs.ReadDir(s.root.FS(), linesFolder)
	if err != nil {
		return nil, fmt.Errorf("the logs of functions: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// entryOf is a line as it is stored.
func entryOf(line *functions.Line) *Entry {
	return &Entry{Time: line.Time, RequestID: line.RequestID, Worker: line.Worker, Platform: line.Platform, Text: line.Text}
}
