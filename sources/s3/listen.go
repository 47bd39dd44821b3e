package s3

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/notification"
)

const (
	// pingSeconds is how often the server shows that it is there. It is also
	// how soon a stream is known to be open, as MinIO sends no header before.
	pingSeconds = 2
	// silence is how long a stream may be silent. MinIO releases from the end of
	// 2025 on hold notifications back until some kilobytes have come together:
	// neither pings nor single uploads are seen in time.
	silence   = (3*pingSeconds + 1) * time.Second
	urlExpiry = time.Hour // of the signature, which counts at the request only
	maxLine   = 4 << 20   // bytes of one notification
)

// A note is what one notification says.
type note struct {
	object object
	// vague means that the notification lacks what a listing would say, that its
	// key may be encoded, or that it tells of a removal, which may have been
	// followed by an upload: the bucket is to be asked.
	vague bool
}

// listen opens the stream of notifications, calls opened when it is known to be
// open, steady when it has stood for a while, and take for each upload, until
// the stream ends. It never returns nil.
//
// It speaks the listen API itself, because minio-go's function reconnects
// without telling, and what is uploaded between must be looked for.
func (c *client) listen(ctx context.Context, opened, steady func(), take func(note)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(silence, func() { cancel(errHeld) })
	defer silent.Stop()
	body, err := c.openStream(ctx)
	if err == nil {
		defer func() { _ = body.Close() }()
		opened()
		stands := time.AfterFunc(2*silence, steady)
		defer stands.Stop()
		err = c.readNotes(pulse{body, silent}, take)
	}
	if errors.Is(context.Cause(ctx), errHeld) {
		return errHeld
	}
	return err
}

// A pulse puts off a timer whenever something is read.
type pulse struct {
	io.Reader
	timer *time.Timer
}

func (p pulse) Read(buffer []byte) (int, error) {
	n, err := p.Reader.Read(buffer)
	p.timer.Reset(silence)
	return n, err
}

func (c *client) openStream(ctx context.Context) (io.ReadCloser, error) {
	address, err := c.listenURL(ctx)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := (&http.Client{Transport: c.transport}).Do(request)
	if err != nil {
		return nil, err
	}
	if err := checkStream(answer); err != nil {
		return nil, errors.Join(err, answer.Body.Close())
	}
	return answer.Body, nil
}

func checkStream(answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		refused := minio.ErrorResponse{StatusCode: answer.StatusCode, Code: strconv.Itoa(answer.StatusCode), Message: answer.Status}
		// A body that is not S3's error document leaves the status to speak.
		_ = xml.NewDecoder(io.LimitReader(answer.Body, 64<<10)).Decode(&refused)
		return refused
	}
	// A server that does not know the API lists the bucket instead.
	if strings.Contains(answer.Header.Get("Content-Type"), "xml") {
		return errNoListen
	}
	return nil
}

func (c *client) listenURL(ctx context.Context) (*url.URL, error) {
	query := url.Values{
		"prefix": {c.cfg.Prefix},
		"suffix": {c.cfg.Suffix},
		"ping":   {strconv.Itoa(pingSeconds)},
		"events": append(uploads(), removedNames()...),
	}
	if !c.cfg.Anonymous() {
		return c.api.Presign(ctx, http.MethodGet, c.cfg.Bucket, "", urlExpiry, query)
	}
	address := c.api.EndpointURL().JoinPath(c.cfg.Bucket)
	address.RawQuery = query.Encode()
	return address, nil
}

func (c *client) readNotes(body io.Reader, take func(note)) error {
	limited := &io.LimitedReader{R: body}
	decoder := json.NewDecoder(limited)
	for {
		limited.N = maxLine
		var info notification.Info
		if err := decoder.Decode(&info); err != nil {
			return streamError(err, limited.N)
		}
		for i := range info.Records {
			if found, ok := c.note(&info.Records[i]); ok {
				take(found)
			}
		}
	}
}

func streamError(err error, left int64) error {
	switch {
	case left <= 0:
		return fmt.Errorf("a notification is longer than %d bytes", maxLine)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errEnded
	}
	return err
}

// uploads returns the notifications that mean new content. MinIO has others of
// the same family, for changes of tags and retention.
func uploads() []string {
	return []string{
		string(notification.ObjectCreatedPut),
		string(notification.ObjectCreatedPost),
		string(notification.ObjectCreatedCopy),
		string(notification.ObjectCreatedCompleteMultipartUpload),
	}
}

// removedNames returns the notifications that mean that content is gone.
func removedNames() []string {
	return []string{
		string(notification.ObjectRemovedDelete),
		string(notification.ObjectRemovedDeleteMarkerCreated),
	}
}

// note reads one record; false means that it is none of ours.
func (c *client) note(record *notification.Event) (note, bool) {
	stored := record.S3.Object
	created, removed := slices.Contains(uploads(), record.EventName), slices.Contains(removedNames(), record.EventName)
	if (!created && !removed) || record.S3.Bucket.Name != c.cfg.Bucket || stored.Key == "" {
		return note{}, false
	}
	modified, ok := sequencerTime(stored.Sequencer)
	found := note{
		object: newObject(stored.Key, stored.ETag, stored.VersionID, stored.Size, modified),
		vague:  removed || !ok || stored.ETag == "" || strings.ContainsAny(stored.Key, "%+"),
	}
	return found, found.vague || c.wants(stored.Key)
}

// sequencerTime returns the modification time that MinIO's sequencer is: the
// hexadecimal nanoseconds since 1970.
func sequencerTime(text string) (time.Time, bool) {
	ns, err := strconv.ParseInt(text, 16, 64)
	at := time.Unix(0, ns)
	return at, err == nil && at.Year() > 1970
}

// wants tells whether the key has the prefix and the suffix.
func (c *client) wants(key string) bool {
	return strings.HasPrefix(key, c.cfg.Prefix) && strings.HasSuffix(key, c.cfg.Suffix)
}
