//go:build integration

package harness_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/integration/harness"
)

// at returns a moment some milliseconds after the start of a story.
func at(milliseconds int) time.Time {
	return time.Unix(1_700_000_000, 0).Add(time.Duration(milliseconds) * time.Millisecond)
}

func receipt(delivery string, began, ended, status int) harness.Receipt {
	r := harness.Receipt{Path: "/p", Event: "e", Delivery: delivery, Attempt: 1, Began: at(began), Status: status}
	if ended > 0 {
		r.Ended = at(ended)
	}
	return r
}

func TestFindRepeats(t *testing.T) {
	kills := []time.Time{at(1000), at(2000)}
	tests := []struct {
		name     string
		receipts []harness.Receipt
		perKill  []int
		underWay int
		oldest   time.Duration
		wrong    string
	}{
		{"once", []harness.Receipt{receipt("d", 900, 910, 204)}, []int{0, 0}, 0, 0, ""},
		{"a retry", []harness.Receipt{receipt("d", 100, 110, 500), receipt("d", 200, 210, 204)}, []int{0, 0}, 0, 0, ""},
		{"under way", []harness.Receipt{receipt("d", 990, 0, 0), receipt("d", 1100, 1110, 204)}, []int{1, 0}, 1, 0, ""},
		{"answered late", []harness.Receipt{receipt("d", 990, 1010, 204), receipt("d", 1100, 1110, 204)}, []int{1, 0}, 1, 0, ""},
		{"unwritten", []harness.Receipt{receipt("d", 990, 995, 204), receipt("d", 1100, 1110, 204)}, []int{1, 0}, 0, 5 * time.Millisecond, ""},
		{"over two kills", []harness.Receipt{receipt("d", 990, 995, 204), receipt("d", 2100, 2110, 204)}, []int{1, 0}, 0, 5 * time.Millisecond, ""},
		{"on its way at the kill", []harness.Receipt{receipt("d", 1010, 0, 0), receipt("d", 1100, 1110, 204)}, []int{1, 0}, 1, 0, ""},
		{"without a kill", []harness.Receipt{receipt("d", 100, 110, 204), receipt("d", 200, 210, 204)}, []int{0, 0}, 0, 0, "d was repeated without a kill"},
		{"two deliveries of an event", []harness.Receipt{receipt("d1", 100, 110, 204), receipt("d2", 200, 210, 204)}, []int{0, 0}, 0, 0, "/p e came as d1 and as d2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			found := harness.FindRepeats(test.receipts, kills)
			if !slices.Equal(found.PerKill, test.perKill) || found.UnderWay != test.underWay || found.Oldest() != test.oldest {
				t.Errorf("found %+v", found)
			}
			if wrong := strings.Join(found.Wrong, "\n"); (wrong == "") != (test.wrong == "") || !strings.Contains(wrong, test.wrong) {
				t.Errorf("wrong is %q, want %q", wrong, test.wrong)
			}
		})
	}
}
