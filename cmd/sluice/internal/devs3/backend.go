package devs3

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/johannesboyne/gofakes3"
)

var _ gofakes3.Backend = (*backend)(nil)

// A backend is the folder as gofakes3 wants it. The backends that come with
// gofakes3 show half-written uploads, cannot page, or do not show files that
// were put into the folder.
type backend struct{ *folder }

func (b backend) ListBuckets() ([]gofakes3.BucketInfo, error) {
	entries, err := fs.ReadDir(b.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var buckets []gofakes3.BucketInfo
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !entry.IsDir() || gofakes3.ValidateBucketName(entry.Name()) != nil {
			continue
		}
		buckets = append(buckets, gofakes3.BucketInfo{Name: entry.Name(), CreationDate: gofakes3.NewContentTime(info.ModTime())})
	}
	return buckets, nil
}

func (b backend) ListBucket(bucket string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	if err := b.need(bucket); err != nil {
		return nil, err
	}
	if prefix == nil {
		prefix = &gofakes3.Prefix{}
	}
	records, err := b.walk(bucket, prefix.Prefix)
	if err != nil {
		return nil, err
	}
	list := gofakes3.NewObjectList()
	for i := range records {
		r := &records[i]
		common, grouped := group(r.Key, prefix)
		if page.HasMarker && (r.Key <= page.Marker || (grouped && common <= page.Marker)) {
			continue
		}
		if page.MaxKeys > 0 && int64(len(list.Contents)+len(list.CommonPrefixes)) >= page.MaxKeys && !repeats(list, common, grouped) {
			list.IsTruncated = true
			break
		}
		if grouped {
			list.AddPrefix(common)
			list.NextMarker = common
			continue
		}
		list.Add(content(r))
		list.NextMarker = r.Key
	}
	if !list.IsTruncated {
		list.NextMarker = ""
	}
	return list, nil
}

// group returns the common prefix that stands for key in a listing with a
// delimiter.
func group(key string, prefix *gofakes3.Prefix) (string, bool) {
	if !prefix.HasDelimiter {
		return "", false
	}
	rest := key[len(prefix.Prefix):]
	i := strings.Index(rest, prefix.Delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(prefix.Prefix)+i+len(prefix.Delimiter)], true
}

func repeats(list *gofakes3.ObjectList, common string, grouped bool) bool {
	n := len(list.CommonPrefixes)
	return grouped && n > 0 && list.CommonPrefixes[n-1].Prefix == common
}

func content(r *record) *gofakes3.Content {
	return &gofakes3.Content{
		Key: r.Key, Size: r.Size, ETag: gofakes3.FormatETag(r.Hash), LastModified: gofakes3.NewContentTime(r.Modified),
	}
}

func (b backend) need(bucket string) error {
	exists, err := b.hasBucket(bucket)
	if err == nil && !exists {
		err = gofakes3.BucketNotFound(bucket)
	}
	return err
}

func (b backend) CreateBucket(name string) error {
	exists, err := b.hasBucket(name)
	if err != nil {
		return err
	}
	if exists {
		return gofakes3.ResourceError(gofakes3.ErrBucketAlreadyExists, name)
	}
	return b.makeBucket(name)
}

func (b backend) BucketExists(name string) (bool, error) { return b.hasBucket(name) }

func (b backend) DeleteBucket(name string) error {
	if err := b.need(name); err != nil {
		return err
	}
	records, err := b.walk(name, "")
	if err != nil {
		return err
	}
	if len(records) > 0 {
		return gofakes3.ResourceError(gofakes3.ErrBucketNotEmpty, name)
	}
	return b.ForceDeleteBucket(name)
}

func (b backend) ForceDeleteBucket(name string) error {
	if err := b.need(name); err != nil {
		return err
	}
	return errors.Join(b.root.RemoveAll(name), b.root.RemoveAll(path.Join(hiddenDir, "meta", name)))
}

func (b backend) HeadObject(bucket, key string) (*gofakes3.Object, error) {
	found, err := b.stat(bucket, key)
	if err != nil {
		return nil, notFound(key, err)
	}
	return object(&found, http.NoBody), nil
}

func (b backend) GetObject(bucket, key string, want *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	found, err := b.stat(bucket, key)
	if err != nil {
		return nil, notFound(key, err)
	}
	name, err := objectPath(bucket, key)
	if err != nil {
		return nil, err
	}
	part, err := want.Range(found.Size)
	if err != nil {
		return nil, err
	}
	file, err := b.root.Open(name)
	if err != nil {
		return nil, notFound(key, absent(err))
	}
	var body io.ReadCloser = file
	if part != nil {
		body = section{Reader: io.NewSectionReader(file, part.Start, part.Length), Closer: file}
	}
	result := object(&found, body)
	result.Range = part
	return result, nil
}

type section struct {
	io.Reader
	io.Closer
}

func object(r *record, body io.ReadCloser) *gofakes3.Object {
	meta := map[string]string{"Last-Modified": r.Modified.Format(http.TimeFormat)}
	for name, value := range r.Meta {
		if keptHeader(name) {
			meta[name] = value
		}
	}
	return &gofakes3.Object{Name: r.Key, Hash: r.Hash, Size: r.Size, Metadata: meta, Contents: body}
}

// keptHeader tells whether a header of the upload belongs to the object.
func keptHeader(name string) bool {
	return strings.HasPrefix(name, "X-Amz-Meta-") || strings.HasPrefix(name, "Content-")
}

func notFound(key string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return gofakes3.KeyNotFound(key)
	}
	return err
}

func (b backend) PutObject(bucket, key string, meta map[string]string, input io.Reader, size int64, conditions *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	if err := b.need(bucket); err != nil {
		return gofakes3.PutObjectResult{}, err
	}
	_, err := b.put(bucket, key, meta, input, size, func(before *record) error {
		if conditions == nil {
			return nil
		}
		info := &gofakes3.ConditionalObjectInfo{Exists: before != nil}
		if before != nil {
			info.Hash = before.Hash
		}
		return gofakes3.CheckPutConditions(conditions, info)
	})
	return gofakes3.PutObjectResult{}, err
}

func (b backend) CopyObject(fromBucket, fromKey, bucket, key string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	from, err := b.GetObject(fromBucket, fromKey, nil)
	if err != nil {
		return gofakes3.CopyObjectResult{}, err
	}
	defer func() { _ = from.Contents.Close() }() // nothing was written
	stored, err := b.put(bucket, key, meta, from.Contents, from.Size, func(*record) error { return nil })
	if err != nil {
		return gofakes3.CopyObjectResult{}, err
	}
	return gofakes3.CopyObjectResult{
		ETag:         `"` + hex.EncodeToString(stored.Hash) + `"`,
		LastModified: gofakes3.NewContentTime(stored.Modified),
	}, nil
}

func (b backend) DeleteObject(bucket, key string) (gofakes3.ObjectDeleteResult, error) {
	return gofakes3.ObjectDeleteResult{}, b.remove(bucket, key)
}

func (b backend) DeleteMulti(bucket string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	var result gofakes3.MultiDeleteResult
	for _, key := range keys {
		if err := b.remove(bucket, key); err != nil {
			result.Error = append(result.Error, gofakes3.ErrorResult{Code: gofakes3.ErrInternal, Message: err.Error(), Key: key})
			continue
		}
		result.Deleted = append(result.Deleted, gofakes3.ObjectID{Key: key})
	}
	return result, nil
}
