package s3

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"sluice/connect/s3conn"
	"sluice/sources/sourcetest"
)

func (s *server) putDescribed(t *testing.T, key string) {
	t.Helper()
	_, err := s.api.PutObject(t.Context(), bucket, key, strings.NewReader("x"), 1, minio.PutObjectOptions{
		ContentType: "image/jpeg", UserMetadata: map[string]string{"Camera": "Leica <M>", "x-amz-meta-author": "me"},
	})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

func withMetadata(c *Config) { c.Metadata = true }

func TestMetadata(t *testing.T) {
	s := newServer(t)
	out := sourcetest.NewOut()
	r := runSource(t, s, out, withMetadata)
	r.waitLog(t, "the bucket is listed", 1)
	s.putDescribed(t, "a")
	e := out.Wait(t, 1)[0]
	var data payload
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.Fatal(err)
	}
	if data.ContentType != "image/jpeg" || len(data.Metadata) != 2 || data.Metadata["camera"] != "Leica <M>" || data.Metadata["author"] != "me" {
		t.Errorf("%s", e.Data)
	}
	s.remove(t, "a")
	if e := out.Wait(t, 2)[1]; strings.Contains(string(e.Data), "content_type") {
		t.Errorf("of a removal: %s", e.Data)
	}
}

// TestMetadataThatMayNotBeAsked waits until it may be, rather than publish
// without.
func TestMetadataThatMayNotBeAsked(t *testing.T) {
	s := newServer(t)
	out := sourcetest.NewOut()
	r := runSource(t, s, out, withMetadata)
	r.waitLog(t, "the bucket is listed", 1)
	s.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodHead {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	s.putDescribed(t, "a")
	r.waitHealth(t, `the access key may not ask for the metadata of what is in bucket "photos": grant it s3:GetObject, and s3:GetObjectVersion where the bucket has versions, or leave metadata out: Access Denied.`)
	s.answer(nil)
	if e := out.Wait(t, 1)[0]; !strings.Contains(string(e.Data), `"content_type":"image/jpeg"`) {
		t.Errorf("%s", e.Data)
	}
	r.waitHealth(t, "<nil>")
}

// TestMetadataOfWhatIsGone publishes what is known when the object was removed or
// overwritten before it was asked for.
func TestMetadataOfWhatIsGone(t *testing.T) {
	s := newServer(t)
	s.putDescribed(t, "overwritten")
	c, err := newClient(&Config{Location: s3conn.Location{Endpoint: s.URL, Bucket: bucket}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, o := range []object{newObject("gone", "e", "", 1, moment), newObject("overwritten", "e", "", 1, moment)} {
		if found, err := c.details(t.Context(), unversioned, &o); found != nil || err != nil {
			t.Errorf("%s: %+v, %v", o.key, found, err)
		}
	}
}
