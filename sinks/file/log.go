package file

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	filePermission   = 0o644
	folderPermission = 0o755
	// tornRead is how much is read at once when the end of the last whole line is
	// looked for.
	tornRead = 64 << 10
	// maxSuffix is how many files that were set aside in the same second are told
	// apart.
	maxSuffix = 10_000
)

// A log is one path to which deliveries are written.
//
// Several may append at once: each writes under the lock, and one sync makes
// durable what all have written before it.
type log struct {
	root   *os.Root
	name   string
	rotate Rotate
	now    func() time.Time
	logger *slog.Logger

	users int    // of the sink, under its lock
	used  uint64 // likewise

	mu   sync.Mutex
	open *openLog // nil until there is one
}

// An openLog is a file that is open. After an error of a sync it is not used any
// more: what the system has not stored then, it may have forgotten.
type openLog struct {
	file *os.File

	size    int64         // under the log's lock
	last    time.Time     // of the last write, under the log's lock
	written atomic.Uint64 // counts writes; it grows under the log's lock

	mu     sync.Mutex
	synced uint64 // the last write that is durable
	broken error
}

// append writes whole lines to the end of the file, and returns when they are
// durable.
func (l *log) append(lines []byte) error {
	o, n, err := l.write(lines)
	if err != nil {
		return err
	}
	if err := o.sync(n); err != nil {
		l.drop(o)
		return err
	}
	return nil
}

// write writes lines, or nothing of them, and returns the number of the write.
func (l *log) write(lines []byte) (*openLog, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.current(int64(len(lines))); err != nil {
		return nil, 0, err
	}
	o := l.open
	if n, err := o.file.Write(lines); err != nil {
		return nil, 0, errors.Join(err, l.takeBack(n))
	}
	o.size += int64(len(lines))
	o.last = l.now()
	return o, o.written.Add(1), nil
}

// takeBack cuts off the part of a line that was written. Where that fails the
// file is opened anew before the next write, which repairs it.
func (l *log) takeBack(n int) error {
	if n == 0 {
		return nil
	}
	o := l.open
	if err := o.file.Truncate(o.size); err != nil {
		l.open = nil
		return errors.Join(err, o.file.Close())
	}
	return nil
}

// sync makes the write with the number n durable, and all before it.
func (o *openLog) sync(n uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.synced >= n {
		return nil
	}
	if o.broken == nil {
		written := o.written.Load()
		if o.broken = o.file.Sync(); o.broken == nil {
			o.synced = written
		}
	}
	return o.broken
}

// drop has the next write open the file anew.
func (l *log) drop(o *openLog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == o {
		l.open = nil
		_ = o.file.Close() // it is broken
	}
}

// current makes sure that the file of the path is open, which somebody else may
// have moved away meanwhile, and that it is not one to be set aside.
func (l *log) current(more int64) error {
	if l.open != nil && !l.isOpen() {
		if err := l.retire(); err != nil {
			return err
		}
	}
	if l.open == nil {
		if err := l.reopen(); err != nil {
			return err
		}
	}
	if !l.due(more) {
		return nil
	}
	if err := l.setAside(); err != nil {
		return err
	}
	return l.reopen()
}

func (l *log) isOpen() bool {
	there, err := l.root.Stat(l.name)
	if err != nil {
		return false
	}
	mine, err := l.open.file.Stat()
	return err == nil && os.SameFile(there, mine)
}

// retire closes the file when all that was written to it is durable.
func (l *log) retire() error {
	o := l.open
	l.open = nil
	return errors.Join(o.sync(o.written.Load()), o.file.Close())
}

// reopen opens the file, or makes it, and repairs its end.
func (l *log) reopen() error {
	file, err := l.root.OpenFile(l.name, os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = l.create(l.name, os.O_RDWR|os.O_APPEND|os.O_CREATE)
	}
	if err != nil {
		return err
	}
	info, err := file.Stat()
	size := int64(0)
	if err == nil {
		size, err = l.repair(file, info.Size())
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	l.open = &openLog{file: file, size: size, last: info.ModTime()}
	return nil
}

// create makes a file, and durable that it is there.
func (l *log) create(name string, flags int) (*os.File, error) {
	if folder := path.Dir(name); folder != "." {
		if err := l.root.MkdirAll(folder, folderPermission); err != nil {
			return nil, err
		}
	}
	file, err := l.root.OpenFile(name, flags, filePermission)
	if err != nil {
		return nil, err
	}
	if err := l.syncFolders(name); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// syncFolders makes durable which names are in the folders of a path.
func (l *log) syncFolders(name string) error {
	for folder := path.Dir(name); ; folder = path.Dir(folder) {
		f, err := l.root.Open(folder)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil || folder == "." {
			return err
		}
	}
}

// repair brings a file to its last line end, and returns its size: what a crash
// has torn was never acknowledged. A line that is whole JSON gets the line end that
// it lacks.
func (l *log) repair(file *os.File, size int64) (int64, error) {
	keep, err := lineEnd(file, size)
	if err != nil || keep == size {
		return size, err
	}
	last := make([]byte, size-keep)
	if _, err := file.ReadAt(last, keep); err != nil {
		return 0, err
	}
	if json.Valid(last) {
		_, err := file.Write([]byte("\n"))
		return size + 1, err
	}
	l.logger.Warn("the last line of a file was torn and is cut off", slog.String("path", l.name), slog.Int64("bytes", size-keep))
	return keep, file.Truncate(keep)
}

// lineEnd returns where the last line of a file ends that has a line end.
func lineEnd(file io.ReaderAt, size int64) (int64, error) {
	buffer := make([]byte, tornRead)
	for end := size; end > 0; {
		begin := max(0, end-tornRead)
		part := buffer[:end-begin]
		if _, err := file.ReadAt(part, begin); err != nil {
			return 0, err
		}
		if at := bytes.LastIndexByte(part, '\n'); at >= 0 {
			return begin + int64(at) + 1, nil
		}
		end = begin
	}
	return 0, nil
}

// due tells whether the file is to be set aside before more bytes are written.
func (l *log) due(more int64) bool {
	o := l.open
	if o.size == 0 {
		return false
	}
	size, every := int64(l.rotate.Size), time.Duration(l.rotate.Every)
	return size > 0 && o.size+more > size || every > 0 && o.last.UTC().Truncate(every).Before(l.now().UTC().Truncate(every))
}

// setAside renames the file by the time of its last write: a.jsonl becomes
// a-20260301T120000Z.jsonl.
func (l *log) setAside() error {
	last := l.open.last
	if err := l.retire(); err != nil {
		return err
	}
	extension := path.Ext(l.name)
	stem := strings.TrimSuffix(l.name, extension) + last.UTC().Format("-20060102T150405Z")
	name := stem + extension
	for n := 2; ; n++ {
		_, err := l.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil || n > maxSuffix {
			return errors.Join(err, fmt.Errorf("%q cannot be set aside as %q, which is there", l.name, name))
		}
		name = fmt.Sprintf("%s-%d%s", stem, n, extension)
	}
	if err := l.root.Rename(l.name, name); err != nil {
		return err
	}
	return l.syncFolders(l.name)
}

// replace writes the file as a whole: under another name, which it gives up for
// its own when all of it is durable.
func (l *log) replace(content []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := sha256.Sum256([]byte(l.name))
	other := path.Join(path.Dir(l.name), temporary+hex.EncodeToString(sum[:8]))
	file, err := l.create(other, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = l.root.Rename(other, l.name)
	}
	if err != nil {
		_ = l.root.Remove(other) // so that a full disk gets its room back
		return err
	}
	return l.syncFolders(l.name)
}

// close closes the file. Nobody writes to it any more.
func (l *log) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		return nil
	}
	err := l.open.file.Close()
	l.open = nil
	return err
}
