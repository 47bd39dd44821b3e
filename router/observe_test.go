package router

import (
	"testing"
	"unsafe"

	"sluice/event"
	"sluice/router/ledger"
)

// What is kept of an event for its outcomes holds none of its headers, which may be
// a hundred times as large.
func TestWhatIsObservedIsCopied(t *testing.T) {
	u := &run{Router: &Router{options: Options{Observe: func(Observation) {}}, observed: map[ledger.Key]about{}}}
	e := &event.Event{ID: "1", Type: "test.made", Subject: "a"}
	u.know(ledger.Key{}, &event.Entry{Source: "s", Event: e})
	kept := u.observed[ledger.Key{}]
	if kept != (about{source: "s", id: "1", typ: "test.made", subject: "a"}) {
		t.Fatalf("%+v", kept)
	}
	for _, pair := range [][2]string{{kept.id, e.ID}, {kept.typ, e.Type}, {kept.subject, e.Subject}} {
		if unsafe.StringData(pair[0]) == unsafe.StringData(pair[1]) {
			t.Errorf("%q is a part of the event", pair[0])
		}
	}
}
