package dlq_test

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sluice/bus"
	"sluice/dlq"
	"sluice/event"
)

// largeLetters stores three events of a MiB and their letters, of which one has
// so many attributes that they do not fit into headers.
func largeLetters(t *testing.T, b *bus.Bus, s *dlq.Store) (objects []string, data [][]byte) {
	t.Helper()
	for n := range 3 {
		data = append(data, bytes.Repeat([]byte{byte('a' + n)}, 1<<20))
		e := event.Event{ID: strconv.Itoa(n), Source: "/test", Type: "test.large", DataContentType: "text/plain", Data: data[n]}
		if err := b.Source("uploads").Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for i, e := range entries(t, b) {
		l := letter(e.Sequence, "resize")
		l.Event = e.Event
		if i == 0 {
			l.Event.Extensions = map[string]any{"wide": strings.Repeat("ü", 4<<10)}
		}
		put(t, s, l)
		objects = append(objects, e.Event.Large.Object)
	}
	return objects, data
}

// referred returns the objects that letters refer to, in order.
func referred(t *testing.T, s *dlq.Store) []string {
	t.Helper()
	all := []string{}
	if err := s.Objects(t.Context(), func(object string) { all = append(all, object) }); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestALetterKeepsItsLargeData: a letter refers to the data of its event until
// it is purged or replayed; then the entry does, and the data is the same.
func TestALetterKeepsItsLargeData(t *testing.T) {
	b := openBus(t, bus.Options{MaxEventSize: 4 << 20})
	s := openStore(t, b)
	objects, data := largeLetters(t, b, s)
	if got := referred(t, s); !slices.Equal(got, objects) {
		t.Fatalf("the letters refer to %v, want %v", got, objects)
	}
	for i, summary := range list(t, s, dlq.Filter{}) {
		l, err := s.Get(t.Context(), summary.ID.String())
		if err != nil || summary.Large == nil || summary.Large.Size != 1<<20 || l.Event.Large == nil || l.Event.Large.Object != objects[i] {
			t.Errorf("%s: %+v, %+v, %v", summary.ID, summary.Large, l, err)
		}
	}
	if _, err := s.Purge(t.Context(), dlq.Filter{IDs: []string{"inc.1.resize"}}); err != nil {
		t.Fatal(err)
	}
	if got := referred(t, s); !slices.Equal(got, objects[1:]) {
		t.Errorf("after a purge the letters refer to %v", got)
	}
	job, err := s.Replay(t.Context(), dlq.ReplayRequest{})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	if job = jobEnds(t, s, job.ID); job.Replayed != 2 {
		t.Errorf("the replay: %+v", job)
	}
	if got := referred(t, s); len(got) != 0 {
		t.Errorf("after the replay the letters refer to %v", got)
	}
	var replayed []*event.Entry
	for _, e := range entries(t, b) {
		if e.Trigger != "" {
			replayed = append(replayed, e)
		}
	}
	for i, e := range replayed {
		body, err := b.Body(t.Context(), e.Event.Large)
		if err != nil || e.Event.Large.Object != objects[i+1] || !bytes.Equal(body, data[i+1]) {
			t.Errorf("the entry at %d refers to %+v: %d bytes, %v", e.Sequence, e.Event.Large, len(body), err)
		}
	}
	if len(replayed) != 2 {
		t.Errorf("%d entries", len(replayed))
	}
}
