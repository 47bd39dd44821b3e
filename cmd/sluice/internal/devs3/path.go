package devs3

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/johannesboyne/gofakes3"
)

const (
	hiddenDir  = ".sluice" // below the folder: uploads under way, and metadata
	maxSegment = 255       // bytes of a file name
)

// keyPath returns where in its bucket's folder an object lies. Parts between
// slashes that cannot be file names are written with a percent sign before
// them: "", "." and "..", and what begins with a percent sign itself.
func keyPath(key string) (string, error) {
	if key == "" || len(key) > gofakes3.KeySizeLimit {
		return "", gofakes3.ErrorMessagef(gofakes3.ErrKeyTooLong, "a key has 1 to %d bytes, this one %d", gofakes3.KeySizeLimit, len(key))
	}
	if !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) {
		return "", gofakes3.ErrorMessagef(gofakes3.ErrInvalidArgument, "key %q: the development endpoint takes keys of UTF-8 without control characters", key)
	}
	segments := strings.Split(key, "/")
	for i, segment := range segments {
		segments[i] = encodeSegment(segment)
		if len(segments[i]) > maxSegment {
			return "", gofakes3.ErrorMessagef(gofakes3.ErrKeyTooLong, "the development endpoint stores objects as files: a part of the key between slashes has at most %d bytes", maxSegment)
		}
	}
	return path.Join(segments...), nil
}

func encodeSegment(segment string) string {
	switch {
	case segment == "", segment == ".", segment == "..", strings.HasPrefix(segment, "%"):
		return "%" + url.PathEscape(segment)
	}
	return segment
}

// pathKey is the reverse of keyPath; false means that the file is no object.
func pathKey(name string) (string, bool) {
	segments := strings.Split(name, "/")
	for i, segment := range segments {
		rest, encoded := strings.CutPrefix(segment, "%")
		if !encoded {
			continue
		}
		decoded, err := url.PathUnescape(rest)
		if err != nil || encodeSegment(decoded) != segment {
			return "", false
		}
		segments[i] = decoded
	}
	key := strings.Join(segments, "/")
	back, err := keyPath(key)
	return key, err == nil && back == name
}

func validBucket(name string) error {
	if err := gofakes3.ValidateBucketName(name); err != nil {
		return fmt.Errorf("bucket %q: %w", name, err)
	}
	return nil
}
