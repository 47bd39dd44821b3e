package s3

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"sluice/config"
	"sluice/event"
	"sluice/sources"
	"sluice/sources/sourcetest"
)

func TestListingFindsUploads(t *testing.T) {
	for _, versions := range []bool{false, true} {
		t.Run(fmt.Sprintf("versions=%v", versions), func(t *testing.T) {
			s := newServer(t)
			if versions {
				if err := s.api.EnableVersioning(t.Context(), bucket); err != nil {
					t.Fatal(err)
				}
			}
			out := sourcetest.NewOut()
			r := runSource(t, s, out, func(c *Config) { c.Prefix, c.Suffix = "in/", ".jpg" })
			r.waitLog(t, "the bucket is listed", 1)
			for _, key := range []string{"in/a.jpg", "in/b.png", "out/c.jpg", "in/d e+%.jpg"} {
				s.put(t, key, "x")
			}
			out.Wait(t, 2)
			r.stop()
			s.put(t, "in/later.jpg", "x")
			s.put(t, "in/later.jpg", "y")
			out = out.Restart()
			runSource(t, s, out, func(c *Config) { c.Prefix, c.Suffix = "in/", ".jpg" })
			want := []string{"in/a.jpg", "in/d e+%.jpg", "in/later.jpg"}
			if versions {
				want = append(want, "in/later.jpg")
			}
			if got := subjects(out.Wait(t, len(want))); !slices.Equal(got, want) {
				t.Errorf("events of %q, want %q", got, want)
			}
		})
	}
}

func TestVersionsComeFromTheOldest(t *testing.T) {
	s := newServer(t)
	if err := s.api.EnableVersioning(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		s.put(t, "k", "x")
	}
	if err := s.api.RemoveObject(t.Context(), bucket, "k", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	out := sourcetest.NewOut()
	runSource(t, s, out, func(c *Config) { c.Backfill = true })
	events := out.Wait(t, 6) // with that of the delete marker
	if !slices.IsSortedFunc(events, func(a, b event.Event) int { return a.Time.Compare(b.Time) }) || len(events) > 6 {
		t.Errorf("events of %+v", events)
	}
}

func TestBusAwayAndBack(t *testing.T) {
	s := newServer(t)
	out := sourcetest.NewOut()
	r := runSource(t, s, out, nil)
	r.waitLog(t, "the bucket is listed", 1)
	out.FailWith(event.ErrUnavailable)
	s.put(t, "a", "x")
	r.waitHealth(t, event.ErrUnavailable.Error())
	out.FailWith(nil)
	r.waitHealth(t, "<nil>")
	out.LoseAnswers(1, event.ErrUnavailable)
	s.put(t, "b", "x")
	if got := subjects(out.Wait(t, 2)); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("events of %q", got)
	}
}

func TestFencedSourceReturns(t *testing.T) {
	s := newServer(t)
	cfg := NewConfig()
	cfg.Endpoint, cfg.Bucket, cfg.Interval = s.URL, bucket, config.Duration(time.Second)
	source, err := cfg.Source(sources.Env{Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	out := sourcetest.NewOut()
	done := make(chan error, 1)
	go func() { done <- source.Run(t.Context(), out) }()
	waitFor(t, "complete memory", func() bool {
		data := out.StoredCursor(rootShard)
		return len(data) > 1 && data[1]&flagComplete != 0
	})
	out.Fence(rootShard)
	s.put(t, "a", "x")
	if err := <-done; err == nil || !strings.Contains(err.Error(), event.ErrFenced.Error()) {
		t.Errorf("Run returned %v", err)
	}
}

func refuseWith(status int, code string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no \x22%s\x22</Message></Error>", code, code)
		return true
	}
}

func TestHealth(t *testing.T) {
	cases := []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
		signed bool
		want   string
	}{
		{"bucket", refuseWith(404, "NoSuchBucket"), false, `bucket "photos" does not exist at %s: create it, or correct bucket: no "NoSuchBucket"`},
		{"credentials", refuseWith(403, "InvalidAccessKeyId"), true, `%s refuses the credentials: check access_key and secret_key: no "InvalidAccessKeyId"`},
		{"signature", refuseWith(403, "SignatureDoesNotMatch"), true, `%s refuses the credentials: check access_key and secret_key: no "SignatureDoesNotMatch"`},
		{"anonymous", refuseWith(403, "AccessDenied"), false, `bucket "photos" may not be listed anonymously: give access_key and secret_key: no "AccessDenied"`},
		{"denied", refuseWith(403, "AccessDenied"), true, `the access key may not list bucket "photos": grant it s3:ListBucket, and s3:ListBucketVersions where the bucket has versions: no "AccessDenied"`},
		{"clock", refuseWith(403, "RequestTimeTooSkewed"), true, `the clocks of this machine and of %s differ: set them: no "RequestTimeTooSkewed"`},
		{"region", refuseWith(400, "AuthorizationHeaderMalformed"), true, `bucket "photos" is in another region: set region and endpoint to its own: no "AuthorizationHeaderMalformed"`},
		{"other", refuseWith(500, "InternalError"), true, `bucket "photos" at %s cannot be listed: no "InternalError"`},
		{"no S3", func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = fmt.Fprint(w, "hello")
			return true
		}, true, `bucket "photos" at %s cannot be listed: EOF`},
		{"a page", func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("list-type") == "" {
				return false
			}
			_, _ = fmt.Fprint(w, "<html><body>maintenance</body></html>")
			return true
		}, true, `bucket "photos" at %s cannot be listed: the answer is no listing: is something else than S3 at the endpoint, or a proxy before it?`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			s.answer(tc.answer)
			r := runSource(t, s, sourcetest.NewOut(), func(c *Config) {
				c.Region = "us-east-1"
				if tc.signed {
					c.AccessKey, c.SecretKey = config.NewSecret("a"), config.NewSecret("b")
				}
			})
			want := strings.ReplaceAll(tc.want, "%s", s.URL)
			if got := r.waitHealth(t, want); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			s.answer(nil)
			r.waitHealth(t, "<nil>")
		})
	}
}

func TestUnreachable(t *testing.T) {
	s := newServer(t)
	out := sourcetest.NewOut()
	address := s.URL
	s.CloseClientConnections()
	s.Close()
	r := runSource(t, s, out, nil)
	r.waitHealth(t, address+" cannot be reached: check endpoint and that the server runs: ")
}

func TestServerWithoutListenAPI(t *testing.T) {
	s := newServer(t)
	r := runSource(t, s, sourcetest.NewOut(), nil)
	r.waitLog(t, "the server does not notify of uploads: listing only", 1)
	r.waitLog(t, "the bucket is listed", 3)
	if n := strings.Count(r.log(), "the server does not notify"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestHeldNotifications has a server that never flushes its stream: the source
// must list often, whatever the interval.
func TestHeldNotifications(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.answer(func(_ http.ResponseWriter, r *http.Request) bool {
		if !r.URL.Query().Has("events") {
			return false
		}
		<-r.Context().Done()
		return true
	})
	out := sourcetest.NewOut()
	r := runSource(t, s, out, func(c *Config) { c.Interval = config.Duration(time.Hour) })
	r.waitLog(t, "no timely notifications: listing often instead", 1)
	s.put(t, "a", "x")
	out.Wait(t, 1)
}

// TestPartialListingForgetsNothing breaks listings in their middle: what they
// did not show is not gone.
func TestPartialListingForgetsNothing(t *testing.T) {
	s := newServer(t)
	for i := range 1100 {
		s.put(t, fmt.Sprintf("k%04d", i), "x")
	}
	out := sourcetest.NewOut()
	r := runSource(t, s, out, func(c *Config) { c.Backfill = true })
	out.Wait(t, 1100)
	r.waitLog(t, "the bucket is listed", 2)
	s.answer(func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Query().Has("continuation-token") && refuseWith(500, "InternalError")(w, r)
	})
	r.waitHealth(t, "cannot be listed")
	s.answer(nil)
	r.waitHealth(t, "<nil>")
	s.put(t, "last", "x")
	out.Wait(t, 1101)
	if n := len(out.Repeats()); n > 0 {
		t.Errorf("%d events were published again", n)
	}
}

func (s *server) remove(t *testing.T, key string) {
	t.Helper()
	if err := s.api.RemoveObject(t.Context(), bucket, key, minio.RemoveObjectOptions{}); err != nil {
		t.Fatalf("remove %q: %v", key, err)
	}
}

// TestRemovalsAreFound removes objects while the source runs and while it does
// not.
func TestRemovalsAreFound(t *testing.T) {
	for _, versions := range []bool{false, true} {
		t.Run(fmt.Sprintf("versions=%v", versions), func(t *testing.T) {
			s := newServer(t)
			if versions {
				if err := s.api.EnableVersioning(t.Context(), bucket); err != nil {
					t.Fatal(err)
				}
			}
			for _, key := range []string{"a", "b", "c"} {
				s.put(t, key, "x")
			}
			out := sourcetest.NewOut()
			r := runSource(t, s, out, func(c *Config) { c.Backfill = true })
			out.Wait(t, 3)
			s.remove(t, "b")
			out.Wait(t, 4)
			r.stop()
			s.remove(t, "a")
			out = out.Restart()
			runSource(t, s, out, nil)
			kind := map[bool]string{false: TypeRemoved, true: TypeMarker}[versions]
			for i, e := range out.Wait(t, 5)[3:] {
				if want := []string{"b", "a"}[i]; e.Subject != want || e.Type != kind || len(out.Repeats()) > 0 {
					t.Errorf("%s of %s, want %s of %s", e.Type, e.Subject, kind, want)
				}
			}
		})
	}
}

// TestUnsortedListing has a server list out of order: that is said, and nothing
// is taken for removed.
func TestUnsortedListing(t *testing.T) {
	s := newServer(t)
	s.put(t, "a", "x")
	out := sourcetest.NewOut()
	r := runSource(t, s, out, func(c *Config) { c.Backfill = true })
	out.Wait(t, 1)
	s.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("list-type") != "2" {
			return false
		}
		const object = "<Contents><Key>%s</Key><LastModified>2026-11-23T07:00:00.000Z</LastModified><ETag>e</ETag><Size>1</Size></Contents>"
		_, _ = fmt.Fprintf(w, "<ListBucketResult><Name>photos</Name>"+object+object+"</ListBucketResult>", "z", "b")
		return true
	})
	r.waitHealth(t, `bucket "photos" at `+s.URL+` cannot be compared with what is known, as S3's directory buckets cannot: use a bucket that is listed by key: it is listed out of order ("b" comes after "z")`)
	s.answer(nil)
	r.waitHealth(t, "<nil>")
	if got := subjects(out.Events()); !slices.Equal(got, []string{"a"}) {
		t.Errorf("events of %q", got)
	}
}
