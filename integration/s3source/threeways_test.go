//go:build integration

package s3source

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/notification"

	"sluice/config"
	"sluice/event"
	"sluice/integration/minio"
	"sluice/sources"
	sourcehttp "sluice/sources/http"
	"sluice/sources/s3"
	"sluice/sources/sourcetest"
)

// told returns what an event tells of content type and metadata.
func told(t *testing.T, e *event.Event) []string {
	t.Helper()
	var data struct {
		ContentType string `json:"content_type"`
		Metadata    map[string]string
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.Fatal(err)
	}
	return []string{data.ContentType, data.Metadata["camera"]}
}

// A counted mux counts the requests of what is mounted.
type counted struct {
	sources.Mux
	requests atomic.Int64
}

func (c *counted) Handle(source, path string, handler http.Handler) (remove func(), err error) {
	return c.Mux.Handle(source, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests.Add(1)
		handler.ServeHTTP(w, r)
	}))
}

// ingest runs an ingest listener until the test ends.
func ingest(t *testing.T) (mux *counted, address string) {
	t.Helper()
	server := sourcehttp.NewServer(sourcehttp.Options{Listen: "127.0.0.1:0"})
	ctx, cancel := context.WithCancel(context.Background())
	if err := server.Listen(ctx); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ingest: %v", err)
		}
	})
	return &counted{Mux: server}, server.Addr().String()
}

const pushToken = "correct-horse-battery"

// TestThreeWaysAtOnce has the listen stream, notifications that MinIO pushes,
// and listings every second tell of the same uploads and removals: each is one
// event.
func TestThreeWaysAtOnce(t *testing.T) {
	mux, address := ingest(t)
	server := minio.Start(t, t.TempDir(), 0, "MINIO_NOTIFY_WEBHOOK_ENABLE_SLUICE=on",
		"MINIO_NOTIFY_WEBHOOK_ENDPOINT_SLUICE=http://"+address+"/s3/uploads", "MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_SLUICE="+pushToken)
	for _, versioned := range []bool{false, true} {
		t.Run(fmt.Sprintf("versioned=%v", versioned), func(t *testing.T) {
			threeWays(t, server, mux, versioned)
		})
	}
}

func threeWays(t *testing.T, server *minio.Server, mux *counted, versioned bool) {
	t.Helper()
	const uploads, deletes = 1000, 200
	bucket := fmt.Sprintf("ways-%v", versioned)
	server.MakeBucket(t, bucket, versioned)
	out := sourcetest.NewOut()
	pushesBefore := mux.requests.Load()
	now := runOn(t, server, bucket, out, mux, func(c *s3.Config) {
		c.Interval = config.Duration(time.Second)
		c.Notify = &sourcehttp.Inlet{Path: "/s3/uploads", Token: config.Secrets{config.NewSecret(pushToken)}}
	})
	now.log.wait(t, "the bucket is listed")
	c := server.Client(t)
	halt := fill(t, c, bucket)
	now.log.wait(t, "the server notifies of uploads")
	halt()
	notifyOf(t, server, bucket)
	for i := range uploads {
		minio.Put(t, c, bucket, fmt.Sprintf("in/%04d.jpg", i), strconv.Itoa(i))
		if i >= uploads-deletes {
			remove(t, c, bucket, fmt.Sprintf("in/%04d.jpg", i-uploads/2), "")
		}
	}
	waitOwn(t, out, uploads+deletes)
	listings := now.log.count("the bucket is listed")
	for now.log.count("the bucket is listed") < listings+2 { // what the others missed would be found
		time.Sleep(10 * time.Millisecond)
	}
	now.stop()
	pushes := mux.requests.Load() - pushesBefore
	events := own(out)
	t.Logf("%d events, %d published again; %d requests pushed, %d listings", len(events), len(out.Repeats()), pushes, now.log.count("the bucket is listed"))
	if len(events) != uploads+deletes || len(out.Repeats()) > 0 {
		t.Errorf("%d events, want %d; again: %q", len(events), uploads+deletes, whole(out.Repeats()))
	}
	if pushes < uploads/10 {
		t.Errorf("only %d requests were pushed", pushes)
	}
	removed := 0
	for _, e := range events {
		if strings.HasPrefix(e.Type, "s3.object.removed.") {
			removed++
		}
	}
	if removed != deletes {
		t.Errorf("%d removals, want %d", removed, deletes)
	}
}

// notifyOf has MinIO push the bucket's notifications.
func notifyOf(t *testing.T, server *minio.Server, bucket string) {
	t.Helper()
	wanted := notification.NewConfig(notification.NewArn("minio", "sqs", "", "SLUICE", "webhook"))
	wanted.AddEvents(notification.ObjectCreatedAll, notification.ObjectRemovedAll)
	var all notification.Configuration
	if !all.AddQueue(wanted) {
		t.Fatal("the notification was not added")
	}
	if err := server.Client(t).SetBucketNotification(t.Context(), bucket, all); err != nil {
		t.Fatal(err)
	}
}
