package bus

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

// large returns an event with so many bytes of data, no two chunks of which are
// alike.
func large(id string, size int) event.Event {
	e := sample(id)
	e.DataContentType = "application/octet-stream"
	e.Data = make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(id))).Read(e.Data) // it never fails
	return e
}

// logged returns everything that the log holds.
func logged(tb testing.TB, b *Bus) []*event.Entry {
	tb.Helper()
	return must(b.Range(tb.Context(), 1, 100_000, 1<<30))(tb).Entries
}

func objectsOf(tb testing.TB, b *Bus) []string {
	tb.Helper()
	return must(b.objects.list(tb.Context()))(tb)
}

func TestLargeDataIsKeptApart(t *testing.T) {
	o := small(t)
	o.MaxEventSize = event.MaxSize
	b := open(t, o)
	at := time.Now()
	b.objects.now = func() time.Time { return at } // in one generation
	for _, size := range []int{maxInline, maxInline + 1, chunkSize, chunkSize + 1, 3 * chunkSize, 40 << 20, event.MaxSize - 1024} {
		before := objectsOf(t, b)
		e := large(strconv.Itoa(size), size)
		check(t, b.Source("web").Publish(limited(t), e))
		check(t, b.Source("web").Publish(limited(t), e)) // again: it is one event, and one object
		all := logged(t, b)
		got := all[len(all)-1]
		equal(t, "id", got.Event.ID, e.ID)
		equal(t, "size", got.Event.Len(), int64(size))
		if size <= maxInline {
			equal(t, "objects", len(objectsOf(t, b)), len(before))
			equal(t, "data with the event", bytes.Equal(got.Event.Data, e.Data), true)
			continue
		}
		equal(t, "objects", len(objectsOf(t, b)), len(before)+1)
		equal(t, "bytes with the event", len(got.Event.Data), 0)
		data := must(b.Body(limited(t), got.Event.Large))(t)
		equal(t, "the data is the same", bytes.Equal(data, e.Data), true)
		if got.Size > 4<<10 {
			t.Errorf("an entry without its data counts %d bytes", got.Size)
		}
	}
	err := b.Source("web").Publish(limited(t), large("over", event.MaxSize))
	if !errors.Is(err, event.ErrTooLarge) {
		t.Errorf("one that is too large: %v", err)
	}
}

// Events with a cursor, replies and directed entries keep large data apart too,
// and an entry that is directed as it was read shares the object.
func TestLargeDataOfEveryKindOfWrite(t *testing.T) {
	o := small(t)
	o.MaxEventSize = 4 << 20
	b := open(t, o)
	check(t, b.Source("s3").PublishAt(limited(t), "a", []byte("1"), large("at", 1<<20), sample("small")))
	check(t, b.PublishReplies(limited(t), "t", "inc.1.t", large("reply", 1<<20)))
	first := logged(t, b)[0]
	check(t, b.Direct(limited(t), "job", []byte("1"), event.Directed{Trigger: "t", Origin: "inc.1.t", Event: *first.Event}))
	must(b.PublishDirected(limited(t), event.Directed{Trigger: "t", Event: large("directed", 1<<20)}))(t)
	equal(t, "objects", len(objectsOf(t, b)), 3)
	all := logged(t, b)
	equal(t, "entries", len(all), 5)
	equal(t, "the replayed one shares the object", all[3].Event.Large.Object, first.Event.Large.Object)
	for _, i := range []int{0, 2, 3, 4} {
		must(b.Body(limited(t), all[i].Event.Large))(t)
	}
}

func TestDamagedObjects(t *testing.T) {
	o := small(t)
	o.MaxEventSize = 4 << 20
	b := open(t, o)
	chunk := func(subject, data string) {
		must(b.js.PublishMsg(limited(t), &nats.Msg{Subject: subject, Data: []byte(data)}))(t)
	}
	for name, damage := range map[string]struct {
		do   func(subject string, last *jetstream.RawStreamMsg)
		want string
	}{
		"gone": {func(s string, _ *jetstream.RawStreamMsg) {
			check(t, b.objectStream.Purge(t.Context(), jetstream.WithPurgeSubject(s)))
		}, "there is no such object"},
		"short": {func(_ string, m *jetstream.RawStreamMsg) { check(t, b.objectStream.DeleteMsg(t.Context(), m.Sequence)) }, "less than 1048576 bytes are stored"},
		"long":  {func(s string, _ *jetstream.RawStreamMsg) { chunk(s, "more") }, "more than 1048576 bytes are stored"},
		"other": {func(s string, m *jetstream.RawStreamMsg) {
			check(t, b.objectStream.DeleteMsg(t.Context(), m.Sequence))
			chunk(s, strings.Repeat("x", len(m.Data)))
		}, "what is stored is damaged"},
	} {
		e := large(name, 1<<20)
		check(t, b.Source("web").Publish(limited(t), e))
		all := logged(t, b)
		at := all[len(all)-1].Event.Large
		subject := b.names.Object(at.Object)
		damage.do(subject, must(b.objectStream.GetLastMsgForSubject(t.Context(), subject))(t))
		_, err := b.Body(limited(t), at)
		if !errors.Is(err, event.ErrLost) || !bytes.Contains([]byte(err.Error()), []byte(damage.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A full store of objects refuses, and holds no part of what it has refused.
func TestObjectsAreFull(t *testing.T) {
	o := small(t)
	o.MaxEventSize, o.ObjectBytes = 8<<20, 20<<20
	b := open(t, o)
	stored := 0
	var err error
	for i := 0; i < 10 && err == nil; i++ {
		if err = b.Source("web").Publish(limited(t), large(strconv.Itoa(i), 6<<20)); err == nil {
			stored++
		}
	}
	if !errors.Is(err, event.ErrFull) {
		t.Fatalf("got %v", err)
	}
	equal(t, "stored", stored, 3)
	equal(t, "objects", len(objectsOf(t, b)), 3)
	equal(t, "events", len(logged(t, b)), 3)
	for _, e := range logged(t, b) {
		must(b.Body(limited(t), e.Event.Large))(t)
	}
}
