package s3

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/notification"

	"sluice/connect/s3conn"
)

func newTestClient(t *testing.T) *client {
	t.Helper()
	cfg := NewConfig()
	cfg.Endpoint, cfg.Bucket, cfg.Prefix, cfg.Suffix = "http://127.0.0.1:1", bucket, "in/", ".jpg"
	c, err := newClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNotes(t *testing.T) {
	const nanos = "18ABCDEF01234567"
	at, ok := sequencerTime(nanos)
	if !ok {
		t.Fatal("not a time")
	}
	whole := note{object: newObject("in/a.jpg", "e", "v", 3, at)}
	cases := []struct {
		name   string
		change func(*notification.Event)
		want   note
		ok     bool
	}{
		{"whole", func(*notification.Event) {}, whole, true},
		{"other bucket", func(e *notification.Event) { e.S3.Bucket.Name = "other" }, note{}, false},
		{"removal", func(e *notification.Event) { e.EventName = "s3:ObjectRemoved:Delete" }, note{object: whole.object, vague: true}, true},
		{"access", func(e *notification.Event) { e.EventName = "s3:ObjectAccessed:Get" }, note{}, false},
		{"tags", func(e *notification.Event) { e.EventName = "s3:ObjectCreated:PutTagging" }, note{}, false},
		{"no key", func(e *notification.Event) { e.S3.Object.Key = "" }, note{}, false},
		{"other prefix", func(e *notification.Event) { e.S3.Object.Key = "out/a.jpg" }, note{object: newObject("out/a.jpg", "e", "v", 3, at)}, false},
		{"no etag", func(e *notification.Event) { e.S3.Object.ETag = "" }, note{object: newObject("in/a.jpg", "", "v", 3, at), vague: true}, true},
		{"no time", func(e *notification.Event) { e.S3.Object.Sequencer = "?" }, note{object: newObject("in/a.jpg", "e", "v", 3, time.Unix(0, 0)), vague: true}, true},
		{"perhaps encoded", func(e *notification.Event) { e.S3.Object.Key = "in%2Fa.jpg" }, note{object: newObject("in%2Fa.jpg", "e", "v", 3, at), vague: true}, true},
	}
	c := newTestClient(t)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			record := notification.Event{EventName: "s3:ObjectCreated:Put"}
			record.S3.Bucket.Name = bucket
			record.S3.Object.Key, record.S3.Object.ETag, record.S3.Object.Size = "in/a.jpg", "e", 3
			record.S3.Object.VersionID, record.S3.Object.Sequencer = "v", nanos
			tc.change(&record)
			if got, ok := c.note(&record); got != tc.want || ok != tc.ok {
				t.Errorf("%+v %v, want %+v %v", got, ok, tc.want, tc.ok)
			}
		})
	}
}

func TestStreamsEnd(t *testing.T) {
	c := newTestClient(t)
	cases := []struct {
		name, text, want string
		unsupported      bool
	}{
		{"ended", "  {\"Records\":null}\n ", "the server has ended the stream of notifications", false},
		{"cut off", `{"Records":[`, "the server has ended the stream of notifications", false},
		{"a listing", "<?xml version=\"1.0\"?>", "invalid character '<' looking for beginning of value", true},
		{"too long", `{"x":"` + strings.Repeat("x", maxLine), "a notification is longer than 4194304 bytes", false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			err := c.readNotes(strings.NewReader(tc.text), func(note) { t.Error("a note") })
			if err == nil || err.Error() != tc.want || unsupported(err) != tc.unsupported {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte(`{"Records":[{"eventName":"s3:ObjectCreated:Put","s3":{"bucket":{"name":"photos"},"object":{"key":"in/a.jpg","eTag":"x","sequencer":"18ABCDEF01234567"}}}]}`))
	f.Add([]byte(" \n{\"Records\":null}"))
	c, err := newClient(&Config{Location: s3conn.Location{Endpoint: "http://127.0.0.1:1", Bucket: bucket}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := c.readNotes(bytes.NewReader(data), func(n note) {
			if n.object.key == "" {
				t.Error("a note without a key")
			}
		})
		if err == nil || errors.Is(err, errHeld) {
			t.Errorf("%v", err)
		}
	})
}
