//go:build integration

package s3source

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/minio/minio-go/v7"

	"sluice/config"
	"sluice/event"
	"sluice/integration/minio"
	"sluice/sources/s3"
	"sluice/sources/sourcetest"
)

var oddKeys = []string{
	"plain.txt", "with space.txt", "plus+plus", "per%cent", "per%20cent", "ünï/cødé-日本語", "trailing/", "a/b/c/d",
	"quote\"<&>'", "star*?[x]", "~tilde", "=eq&amp;", "tab\there", strings.Repeat("k", 200),
}

// TestBothWaysAgree compares what a source that is notified publishes with what
// one that lists publishes: byte for byte the same.
func TestBothWaysAgree(t *testing.T) {
	server := minio.Start(t, t.TempDir(), 0)
	for _, versioned := range []bool{false, true} {
		t.Run(fmt.Sprintf("versioned=%v", versioned), func(t *testing.T) {
			bucket := fmt.Sprintf("agree-%v", versioned)
			server.MakeBucket(t, bucket, versioned)
			bothWays(t, server, bucket)
		})
	}
}

// TestBothWaysAgreeOnCompressed does the same where the stored size and etag
// are not those of the content.
func TestBothWaysAgreeOnCompressed(t *testing.T) {
	server := minio.Start(t, t.TempDir(), 0,
		"MINIO_COMPRESSION_ENABLE=on", "MINIO_COMPRESSION_ALLOW_ENCRYPTION=on", "MINIO_COMPRESSION_EXTENSIONS=", "MINIO_COMPRESSION_MIME_TYPES=",
		"MINIO_KMS_SECRET_KEY=key:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "MINIO_KMS_AUTO_ENCRYPTION=on")
	server.MakeBucket(t, "sealed", false)
	bothWays(t, server, "sealed")
}

func bothWays(t *testing.T, server *minio.Server, bucket string) {
	t.Helper()
	notified, listed := sourcetest.NewOut(), sourcetest.NewOut()
	c := server.Client(t)
	halt := fill(t, c, bucket)
	defer halt()
	first := run(t, server, bucket, notified, every(time.Hour))
	second := run(t, server, bucket, listed, listingOnly)
	first.log.wait(t, "the server notifies of uploads")
	notified.Wait(t, len(notified.Events())+100)
	for _, key := range oddKeys {
		minio.Put(t, c, bucket, key, strings.Repeat("content of "+key+"\n", 500))
	}
	putParts(t, c, bucket, "parts")
	_, err := c.CopyObject(t.Context(), client.CopyDestOptions{Bucket: bucket, Object: "copy"}, client.CopySrcOptions{Bucket: bucket, Object: "plain.txt"})
	if err != nil {
		t.Fatal(err)
	}
	want := append([]string{"parts", "copy"}, oddKeys...)
	for deadline := time.Now().Add(sourcetest.Patience); len(own(notified)) < len(want) || len(own(listed)) < len(want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d events notified, %d listed, want %d", len(own(notified)), len(own(listed)), len(want))
		}
	}
	first.stop()
	second.stop()
	a, b := whole(own(notified)), whole(own(listed))
	if !slices.Equal(a, b) || len(a) != len(want) {
		t.Errorf("notified\n%s\nlisted\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	if r := append(notified.Repeats(), listed.Repeats()...); len(r) > 0 {
		t.Errorf("published again: %q", whole(r))
	}
	if n := first.log.count("the bucket is listed"); n > 2 {
		t.Errorf("the source that is notified has listed %d times", n)
	}
}

// fill uploads without a pause, because MinIO may hold notifications back until
// more come. The uploads are none of the test's own.
func fill(t *testing.T, c *client.Client, bucket string) (halt func()) {
	t.Helper()
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			default:
				minio.Put(t, c, bucket, fmt.Sprintf("filler/%d", i), "x")
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// own returns the events that are not of fillers.
func own(out *sourcetest.Out) []event.Event {
	return slices.DeleteFunc(out.Events(), func(e event.Event) bool { return strings.HasPrefix(e.Subject, "filler/") })
}

func putParts(t *testing.T, c *client.Client, bucket, key string) {
	t.Helper()
	content := bytes.Repeat([]byte("0123456789abcdef"), 6<<20/16)
	_, err := c.PutObject(t.Context(), bucket, key, bytes.NewReader(content), int64(len(content)), client.PutObjectOptions{PartSize: 5 << 20})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsMissed uploads while the source is stopped and started and MinIO
// is restarted once.
func TestNothingIsMissed(t *testing.T) {
	const uploads = 1000
	for _, versioned := range []bool{true, false} {
		t.Run(fmt.Sprintf("versioned=%v", versioned), func(t *testing.T) {
			server := minio.Start(t, t.TempDir(), 0)
			server.MakeBucket(t, "photos", versioned)
			out := sourcetest.NewOut()
			now := run(t, server, "photos", out, nil)
			puts := make(chan map[string]int, 1)
			go func() { puts <- upload(t, server, uploads, versioned) }()
			for i := range 5 {
				out.Wait(t, (i+1)*uploads/7)
				now.stop()
				if i == 2 {
					server.Restart(t)
				}
				out = out.Restart()
				now = run(t, server, "photos", out, nil)
			}
			want := <-puts
			out.Wait(t, uploads)
			// A listing after all is over must find nothing more.
			now.stop()
			out = out.Restart()
			now = run(t, server, "photos", out, every(time.Second))
			minio.Put(t, server.Client(t), "photos", "last", "x")
			waitSubject(t, out, "last")
			now.stop()
			compare(t, out, want)
		})
	}
}

// waitSubject waits for an event, as a count is not enough: an upload that was
// cut off may have been stored and made again.
func waitSubject(t *testing.T, out *sourcetest.Out, subject string) {
	t.Helper()
	is := func(e event.Event) bool { return e.Subject == subject }
	for deadline := time.Now().Add(sourcetest.Patience); !slices.ContainsFunc(out.Events(), is); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no event of %q", subject)
		}
	}
}

// upload returns how often each key was uploaded. A versioned bucket gets
// several versions of a key.
func upload(t *testing.T, server *minio.Server, n int, versioned bool) map[string]int {
	t.Helper()
	c := server.Client(t)
	want := map[string]int{"last": 1}
	for i := range n {
		key := fmt.Sprintf("in/%04d.jpg", i)
		if versioned {
			key = fmt.Sprintf("in/%04d.jpg", i%100)
		}
		minio.Put(t, c, "photos", key, fmt.Sprintf("picture %d", i))
		want[key]++
	}
	return want
}

func compare(t *testing.T, out *sourcetest.Out, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	last := map[string]event.Event{}
	for _, e := range out.Events() {
		got[e.Subject]++
		if before := last[e.Subject]; e.Time.Before(before.Time) {
			t.Errorf("%s of %v follows %v", e.Subject, e.Time, before.Time)
		}
		last[e.Subject] = e
	}
	for key, n := range want {
		// An upload that MinIO stored without answering was made twice.
		if got[key] < n || got[key] > n+1 {
			t.Errorf("%d events of %q, want %d", got[key], key, n)
		}
	}
	t.Logf("%d events, %d published again", len(out.Events()), len(out.Repeats()))
	if len(out.Repeats()) > 0 {
		t.Errorf("published again: %q", whole(out.Repeats()))
	}
}

func TestFirstStartLeavesWhatIsThere(t *testing.T) {
	server := minio.Start(t, t.TempDir(), 0)
	server.MakeBucket(t, "photos", true)
	c := server.Client(t)
	old := minio.Put(t, c, "photos", "old", "x")
	stat, err := c.StatObject(t.Context(), "photos", old.Key, client.StatObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for time.Now().Before(stat.LastModified.Add(2100 * time.Millisecond)) { // the clock has full seconds
		time.Sleep(10 * time.Millisecond)
	}
	without, with := sourcetest.NewOut(), sourcetest.NewOut()
	run(t, server, "photos", without, nil)
	run(t, server, "photos", with, func(c *s3.Config) { c.Backfill = true })
	with.Wait(t, 1)
	minio.Put(t, c, "photos", "new", "x")
	if got := with.Wait(t, 2); got[0].Subject != "old" || got[1].Subject != "new" {
		t.Errorf("with backfill: %q", whole(got))
	}
	if got := without.Wait(t, 1); got[0].Subject != "new" || len(got) > 1 {
		t.Errorf("without backfill: %q", whole(got))
	}
}

func TestVersioningSwitchedOnAndOff(t *testing.T) {
	server := minio.Start(t, t.TempDir(), 0)
	server.MakeBucket(t, "photos", false)
	c := server.Client(t)
	out := sourcetest.NewOut()
	run(t, server, "photos", out, every(time.Second))
	minio.Put(t, c, "photos", "a", "1")
	out.Wait(t, 1)
	if err := c.EnableVersioning(t.Context(), "photos"); err != nil {
		t.Fatal(err)
	}
	minio.Put(t, c, "photos", "a", "2")
	out.Wait(t, 2)
	minio.Put(t, c, "photos", "a", "3")
	out.Wait(t, 3)
	if err := c.SuspendVersioning(t.Context(), "photos"); err != nil {
		t.Fatal(err)
	}
	minio.Put(t, c, "photos", "a", "4")
	out.Wait(t, 4)
	minio.Put(t, c, "photos", "b", "last")
	out.Wait(t, 5)
	if got := out.Events(); len(got) != 5 || len(out.Repeats()) > 0 {
		t.Errorf("%d events, want 5: %q, again %q", len(got), whole(got), whole(out.Repeats()))
	}
}

func TestHealthSaysWhatIsWrong(t *testing.T) {
	server := minio.Start(t, t.TempDir(), 0)
	server.MakeBucket(t, "photos", false)
	cases := []struct {
		name   string
		change func(*s3.Config)
		want   string
	}{
		{"bucket", func(c *s3.Config) { c.Bucket = "nothing" }, `bucket "nothing" does not exist at ` + server.Endpoint() + `: create it, or correct bucket: `},
		{"access key", func(c *s3.Config) { c.AccessKey = config.NewSecret("nobody") }, server.Endpoint() + " refuses the credentials: check access_key and secret_key: "},
		{"secret key", func(c *s3.Config) { c.SecretKey = config.NewSecret("wrong") }, server.Endpoint() + " refuses the credentials: check access_key and secret_key: "},
		{"anonymous", func(c *s3.Config) { c.AccessKey, c.SecretKey = config.Secret{}, config.Secret{} }, `bucket "photos" may not be listed anonymously: give access_key and secret_key: `},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := run(t, server, "photos", sourcetest.NewOut(), tc.change)
			s.health.wait(t, tc.want)
		})
	}
	t.Run("unreachable, and back", func(t *testing.T) {
		out := sourcetest.NewOut()
		s := run(t, server, "photos", out, every(time.Second))
		minio.Put(t, server.Client(t), "photos", "a", "x")
		out.Wait(t, 1)
		server.Kill(t)
		s.health.wait(t, server.Endpoint()+" cannot be reached: check endpoint and that the server runs: ")
		server.Restart(t)
		s.health.wait(t, "<nil>")
	})
}
