package s3

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/minio/minio-go/v7/pkg/notification"

	"sluice/connect/s3conn"
	sourcehttp "sluice/sources/http"
)

// testEvent is what S3 sends when notifications are set up.
const testEvent = "s3:TestEvent"

// The families of notifications that tell of a change of content. Others, such
// as those of tags, access and transitions, are none of ours.
var (
	creations = []string{
		"ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload",
	}
	removals = []string{"ObjectRemoved:", "LifecycleExpiration:"}
)

// A hint is what a pushed notification tells: that something has happened to a
// key. What it was is asked from the bucket, because notifications come late,
// twice, and in any order, and do not say all that a listing does.
type hint struct {
	key       string
	name      string // without s3:
	sequencer string
}

// marks tells whether the hint is of a delete marker.
func (h hint) marks() bool { return h.name == "ObjectRemoved:DeleteMarkerCreated" }

// A pushed document is the body of a request: records of S3 or MinIO, or S3's
// test.
type pushedDocument struct {
	Event   string
	Records []notification.Event
}

// parsePush returns the hints of a request's body that are about the bucket.
// A body without anything is a sender that looks whether somebody is there.
func parsePush(bucket string, body []byte) ([]hint, error) {
	if len(body) == 0 {
		return nil, nil
	}
	var document pushedDocument
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, malformed("the body is not the JSON of notifications: %v", err)
	}
	switch {
	case document.Event == testEvent:
		return nil, nil
	case document.Records == nil:
		return nil, malformed("the body has no Records: send the notifications of S3 or MinIO as they come")
	}
	var hints []hint
	for i := range document.Records {
		found, ours, err := parseRecord(bucket, &document.Records[i])
		if err != nil {
			return nil, malformed("Records[%d].%v", i, err)
		}
		if ours {
			hints = append(hints, found)
		}
	}
	return hints, nil
}

func malformed(format string, args ...any) error {
	return &sourcehttp.MalformedError{Message: fmt.Sprintf(format, args...)}
}

// parseRecord returns the hint of one record; false means that nothing has
// happened to the content.
func parseRecord(bucket string, record *notification.Event) (hint, bool, error) {
	name := strings.TrimPrefix(record.EventName, "s3:")
	switch {
	case !strings.HasPrefix(record.EventVersion, "2."):
		return hint{}, false, fmt.Errorf("eventVersion: %q is not known, only 2.x", record.EventVersion)
	case name == "":
		return hint{}, false, fmt.Errorf("eventName: it is missing")
	case record.S3.Bucket.Name != bucket:
		return hint{}, false, fmt.Errorf("s3.bucket.name: notifications of bucket %q do not belong here, only those of %q", record.S3.Bucket.Name, bucket)
	}
	key, err := parseKey(record.S3.Object.Key)
	if err != nil {
		return hint{}, false, fmt.Errorf("s3.object.key: %w", err)
	}
	return hint{key: key, name: name, sequencer: record.S3.Object.Sequencer}, changesContent(name), nil
}

// parseKey decodes a key, which S3 and MinIO encode like a form.
func parseKey(text string) (string, error) {
	key, err := url.QueryUnescape(text)
	switch {
	case err != nil:
		return "", fmt.Errorf("%.100q is not encoded like a form: %w", text, err)
	case key == "":
		return "", fmt.Errorf("it is missing")
	case len(key) > s3conn.MaxKey:
		return "", fmt.Errorf("it is %d bytes long, but keys have at most %d", len(key), s3conn.MaxKey)
	case !utf8.ValidString(key):
		return "", fmt.Errorf("%.100q is not UTF-8", key)
	}
	return key, nil
}

func changesContent(name string) bool {
	return slices.Contains(creations, name) ||
		slices.ContainsFunc(removals, func(family string) bool { return strings.HasPrefix(name, family) })
}

// maxSequencers bounds for how many keys the last sequencer is kept. What is
// forgotten costs no more than a question to the bucket.
const maxSequencers = 4096

// sequencers hold the last notification of each key after which the bucket was
// asked: the answer tells of everything before it too.
type sequencers map[string]hint

// accounted tells whether the bucket was asked after what the hint tells, or
// something later.
func (s sequencers) accounted(h hint) bool {
	last, found := s[h.key]
	if !found || h.sequencer == "" {
		return false
	}
	order := compareSequencers(h.sequencer, last.sequencer)
	return order < 0 || (order == 0 && h.name == last.name)
}

// note takes down that the bucket was asked after the hint came.
func (s sequencers) note(h hint) {
	if h.sequencer == "" || s.accounted(h) {
		return
	}
	if len(s) >= maxSequencers {
		clear(s)
	}
	s[h.key] = h
}

// compareSequencers compares two sequencers of one key: hexadecimal numbers, the
// shorter one padded with zeros on the right.
func compareSequencers(a, b string) int {
	n := max(len(a), len(b))
	pad := func(text string) string { return strings.ToUpper(text) + strings.Repeat("0", n-len(text)) }
	return strings.Compare(pad(a), pad(b))
}
