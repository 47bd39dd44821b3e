//go:build integration

package integration_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/minio/minio-go/v7"

	"sluice/integration/harness"
	"sluice/integration/minio"
)

// TestMinIO uploads to a real MinIO and removes some of it while both are
// killed: every upload and every removal arrives (I1), once (I5, I6) but for what
// was under way at a kill.
func TestMinIO(t *testing.T) {
	server := minio.Start(t, t.TempDir(), 0)
	for _, versioned := range []bool{true, false} {
		name := map[bool]string{true: "versioned", false: "unversioned"}[versioned]
		t.Run(name, func(t *testing.T) {
			server.MakeBucket(t, name, versioned)
			uploadUnderKills(t, server, name, versioned)
		})
	}
}

const sluiceKills = 5

func uploadUnderKills(t *testing.T, server *minio.Server, bucket string, versioned bool) {
	t.Helper()
	rng := random(t)
	worker := harness.NewWorker(t, brief)
	s := harness.New(t, program, fmt.Sprintf("sources: {up: {s3: {endpoint: %q, bucket: %q, access_key: %q, secret_key: %q, interval: 2s}}}\n"+
		"triggers: {work: {on: up, to: {http: {url: %q}}}}\n", server.Endpoint(), bucket, minio.User, minio.Password, worker.URL("/work")))
	s.Up()
	u := startUploads(t, server, bucket)
	r := startRemovals(t, server, bucket, worker)
	for n := range sluiceKills {
		u.reach(t, (n+1)**uploads/(sluiceKills+2))
		<-time.After(time.Duration(rng.IntN(100)) * time.Millisecond) // a random moment
		s.Kill()
		if n%2 == 1 {
			server.Kill(t)
			server.Restart(t)
		}
		s.Start()
		if n%2 == 0 {
			s.Ready()
		}
	}
	s.Ready()
	u.wait.Wait()
	keys := r.end(t)
	ids := stored(t, server, bucket, versioned)
	began := time.Now()
	delivered(t, worker, "/work", ids, time.Minute)
	took := time.Since(began)
	gone := removalsOf(t, worker, keys)
	s.Idle(20 * time.Second)
	repeats := harness.FindRepeats(worker.Receipts(), s.Kills)
	t.Logf("%d uploads, %d removed, %d events delivered (the last %v after the last upload), %d repeated after %d kills: %v, %d under way, "+
		"the others written down %v before the kill at most", *uploads, len(keys), worker.Done("/work"), took.Round(time.Millisecond),
		repeats.Total, len(s.Kills), repeats.PerKill, repeats.UnderWay, repeats.Oldest().Round(time.Microsecond))
	explained(t, &repeats)
	// Without versions, what was removed is not stored, and what was uploaded again
	// because its answer was lost is stored once.
	most := len(ids)
	if !versioned {
		most += len(keys) + gone + 2*uploaders
	}
	if n := worker.Done("/work"); n > most {
		t.Errorf("%d events, want at most %d", n, most)
	}
	s.Conserved()
}

// uploaders is how many uploads are under way at a time.
const uploaders = 8

// An uploading puts objects under keys of their own, from several goroutines.
type uploading struct {
	wait sync.WaitGroup
	next atomic.Int64
	done atomic.Int64
}

func startUploads(t *testing.T, server *minio.Server, bucket string) *uploading {
	t.Helper()
	u, c := &uploading{}, server.Client(t)
	for range uploaders {
		u.wait.Go(func() {
			for n := u.next.Add(1); n <= int64(*uploads); n = u.next.Add(1) {
				key := fmt.Sprintf("in/%d.txt", n)
				minio.Put(t, c, bucket, key, key)
				u.done.Add(1)
				<-time.After(10 * time.Millisecond) // so that the kills come among them
			}
		})
	}
	t.Cleanup(u.wait.Wait)
	return u
}

// reach waits until so many uploads are done.
func (u *uploading) reach(t *testing.T, n int) {
	t.Helper()
	harness.Eventually(t, time.Minute, fmt.Sprintf("%d uploads are done", n), func() bool { return int(u.done.Load()) >= n })
}

// A removing removes objects whose uploads were delivered.
type removing struct {
	quit chan struct{}
	keys chan []string
}

func startRemovals(t *testing.T, server *minio.Server, bucket string, worker *harness.Worker) *removing {
	t.Helper()
	r := &removing{quit: make(chan struct{}), keys: make(chan []string, 1)}
	c := server.Client(t)
	go func() {
		var keys []string
		tried := map[string]bool{}
		for len(keys) < *uploads/5 {
			select {
			case <-r.quit:
				r.keys <- keys
				return
			case <-time.After(20 * time.Millisecond):
			}
			for _, receipt := range worker.Receipts() {
				if receipt.Status/100 != 2 || tried[receipt.Subject] || len(keys) == *uploads/5 {
					continue
				}
				tried[receipt.Subject] = true
				keys = append(keys, receipt.Subject)
				minio.Remove(t, c, bucket, receipt.Subject)
			}
		}
		r.keys <- keys
	}()
	t.Cleanup(func() {
		select {
		case <-r.quit:
		default:
			close(r.quit)
		}
	})
	return r
}

// end waits until all are removed, and returns their keys.
func (r *removing) end(t *testing.T) []string {
	t.Helper()
	select {
	case keys := <-r.keys:
		return keys
	case <-time.After(time.Minute):
		t.Fatal("not all objects could be removed")
	}
	return nil
}

// removalsOf waits until each of the keys is removed by an event, and returns how
// many such events there are.
func removalsOf(t *testing.T, worker *harness.Worker, keys []string) int {
	t.Helper()
	gone := map[string]map[string]bool{}
	n := 0
	harness.Eventually(t, time.Minute, fmt.Sprintf("%d removals are delivered", len(keys)), func() bool {
		n = 0
		for _, r := range worker.Receipts() {
			if r.Status/100 != 2 || !strings.HasPrefix(r.Type, "s3.object.removed.") {
				continue
			}
			if gone[r.Subject] == nil {
				gone[r.Subject] = map[string]bool{}
			}
			gone[r.Subject][r.Event] = true
		}
		for _, key := range keys {
			n += min(1, len(gone[key]))
		}
		return n == len(keys)
	})
	if len(gone) > len(keys) {
		t.Errorf("%d keys are said to be removed, want %d", len(gone), len(keys))
	}
	return n
}

// stored returns the ids of the events of everything that is in the bucket, by
// which both ways of seeing an upload go. A client that has tried an upload
// again may have made two versions of it.
func stored(t *testing.T, server *minio.Server, bucket string, versioned bool) []string {
	t.Helper()
	var ids []string
	for object := range server.Client(t).ListObjects(t.Context(), bucket, client.ListObjectsOptions{Recursive: true, WithVersions: versioned}) {
		if object.Err != nil {
			t.Fatal(object.Err)
		}
		state := object.VersionID
		if !versioned {
			state = fmt.Sprintf("%s-%d", strings.Trim(object.ETag, `"`), object.LastModified.UnixMilli())
		}
		ids = append(ids, bucket+"/"+object.Key+"/"+state)
	}
	return ids
}
