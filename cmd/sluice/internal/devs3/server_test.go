package devs3

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
)

func put(t *testing.T, c *minio.Client, key, content string) minio.UploadInfo {
	t.Helper()
	info, err := c.PutObject(t.Context(), "photos", key, strings.NewReader(content), int64(len(content)), minio.PutObjectOptions{ContentType: "text/x-test"})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return info
}

func get(t *testing.T, c *minio.Client, key string) string {
	t.Helper()
	found, err := c.GetObject(t.Context(), "photos", key, minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	content, err := io.ReadAll(found)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	return string(content)
}

func keys(t *testing.T, c *minio.Client, options minio.ListObjectsOptions) []string {
	t.Helper()
	var found []string
	for o := range c.ListObjectsIter(t.Context(), "photos", options) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		found = append(found, o.Key)
	}
	return found
}

var oddKeys = []string{
	"plain.txt", "with space.txt", "plus+plus", "per%cent", "per%20cent", "%2E", "ünï/cødé-日本語", "/leading", "trailing/",
	"a//b", "dots/../up", "./here", "quote\"<&>'", "star*?[x]", "back\\slash", "~tilde", "=eq&amp;", "a/b/c/d/e", "%", "%%", "..",
}

func TestOddKeysAreKeptExactly(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "photos")
	c := connect(t, s)
	for _, key := range oddKeys {
		put(t, c, key, "content of "+key)
	}
	want := slices.Sorted(slices.Values(oddKeys))
	if got := keys(t, c, minio.ListObjectsOptions{Recursive: true}); !slices.Equal(got, want) {
		t.Errorf("listed\n%q, want\n%q", got, want)
	}
	for _, key := range oddKeys {
		if got := get(t, c, key); got != "content of "+key {
			t.Errorf("%q holds %q", key, got)
		}
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "up")); err == nil {
		t.Error("a key with .. has left the folder")
	}
	for _, key := range oddKeys {
		if err := c.RemoveObject(t.Context(), "photos", key, minio.RemoveObjectOptions{}); err != nil {
			t.Errorf("remove %q: %v", key, err)
		}
	}
	if rest, _ := os.ReadDir(filepath.Join(dir, "photos")); len(rest) > 0 {
		t.Errorf("left in the folder: %v", rest)
	}
}

func TestObjectsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	s, stop := startStoppable(t, dir, "photos")
	before := put(t, connect(t, s), "in/a.jpg", "picture")
	stop()
	c := connect(t, start(t, dir))
	info, err := c.StatObject(t.Context(), "photos", "in/a.jpg", minio.StatObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if info.ETag != before.ETag || info.ContentType != "text/x-test" || info.Size != 7 {
		t.Errorf("after the restart: etag %s, type %s, %d bytes", info.ETag, info.ContentType, info.Size)
	}
}

func TestUploadInPartsAndCopy(t *testing.T) {
	s := start(t, t.TempDir(), "photos")
	c := connect(t, s)
	content := bytes.Repeat([]byte("0123456789abcdef"), 12<<20/16)
	_, err := c.PutObject(t.Context(), "photos", "big", bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{PartSize: 5 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "big"); got != string(content) {
		t.Errorf("the upload in parts has %d bytes that differ from the %d sent", len(got), len(content))
	}
	_, err = c.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: "photos", Object: "copy"}, minio.CopySrcOptions{Bucket: "photos", Object: "big"})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "copy"); got != string(content) {
		t.Errorf("the copy has %d bytes that differ", len(got))
	}
}

func TestListingPagesAndFolders(t *testing.T) {
	s := start(t, t.TempDir(), "photos")
	c := connect(t, s)
	all := []string{"a", "b/1", "b/2", "c", "d/1", "e"}
	for _, key := range all {
		put(t, c, key, "x")
	}
	if got := keys(t, c, minio.ListObjectsOptions{Recursive: true, MaxKeys: 1}); !slices.Equal(got, all) {
		t.Errorf("page by page: %q, want %q", got, all)
	}
	want := []string{"a", "c", "e", "b/", "d/"}
	if got := keys(t, c, minio.ListObjectsOptions{}); !slices.Equal(got, want) {
		t.Errorf("as folders: %q, want %q", got, want)
	}
	if got := keys(t, c, minio.ListObjectsOptions{Recursive: true, Prefix: "b/"}); !slices.Equal(got, []string{"b/1", "b/2"}) {
		t.Errorf("with a prefix: %q", got)
	}
}

func TestEveryUploadOfAKeyIsLater(t *testing.T) {
	s := start(t, t.TempDir(), "photos")
	c := connect(t, s)
	last := time.Time{}
	for range 20 {
		put(t, c, "same", "same content")
		for o := range c.ListObjectsIter(t.Context(), "photos", minio.ListObjectsOptions{}) {
			if !o.LastModified.After(last) {
				t.Fatalf("modified at %v after %v", o.LastModified, last)
			}
			last = o.LastModified
		}
	}
}

func request(t *testing.T, s *Server, method, path, body string, header map[string]string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestBadRequestsAreRefused(t *testing.T) {
	s := start(t, t.TempDir(), "photos")
	cases := []struct {
		name, method, path, body string
		header                   map[string]string
		status                   int
		says                     string
	}{
		{name: "no such bucket", method: "PUT", path: "/nothing/a", body: "x", status: 404, says: "NoSuchBucket"},
		{name: "no such object", method: "GET", path: "/photos/a", status: 404, says: "NoSuchKey"},
		{name: "bucket's name", method: "PUT", path: "/X", status: 400, says: "InvalidBucketName"},
		{name: "hidden folder", method: "GET", path: "/.sluice/meta", status: 404, says: "NoSuchBucket"},
		{name: "control character", method: "PUT", path: "/photos/a%01", body: "x", status: 400, says: `key &#34;a\x01&#34;: the development endpoint takes keys of UTF-8 without control characters`},
		{name: "not UTF-8", method: "PUT", path: "/photos/a%ff", body: "x", status: 400, says: "InvalidArgument"},
		{name: "long part", method: "PUT", path: "/photos/" + strings.Repeat("x", 256), body: "x", status: 400, says: "a part of the key between slashes has at most 255 bytes"},
		{name: "long key", method: "PUT", path: "/photos/" + strings.Repeat("x/", 600), body: "x", status: 400, says: "KeyTooLong"},
		{name: "other host", method: "GET", path: "/photos", header: map[string]string{"Host": "evil.example"}, status: 403, says: "for this machine only"},
		{name: "listen to nothing", method: "GET", path: "/nothing?events=s3:ObjectCreated:*", status: 404, says: "NoSuchBucket"},
		{name: "listen with a bad ping", method: "GET", path: "/photos?events=s3:ObjectCreated:*&ping=0", status: 400, says: "ping &#34;0&#34; is not a number of seconds from 1 to 3600"},
		{name: "listen to a bad event", method: "GET", path: "/photos?events=created", status: 400, says: "event &#34;created&#34; is not known"},
		{name: "chunks without length", method: "PUT", path: "/photos/a", body: "x", header: map[string]string{"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, status: 400, says: "X-Amz-Decoded-Content-Length must be"},
		{name: "chunks cut off", method: "PUT", path: "/photos/a", body: "hello", header: map[string]string{"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length": "5"}, status: 400, says: "5 bytes were announced and 0 came"},
		{name: "bad chunk", method: "PUT", path: "/photos/a", body: "hello\r\n", header: map[string]string{"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length": "5"}, status: 400, says: "the body is not aws-chunked"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			status, text := request(t, s, tc.method, tc.path, tc.body, tc.header)
			if status != tc.status || !strings.Contains(text, tc.says) {
				t.Errorf("%d %s, want %d with %q", status, text, tc.status, tc.says)
			}
		})
	}
	if got := keys(t, connect(t, s), minio.ListObjectsOptions{Recursive: true}); len(got) > 0 {
		t.Errorf("refused uploads have left %q", got)
	}
}

func TestFileAndFolderConflict(t *testing.T) {
	s := start(t, t.TempDir(), "photos")
	for _, key := range []string{"a/b", "c"} {
		if status, text := request(t, s, "PUT", "/photos/"+key, "x", nil); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
	}
	for _, key := range []string{"a", "c/d"} {
		status, text := request(t, s, "PUT", "/photos/"+key, "x", nil)
		if status != 400 || !strings.Contains(text, "a file cannot be a folder too") {
			t.Errorf("%s: %d %s", key, status, text)
		}
	}
}

func TestUnsignedTrailerUploadIsDecoded(t *testing.T) {
	s := start(t, t.TempDir(), "photos")
	body := "5\r\nhello\r\n6;chunk-signature=abc\r\n world\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"
	status, text := request(t, s, "PUT", "/photos/a", body, map[string]string{
		"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length": "11", "Content-Encoding": "aws-chunked",
	})
	if status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	if _, text := request(t, s, "GET", "/photos/a", "", nil); text != "hello world" {
		t.Errorf("stored %q", text)
	}
}

func TestNewRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name    string
		options Options
		want    string
	}{
		{"no port", Options{Listen: "127.0.0.1"}, `"127.0.0.1" is not an address: write a host and a port, such as 127.0.0.1:9000`},
		{"all addresses", Options{Listen: ":9000"}, `":9000" is not on this machine: the development endpoint checks no signatures and listens on loopback only, such as 127.0.0.1:9000`},
		{"other address", Options{Listen: "192.0.2.1:9000"}, `"192.0.2.1:9000" is not on this machine: the development endpoint checks no signatures and listens on loopback only, such as 127.0.0.1:9000`},
		{"bucket", Options{Listen: "127.0.0.1:0", Dir: t.TempDir(), Buckets: []string{"A"}}, `bucket "A": InvalidBucketName: bucket name must be >= 3 characters and <= 63`},
		{"file", Options{Listen: "127.0.0.1:0", Dir: file}, "the folder of the development endpoint: mkdir " + file + ": not a directory"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			tc.options.Logger = slog.New(slog.DiscardHandler)
			_, err := New(t.Context(), tc.options)
			if err == nil || err.Error() != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func TestListenTellsUploadsAndForeignFiles(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "photos")
	c := connect(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	notes := c.ListenBucketNotification(ctx, "photos", "in/", ".jpg", []string{"s3:ObjectCreated:*"})
	for len(s.hub.buckets()) == 0 {
		if ctx.Err() != nil {
			t.Fatal("nobody listens")
		}
		time.Sleep(time.Millisecond)
	}
	put(t, c, "out/a.jpg", "x")
	put(t, c, "in/a b+c%20.jpg", "x")
	if got := (<-notes).Records[0].S3.Object.Key; got != "in/a b+c%20.jpg" {
		t.Errorf("told of %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "photos", "in", "dropped.jpg"), []byte("by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := (<-notes).Records[0].S3.Object; got.Key != "in/dropped.jpg" || got.Size != 7 {
		t.Errorf("told of %q of %d bytes", got.Key, got.Size)
	}
	if got := get(t, c, "in/dropped.jpg"); got != "by hand" {
		t.Errorf("the dropped file holds %q", got)
	}
	cancel()
	for range notes { //nolint:revive // until the client has ended
	}
}

func FuzzChunkedBody(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"))
	f.Add([]byte("ffffffffffffffff\r\n"))
	f.Add([]byte("5;x=" + strings.Repeat("y", 5000)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "/", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Content-Sha256", "STREAMING-X")
		r.Header.Set("X-Amz-Decoded-Content-Length", "5")
		if err := decodeChunks(r); err != nil {
			t.Fatal(err)
		}
		content, _ := io.ReadAll(r.Body)
		if len(content) > len(data) {
			t.Errorf("%d bytes became %d", len(data), len(content))
		}
	})
}

func FuzzKeyPath(f *testing.F) {
	for _, key := range oddKeys {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		name, err := keyPath(key)
		if err != nil {
			return
		}
		if !filepath.IsLocal(name) {
			t.Errorf("%q leads out of the folder: %q", key, name)
		}
		if back, ok := pathKey(name); !ok || back != key {
			t.Errorf("%q became %q became %q, %v", key, name, back, ok)
		}
	})
}
