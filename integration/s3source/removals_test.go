//go:build integration

package s3source

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/minio/minio-go/v7"

	"sluice/event"
	"sluice/integration/minio"
	"sluice/sources/s3"
	"sluice/sources/sourcetest"
)

// remove removes an object, or hides it by a delete marker, or removes a version.
func remove(t *testing.T, c *client.Client, bucket, key, version string) {
	t.Helper()
	if err := c.RemoveObject(t.Context(), bucket, key, client.RemoveObjectOptions{VersionID: version}); err != nil {
		t.Fatalf("remove %q: %v", key, err)
	}
}

// waitOwn waits for n events that are not of fillers.
func waitOwn(t *testing.T, out *sourcetest.Out, n int) []event.Event {
	t.Helper()
	for deadline := time.Now().Add(sourcetest.Patience); len(own(out)) < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d events, want %d: %q", len(own(out)), n, whole(own(out)))
		}
	}
	return own(out)
}

// TestRemovals removes while the source is notified, while it lists, and while
// it is away.
func TestRemovals(t *testing.T) {
	server := minio.Start(t, t.TempDir(), 0)
	for _, versioned := range []bool{false, true} {
		for way, change := range map[string]func(*s3.Config){"notified": every(time.Hour), "listed": listingOnly} {
			t.Run(fmt.Sprintf("versioned=%v, %s", versioned, way), func(t *testing.T) {
				bucket := fmt.Sprintf("gone-%s-%v", way, versioned)
				server.MakeBucket(t, bucket, versioned)
				removals(t, server, bucket, versioned, change)
			})
		}
	}
}

func removals(t *testing.T, server *minio.Server, bucket string, versioned bool, change func(*s3.Config)) {
	t.Helper()
	c, out := server.Client(t), sourcetest.NewOut()
	halt := fill(t, c, bucket)
	defer halt()
	now := run(t, server, bucket, out, change)
	waitOwn(t, out, 0)
	now.log.wait(t, "the bucket is listed")
	var keys, versions []string
	for _, key := range oddKeys {
		if versioned && strings.HasSuffix(key, "/") {
			continue // MinIO keeps no versions of folders
		}
		versions = append(versions, minio.Put(t, c, bucket, key, "content of "+key).VersionID)
		keys = append(keys, key)
	}
	created := waitOwn(t, out, len(keys))
	for _, key := range keys[1:] {
		remove(t, c, bucket, key, "")
	}
	waitOwn(t, out, 2*len(keys)-1)
	now.stop()
	remove(t, c, bucket, keys[0], "")
	if versioned {
		remove(t, c, bucket, keys[1], versions[1])
	}
	out = out.Restart()
	now = run(t, server, bucket, out, change)
	want := 2 * len(keys)
	if versioned {
		want++
	}
	events := waitOwn(t, out, want)
	now.stop()
	if len(events) != want || len(out.Repeats()) > 0 {
		t.Errorf("%d events, want %d; again %q", len(events), want, whole(out.Repeats()))
	}
	checkRemovals(t, events[len(keys):], created, versioned)
}

// checkRemovals checks that each key that was created was removed once.
func checkRemovals(t *testing.T, removed, created []event.Event, versioned bool) {
	t.Helper()
	var hidden, ids []string
	for _, e := range removed {
		if e.Type == s3.TypeMarker {
			hidden = append(hidden, e.Subject)
		} else {
			ids = append(ids, e.ID)
		}
	}
	var keys, states []string
	for _, e := range created {
		keys, states = append(keys, e.Subject), append(states, e.ID+"/removed")
	}
	if versioned {
		states = []string{created[slices.Index(keys, oddKeys[1])].ID + "/removed"}
	} else {
		keys = nil
	}
	for _, list := range [][]string{hidden, ids, keys, states} {
		slices.Sort(list)
	}
	if !slices.Equal(hidden, keys) || !slices.Equal(ids, states) {
		t.Errorf("hidden %q, want %q; removed %q, want %q", hidden, keys, ids, states)
	}
}

// TestMetadataIsToldByEachWay has the content type and the user's metadata in
// the events, the same ones whichever way saw them.
func TestMetadataIsToldByEachWay(t *testing.T) {
	server := minio.Start(t, t.TempDir(), 0)
	for _, versioned := range []bool{false, true} {
		bucket := fmt.Sprintf("described-%v", versioned)
		server.MakeBucket(t, bucket, versioned)
		c := server.Client(t)
		halt := fill(t, c, bucket)
		var all [][]string
		for _, change := range []func(*s3.Config){every(time.Hour), listingOnly} {
			out := sourcetest.NewOut()
			run(t, server, bucket, out, func(c *s3.Config) { change(c); c.Metadata = true }).log.wait(t, "the bucket is listed")
			put := client.PutObjectOptions{ContentType: "image/jpeg", UserMetadata: map[string]string{"Camera": "Leica"}}
			if _, err := c.FPutObject(t.Context(), bucket, "a.jpg", "removals_test.go", put); err != nil {
				t.Fatal(err)
			}
			e := waitOwn(t, out, 1)[0]
			all = append(all, told(t, &e))
		}
		halt()
		if want := []string{"image/jpeg", "Leica"}; !slices.Equal(all[0], want) || !slices.Equal(all[1], want) {
			t.Errorf("%q, want %q", all, want)
		}
	}
}
