package bus

import (
	"errors"
	"testing"
	"time"

	"sluice/event"
)

// Whatever is in the stream becomes an entry that keeps it, or is a cursor or a
// position, or is from a newer sluice.
func FuzzEntry(f *testing.F) {
	for _, subject := range []string{"sluice.ev.3.web", "sluice.to.31.t", "sluice.cur.a.b", "sluice.job.x", "sluice.ev", "other", "sluice.ev.32.web"} {
		for _, format := range []string{"1", "2", "", "-1", "99999999999999999999"} {
			f.Add(subject, format, "id", "/source", "type", "[]")
		}
	}
	names, err := newNames("sluice")
	check(f, err)
	f.Fuzz(func(t *testing.T, subject, format, id, source, kind, data string) {
		m := &stored{
			subject: subject, sequence: 7, time: time.Unix(1, 0), data: []byte(data),
			header: event.Fields{{Name: event.HeaderFormat, Value: format}, {Name: "ce-specversion", Value: "1.0"}, {Name: "ce-id", Value: id}, {Name: "ce-source", Value: source}, {Name: "ce-type", Value: kind}},
		}
		d := names.decode(m)
		if d.newer != nil {
			if _, newer := errors.AsType[*event.NewerFormatError](d.newer); !newer || d.ok {
				t.Fatalf("%v, %v", d.ok, d.newer)
			}
			return
		}
		if !d.ok {
			return
		}
		entry := &d.entry
		if (entry.Event == nil) == (entry.Err == nil) {
			t.Fatalf("%+v", entry)
		}
		if entry.Err != nil && string(entry.Raw) != data {
			t.Fatalf("lost: %+v", entry)
		}
		if entry.Part < 0 || entry.Err == nil && entry.Part >= event.Parts {
			t.Fatalf("part %d", entry.Part)
		}
	})
}

func FuzzParseGet(f *testing.F) {
	f.Add([]byte(`{"message":{"subject":"a","seq":1,"hdrs":"TkFUUy8xLjANCmE6IGINCg0K","data":"eA=="}}`))
	f.Add([]byte(`{"error":{"code":404,"err_code":10037}}`))
	f.Add([]byte(`{"message":{"hdrs":"TkFUUw=="}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := parseGet(data); (m == nil) == (err == nil) {
			t.Fatalf("%v, %v", m, err)
		}
	})
}
