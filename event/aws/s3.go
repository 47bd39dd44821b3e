package aws

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"sluice/event"
)

// An object is the data of an event of a bucket, as the source s3 makes it.
type object struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	Size      *int64 `json:"size"`
	ETag      string `json:"etag"`
	VersionID string `json:"version_id"`
}

// s3 writes one record of S3's event message structure, version 2.1.
func (w *writer) s3(e *event.Event) error {
	var o object
	if err := json.Unmarshal(e.Data, &o); err != nil {
		return fmt.Errorf("its data is not that of an object in a bucket: %w", err)
	}
	if o.Bucket == "" || o.Key == "" {
		return errors.New("its data names no object: want the members bucket and key")
	}
	w.open('{')
	w.text("eventVersion", "2.1")
	w.text("eventSource", "aws:s3")
	w.text("awsRegion", w.Region)
	w.time("eventTime", layoutMillis, e)
	w.text("eventName", eventName(e.Type))
	w.principal("userIdentity")
	w.object("requestParameters")
	w.text("sourceIPAddress", "127.0.0.1")
	w.close('}')
	w.responseElements(e)
	w.object("s3")
	w.text("s3SchemaVersion", "1.0")
	w.text("configurationId", "sluice")
	w.object("bucket")
	w.text("name", o.Bucket)
	w.principal("ownerIdentity")
	w.text("arn", "arn:aws:s3:::"+o.Bucket)
	w.close('}')
	w.s3Object(e, &o)
	w.close('}')
	w.close('}')
	return nil
}

func (w *writer) principal(name string) {
	w.object(name)
	w.text("principalId", w.Account)
	w.close('}')
}

// s3Object writes the object. What is removed has neither size nor eTag.
func (w *writer) s3Object(e *event.Event, o *object) {
	w.object("object")
	w.text("key", formEncode(o.Key))
	if strings.HasPrefix(e.Type, PrefixS3+"created.") {
		if o.Size != nil {
			w.number("size", *o.Size)
		}
		if o.ETag != "" {
			w.text("eTag", o.ETag)
		}
	}
	if o.VersionID != "" {
		w.text("versionId", o.VersionID)
	}
	w.text("sequencer", fmt.Sprintf("%016X", uint64(eventTime(e).UnixNano())))
	w.close('}')
}

// responseElements writes the ids of the request, which follow from the event's
// id.
func (w *writer) responseElements(e *event.Event) {
	sum := sha256.Sum256([]byte(e.ID))
	w.object("responseElements")
	w.text("x-amz-request-id", strings.ToUpper(hex.EncodeToString(sum[:8])))
	w.text("x-amz-id-2", base64.StdEncoding.EncodeToString(sum[8:]))
	w.close('}')
}

// formEncode encodes a key as the service does: as in a form, slashes stay.
func formEncode(key string) string {
	return strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")
}

// eventName returns the service's name of a type: ObjectCreated:Put for
// s3.object.created.put.
func eventName(kind string) string {
	what, how, _ := strings.Cut(strings.TrimPrefix(kind, PrefixS3), ".")
	return "Object" + camelCase(what) + ":" + camelCase(how)
}

func camelCase(words string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(words, "-") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}
