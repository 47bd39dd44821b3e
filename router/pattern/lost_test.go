package pattern

import (
	"errors"
	"fmt"
	"testing"

	"sluice/event"
)

// TestLostDataMatches: what is asked of data that is lost may have matched, so it
// does; what is asked of attributes decides as ever.
func TestLostDataMatches(t *testing.T) {
	large := event.NewLarge("g", [32]byte{}, 1<<20)
	lost := fmt.Errorf("%w: gone", event.ErrLost)
	for text, want := range map[string]struct{ match, lost bool }{
		`{"data":{"a":[1]}}`:                                {match: true, lost: true},
		`{"data":{"a":[{"exists":false}]}}`:                 {match: true, lost: true},
		`{"data_base64":["YQ=="]}`:                          {match: true, lost: true},
		`{"data":{"a":[1]},"type":["other"]}`:               {match: false, lost: true},
		`{"type":["t"]}`:                                    {match: true},
		`{"$or":[{"type":["other"]},{"data":{"a":["x"]}}]}`: {match: true, lost: true},
	} {
		p, err := Compile([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		doc := FromStored(&event.Event{ID: "1", Source: "/s", Type: "t", DataContentType: "application/json", Large: large},
			func(*event.Large) ([]byte, error) { return nil, lost })
		if got := p.Matches(doc); got != want.match || doc.LoadError() != nil || errors.Is(doc.Lost(), event.ErrLost) != want.lost {
			t.Errorf("%s: %v, lost %v, load error %v", text, got, doc.Lost(), doc.LoadError())
		}
	}
}
