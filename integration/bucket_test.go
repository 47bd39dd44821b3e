//go:build integration

package integration_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	client "github.com/minio/minio-go/v7"

	"sluice/integration/harness"
	"sluice/integration/minio"
)

// bucketSource is a configuration with one trigger from a bucket to the worker.
func bucketSource(server *minio.Server, worker *harness.Worker, more string) string {
	return fmt.Sprintf("sources: {up: {s3: {endpoint: %q, interval: 1s, %s}}}\n"+
		"triggers: {work: {on: up, to: {http: {url: %q}}}}\n", server.Endpoint(), more, worker.URL("/work"))
}

func signed(bucket string) string {
	return fmt.Sprintf("bucket: %q, access_key: %q, secret_key: %q", bucket, minio.User, minio.Password)
}

// TestLargeBucket has the source meet a bucket of many objects: none of them is an
// event, what changes while it is away is, and memory does not follow the bucket.
func TestLargeBucket(t *testing.T) {
	const changes, mib = 500, 1 << 20
	server := minio.Start(t, memoryDir(t), 0)
	server.MakeBucket(t, "empty", false)
	server.MakeBucket(t, "large", false)
	worker := harness.NewWorker(t, brief)
	idle := harness.New(t, program, bucketSource(server, worker, signed("empty")))
	listed(t, idle)
	without := idle.MostMemory()
	idle.Kill()

	began := time.Now()
	putMany(t, server, "large", *objects)
	t.Logf("%d objects uploaded in %v", *objects, time.Since(began).Round(time.Second))
	s := harness.New(t, program, bucketSource(server, worker, signed("large")))
	began = time.Now()
	listed(t, s)
	first, most, now := time.Since(began), s.MostMemory(), s.Memory()
	if n := worker.Len(); n > 0 {
		t.Errorf("%d events of what was there", n)
	}
	s.Kill()
	c := server.Client(t)
	for i := range changes {
		key := numbered(i * (*objects / changes))
		minio.Put(t, c, "large", key+".new", "x")
		minio.Remove(t, c, "large", key)
	}
	began = time.Now()
	s.Up()
	harness.Eventually(t, 2*time.Minute, "all changes are delivered", func() bool { return worker.Done("/work") >= 2*changes })
	found := time.Since(began)
	s.Idle(20 * time.Second)
	removed := 0
	for _, r := range worker.Receipts() {
		if strings.HasSuffix(r.Event, "/removed") && strings.HasPrefix(r.Type, "s3.object.removed.") {
			removed++
		}
	}
	if n := worker.Done("/work"); n != 2*changes || removed != changes {
		t.Errorf("%d events, %d of them removals; want %d and %d", n, removed, 2*changes, changes)
	}
	t.Logf("%d objects: listed for the first time %v after the start, with %d MiB at most and %d MiB then (%d MiB at most with an empty bucket); "+
		"after a restart %d changes were delivered within %v, with %d MiB at most",
		*objects, first.Round(time.Millisecond), most/mib, now/mib, without/mib, 2*changes, found.Round(time.Millisecond), s.MostMemory()/mib)
	// Of what is live up to 64 MiB the collector lets twice as much be garbage.
	if grown := max(most, s.MostMemory()) - without; grown > 96*mib {
		t.Errorf("the memory has grown by %d MiB", grown/mib)
	}
	s.Conserved()
}

// listed starts sluice and waits until the bucket was listed to its end.
func listed(t *testing.T, s *harness.Sluice) {
	t.Helper()
	s.StartWith("--log-level", "debug")
	s.Ready()
	harness.Eventually(t, 2*time.Minute, "the bucket is listed", func() bool { return s.Logged("the bucket is listed") > 0 })
}

// putMany uploads small objects in archives that MinIO unpacks, and waits until
// the server's clock, which has full seconds, is past the last one.
func putMany(t *testing.T, server *minio.Server, bucket string, n int) {
	t.Helper()
	const archive = 5000
	c := server.Client(t)
	for from := 0; from < n; from += archive {
		objects := make(chan client.SnowballObject, archive)
		for i := from; i < min(n, from+archive); i++ {
			objects <- client.SnowballObject{Key: numbered(i), Size: 1, ModTime: time.Now(), Content: strings.NewReader("x")}
		}
		close(objects)
		if err := c.PutObjectsSnowball(t.Context(), bucket, client.SnowballOptions{InMemory: true}, objects); err != nil {
			t.Fatal(err)
		}
	}
	<-time.After(2 * time.Second)
}

func numbered(i int) string { return fmt.Sprintf("in/%07d.jpg", i) }

// memoryDir returns a folder in memory where the system has such, because MinIO
// syncs each object.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "minio-") //nolint:usetesting // not on disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestBucketsThatFail has sluice say in its readiness what is wrong with a bucket,
// and go on when that is mended.
func TestBucketsThatFail(t *testing.T) {
	server := minio.Start(t, t.TempDir(), 0)
	server.MakeBucket(t, "closed", false)
	worker := harness.NewWorker(t, brief)
	at := server.Endpoint()
	wrongKey := fmt.Sprintf("bucket: closed, access_key: %q, secret_key: wrong-secret", minio.User)
	cases := []struct {
		name, section, want string
		mend                func(t *testing.T, c *client.Client)
	}{
		{"missing bucket", signed("missing"), `bucket "missing" does not exist at ` + at + `: create it, or correct bucket: `, func(t *testing.T, _ *client.Client) {
			t.Helper()
			server.MakeBucket(t, "missing", false)
		}},
		{"wrong credentials", wrongKey, at + " refuses the credentials: check access_key and secret_key: ", nil},
		{"denied listing", "bucket: closed", `bucket "closed" may not be listed anonymously: give access_key and secret_key: `, func(t *testing.T, c *client.Client) {
			t.Helper()
			const open = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::closed"]}]}`
			if err := c.SetBucketPolicy(t.Context(), "closed", open); err != nil {
				t.Fatal(err)
			}
		}},
		{"unreachable endpoint", signed("closed"), at + " cannot be reached: check endpoint and that the server runs: ", func(t *testing.T, _ *client.Client) {
			t.Helper()
			server.Restart(t)
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "unreachable endpoint" {
				server.Kill(t)
			}
			s := harness.New(t, program, bucketSource(server, worker, tc.section))
			s.Up() // ready nevertheless
			says(t, s, "source up", "degraded", tc.want)
			if tc.mend != nil {
				tc.mend(t, server.Client(t))
				says(t, s, "source up", "ok", "")
			}
			if n := s.Logged("the source is degraded"); n != 1 {
				t.Errorf("it was logged %d times, want once:\n%s", n, s.Log())
			}
		})
	}
}

// says waits until a check of the readiness has a state with a reason.
func says(t *testing.T, s *harness.Sluice, check, state, reason string) {
	t.Helper()
	last := harness.Said{}
	defer func() {
		if t.Failed() {
			t.Logf("sluice ready: %d %s", last.Code, last.Out)
		}
	}()
	harness.Eventually(t, time.Minute, fmt.Sprintf("%s is %s: %s", check, state, reason), func() bool {
		last = s.Command("ready")
		for line := range strings.Lines(last.Out) {
			if strings.Contains(line, check) && strings.Contains(line, state) && strings.Contains(line, reason) {
				return last.Code == 0
			}
		}
		return false
	})
}
