package devs3

import (
	"crypto/md5" //nolint:gosec // S3 etags are MD5 sums
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// settleTime is how long a file that was not uploaded must be unchanged to
// count as an object: until then somebody may still be writing it.
const settleTime = time.Second

// A record is what is known about one object beside its content.
type record struct {
	Key      string
	Hash     []byte
	Size     int64
	Modified time.Time // in full milliseconds
	Meta     map[string]string
	foreign  bool // not uploaded, but put into the folder
	gone     bool // not there any more
}

func (r *record) etag() string { return hex.EncodeToString(r.Hash) }

// A folder keeps buckets as folders and objects as files. An upload becomes
// visible as a whole, by a rename.
type folder struct {
	root    *os.Root
	now     func() time.Time
	changed func(bucket string, r record) // called for each upload and removal, in order
	uploads atomic.Uint64

	mu    sync.RWMutex // held while an upload is put in its place
	cache sync.Map     // of foreign files: path → record
}

func openFolder(dir string, changed func(string, record)) (*folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &folder{root: root, now: time.Now, changed: changed}
	if err := errors.Join(root.RemoveAll(path.Join(hiddenDir, "tmp")), root.MkdirAll(path.Join(hiddenDir, "tmp"), 0o755)); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return f, nil
}

func (f *folder) close() error { return f.root.Close() }

// makeBucket creates the bucket unless it is there.
func (f *folder) makeBucket(name string) error {
	if err := validBucket(name); err != nil {
		return err
	}
	return f.root.MkdirAll(name, 0o755)
}

func (f *folder) hasBucket(name string) (bool, error) {
	if gofakes3.ValidateBucketName(name) != nil {
		return false, nil //nolint:nilerr // what cannot be a bucket is none
	}
	info, err := f.root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.IsDir(), err
}

func objectPath(bucket, key string) (string, error) {
	name, err := keyPath(key)
	return path.Join(bucket, name), err
}

func metaPath(bucket, key string) string {
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:16])
	return path.Join(hiddenDir, "meta", bucket, name[:2], name[2:]+".json")
}

// stat returns the record of one object, or fs.ErrNotExist.
func (f *folder) stat(bucket, key string) (record, error) {
	name, err := objectPath(bucket, key)
	if err != nil {
		return record{}, err
	}
	info, err := f.root.Stat(name)
	if err != nil {
		return record{}, absent(err)
	}
	return f.describe(bucket, key, name, info)
}

// absent makes of "a part of the path is a file" what it means for an object.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "not a directory") {
		return fs.ErrNotExist
	}
	return err
}

func (f *folder) describe(bucket, key, name string, info fs.FileInfo) (record, error) {
	if !info.Mode().IsRegular() {
		return record{}, fs.ErrNotExist
	}
	if known, ok := f.uploaded(bucket, key, info); ok {
		return known, nil
	}
	return f.foreign(key, name, info)
}

// uploaded returns the record written with an upload, unless the file has been
// changed since.
func (f *folder) uploaded(bucket, key string, info fs.FileInfo) (record, bool) {
	data, err := f.root.ReadFile(metaPath(bucket, key))
	if err != nil {
		return record{}, false
	}
	var known record
	if err := json.Unmarshal(data, &known); err != nil {
		return record{}, false
	}
	return known, known.Key == key && matches(known, info)
}

func matches(known record, info fs.FileInfo) bool {
	return known.Size == info.Size() && known.Modified.Equal(info.ModTime().Truncate(time.Millisecond))
}

// foreign describes a file that was put into the folder by hand.
func (f *folder) foreign(key, name string, info fs.FileInfo) (record, error) {
	age := f.now().Sub(info.ModTime())
	if age >= 0 && age < settleTime {
		return record{}, fs.ErrNotExist
	}
	if known, ok := f.cache.Load(name); ok && matches(known.(record), info) {
		return known.(record), nil
	}
	hash, err := f.hash(name)
	if err != nil {
		return record{}, absent(err)
	}
	modified := info.ModTime().UTC().Truncate(time.Millisecond)
	found := record{Key: key, Hash: hash, Size: info.Size(), Modified: modified, foreign: true}
	f.cache.Store(name, found)
	return found, nil
}

func (f *folder) hash(name string) ([]byte, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	sum := md5.New()                    //nolint:gosec // see above
	_, err = io.Copy(sum, file)
	return sum.Sum(nil), err
}

// walk returns the objects of a bucket whose keys have the prefix, by key.
func (f *folder) walk(bucket, prefix string) ([]record, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var found []record
	err := fs.WalkDir(f.root.FS(), bucket, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreAbsent(err)
		}
		key, ok := pathKey(strings.TrimPrefix(name, bucket+"/"))
		if !ok || !strings.HasPrefix(key, prefix) {
			return nil
		}
		r, err := f.stat(bucket, key)
		if err == nil {
			found = append(found, r)
		}
		return ignoreAbsent(err)
	})
	slices.SortFunc(found, func(a, b record) int { return strings.Compare(a.Key, b.Key) })
	return found, err
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// put stores an upload. check is called before it replaces what is there.
func (f *folder) put(bucket, key string, meta map[string]string, content io.Reader, size int64, check func(*record) error) (record, error) {
	name, err := objectPath(bucket, key)
	if err != nil {
		return record{}, err
	}
	temporary := path.Join(hiddenDir, "tmp", strconv.FormatUint(f.uploads.Add(1), 10))
	defer func() { _ = f.root.Remove(temporary) }() // gone when all went well
	hash, err := f.receive(temporary, content, size)
	if err != nil {
		return record{}, err
	}
	fresh := record{Key: key, Hash: hash, Size: size, Meta: meta}
	return f.install(bucket, name, temporary, fresh, check)
}

// receive writes the content to a temporary file.
func (f *folder) receive(name string, content io.Reader, size int64) (hash []byte, err error) {
	file, err := f.root.Create(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closed := file.Close(); err == nil {
			err = closed
		}
	}()
	sum := md5.New() //nolint:gosec // see above
	n, err := io.Copy(io.MultiWriter(file, sum), content)
	if errors.Is(err, io.ErrUnexpectedEOF) || (err == nil && n != size) {
		err = gofakes3.ErrorMessagef(gofakes3.ErrIncompleteBody, "%d bytes were announced and %d came", size, n)
	}
	return sum.Sum(nil), err
}

// install puts a received upload in its place. Of one key, every upload has a
// later time than the one before.
func (f *folder) install(bucket, name, temporary string, fresh record, check func(*record) error) (record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh.Modified = f.now().UTC().Truncate(time.Millisecond)
	before, err := f.stat(bucket, fresh.Key)
	switch {
	case err == nil:
		if !fresh.Modified.After(before.Modified) {
			fresh.Modified = before.Modified.Add(time.Millisecond)
		}
		err = check(&before)
	case errors.Is(err, fs.ErrNotExist):
		err = check(nil)
	}
	if err != nil {
		return record{}, err
	}
	if err := f.place(bucket, name, temporary, fresh); err != nil {
		return record{}, err
	}
	f.changed(bucket, fresh)
	return fresh, nil
}

func (f *folder) place(bucket, name, temporary string, fresh record) error {
	if err := f.root.Chtimes(temporary, fresh.Modified, fresh.Modified); err != nil {
		return err
	}
	if err := f.writeMeta(bucket, fresh); err != nil {
		return err
	}
	if err := f.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return conflict(fresh.Key, err)
	}
	if err := f.root.Rename(temporary, name); err != nil {
		return conflict(fresh.Key, err)
	}
	return nil
}

// conflict explains that a file cannot be a folder too.
func conflict(key string, err error) error {
	return gofakes3.ErrorMessagef(gofakes3.ErrInvalidArgument,
		"key %q cannot be stored beside the others, as a file cannot be a folder too: the development endpoint cannot have both a and a/b (%v)", key, err)
}

func (f *folder) writeMeta(bucket string, fresh record) error {
	data, err := json.Marshal(fresh)
	if err != nil {
		return err
	}
	name := metaPath(bucket, fresh.Key)
	if err := f.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return f.root.WriteFile(name, data, 0o644)
}

// remove removes an object and the folders that are empty without it. That it
// was not there is no error, as in S3.
func (f *folder) remove(bucket, key string) error {
	name, err := objectPath(bucket, key)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before, err := f.stat(bucket, key)
	if err != nil {
		return ignoreAbsent(err)
	}
	if err := f.root.Remove(name); err != nil {
		return ignoreAbsent(err)
	}
	_ = f.root.Remove(metaPath(bucket, key)) // without the object it says nothing
	for dir := path.Dir(name); dir != bucket && f.root.Remove(dir) == nil; {
		dir = path.Dir(dir)
	}
	before.gone = true
	f.changed(bucket, before)
	return nil
}
