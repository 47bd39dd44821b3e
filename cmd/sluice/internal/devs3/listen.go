package devs3

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/minio/minio-go/v7/pkg/notification"
)

const keepAlive = 500 * time.Millisecond

// isListen tells whether a request is for MinIO's listen API.
func isListen(r *http.Request) bool {
	bucket := strings.Trim(r.URL.Path, "/")
	return r.Method == http.MethodGet && bucket != "" && !strings.Contains(bucket, "/") && r.URL.Query().Has("events")
}

// listen answers with a line of JSON for each upload and removal until the client goes.
func (s *Server) listen(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	bucket := strings.Trim(r.URL.Path, "/")
	ping, err := pingOf(query)
	if err == nil {
		err = checkEvents(query["events"])
	}
	if err == nil {
		err = backend{s.folder}.need(bucket)
	}
	if err != nil {
		refuse(w, bucket, err)
		return
	}
	l := &listener{
		bucket: bucket, prefix: query.Get("prefix"), suffix: query.Get("suffix"),
		uploads:  wants(query["events"], notification.ObjectCreatedAll, notification.ObjectCreatedPut),
		removals: wants(query["events"], notification.ObjectRemovedAll, notification.ObjectRemovedDelete),
	}
	s.hub.add(l)
	defer s.hub.remove(l)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	stream(r.Context(), w, l, ping)
}

// A beat is what keeps the stream alive.
type beat struct {
	every time.Duration
	text  string
}

func pingOf(query url.Values) (beat, error) {
	if !query.Has("ping") {
		return beat{keepAlive, " "}, nil
	}
	seconds, err := strconv.Atoi(query.Get("ping"))
	if err != nil || seconds < 1 || seconds > 3600 {
		return beat{}, gofakes3.ErrorMessagef(gofakes3.ErrInvalidArgument, "ping %q is not a number of seconds from 1 to 3600", query.Get("ping"))
	}
	return beat{time.Duration(seconds) * time.Second, "{\"Records\":null}\n"}, nil
}

func checkEvents(names []string) error {
	for _, name := range names {
		if !strings.HasPrefix(name, "s3:") {
			return gofakes3.ErrorMessagef(gofakes3.ErrInvalidArgument, "event %q is not known: write a name such as s3:ObjectCreated:*", name)
		}
	}
	return nil
}

// wants tells whether any of the kinds is among the names.
func wants(names []string, kinds ...notification.EventType) bool {
	return slices.ContainsFunc(kinds, func(kind notification.EventType) bool { return slices.Contains(names, string(kind)) })
}

// refuse answers as S3 does.
func refuse(w http.ResponseWriter, bucket string, err error) {
	code := gofakes3.ErrInternal
	if known, ok := err.(gofakes3.Error); ok { //nolint:errorlint // made by need and the checks above
		code = known.ErrorCode()
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(code.Status())
	// The client may have gone.
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName  xml.Name `xml:"Error"`
		Code     string
		Message  string
		Resource string
	}{Code: string(code), Message: err.Error(), Resource: bucket})
}

func stream(ctx context.Context, w http.ResponseWriter, l *listener, ping beat) {
	out := http.NewResponseController(w)
	ticker := time.NewTicker(ping.every)
	defer ticker.Stop()
	encoder := json.NewEncoder(w)
	for out.Flush() == nil {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_, err = fmt.Fprint(w, ping.text)
		case r, open := <-l.notes:
			if !open {
				return
			}
			err = encoder.Encode(notice(l.bucket, r))
		}
		if err != nil {
			return
		}
	}
}

// notice describes an upload or a removal as MinIO does: the sequencer is the hexadecimal
// modification time in nanoseconds, and the key is not encoded.
func notice(bucket string, r record) notification.Info {
	e := notification.Event{
		EventVersion: "2.0",
		EventSource:  "minio:s3",
		EventTime:    r.Modified.Format("2006-01-02T15:04:05.000Z"),
		EventName:    string(notification.ObjectCreatedPut),
	}
	if r.gone {
		e.EventName = string(notification.ObjectRemovedDelete)
	}
	e.S3.SchemaVersion = "1.0"
	e.S3.Bucket.Name = bucket
	e.S3.Bucket.ARN = "arn:aws:s3:::" + bucket
	e.S3.Object.Key = r.Key
	e.S3.Object.Size = r.Size
	e.S3.Object.ETag = r.etag()
	e.S3.Object.ContentType = r.Meta["Content-Type"]
	e.S3.Object.Sequencer = fmt.Sprintf("%X", r.Modified.UnixNano())
	return notification.Info{Records: []notification.Event{e}}
}
