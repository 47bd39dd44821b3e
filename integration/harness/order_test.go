//go:build integration

package harness_test

import (
	"strings"
	"testing"

	"sluice/integration/harness"
)

// keyed is an attempt of a key's event, answered after a moment.
func keyed(claim uint64, event string, attempt, began, status int) harness.Receipt {
	key, _, _ := strings.Cut(event, "-")
	r := harness.Receipt{Key: key, Event: event, Claim: claim, Attempt: attempt, Began: at(began), Status: status}
	if status != 0 {
		r.Ended = at(began + 5)
	}
	return r
}

func TestOrder(t *testing.T) {
	for name, c := range map[string]struct {
		history harness.History
		want    string
	}{
		"in order": {harness.History{Receipts: []harness.Receipt{
			keyed(1, "a-0", 1, 0, 204), keyed(1, "b-0", 1, 1, 500), keyed(1, "a-1", 1, 10, 500), keyed(1, "a-1", 2, 20, 204), keyed(1, "b-0", 2, 30, 204),
		}}, ""},
		"the last run is repeated": {harness.History{Receipts: []harness.Receipt{
			keyed(1, "a-0", 1, 0, 204), keyed(1, "a-1", 1, 10, 204), keyed(1, "a-2", 1, 20, 0), keyed(2, "a-1", 1, 30, 204), keyed(2, "a-2", 1, 40, 204),
		}}, ""},
		"at once": {harness.History{Receipts: []harness.Receipt{
			keyed(1, "a-0", 1, 0, 204), keyed(1, "a-1", 1, 3, 204),
		}}, "a: claim 1, event 1, attempt 1: event 0, attempt 1 was not answered yet"},
		"not answered": {harness.History{Receipts: []harness.Receipt{
			keyed(1, "a-0", 1, 0, 0), keyed(1, "a-1", 1, 30, 204),
		}}, "a: claim 1, event 1, attempt 1: event 0, attempt 1 was not answered yet"},
		"not settled": {harness.History{Receipts: []harness.Receipt{
			keyed(1, "a-0", 1, 0, 500), keyed(1, "a-1", 1, 30, 204),
		}}, "a: claim 1, event 1, attempt 1: event 0, attempt 1 was answered with 500, and is not settled"},
		"settled otherwise": {harness.History{
			Receipts: []harness.Receipt{keyed(1, "a-0", 1, 0, 500), keyed(1, "a-0", 2, 10, 500), keyed(1, "a-1", 1, 30, 204)},
			Settles:  func(r harness.Receipt) bool { return r.Attempt == 2 || r.Status == 204 },
		}, ""},
		"left out": {harness.History{Receipts: []harness.Receipt{
			keyed(1, "a-0", 1, 0, 204), keyed(1, "a-2", 1, 30, 204),
		}}, "a: claim 1, event 2, attempt 1: event 1 was never attempted"},
		"left out for a reason": {harness.History{
			Receipts: []harness.Receipt{keyed(1, "a-0", 1, 0, 204), keyed(1, "a-2", 1, 30, 204)}, Without: map[string]bool{"a-1": true},
		}, ""},
		"backwards": {harness.History{Receipts: []harness.Receipt{
			keyed(1, "a-0", 1, 0, 204), keyed(1, "a-1", 1, 10, 204), keyed(1, "a-0", 2, 30, 204),
		}}, "a: claim 1, event 0, attempt 2: event 1 had been attempted before it"},
		"the repeated run leaves out": {harness.History{Receipts: []harness.Receipt{
			keyed(1, "a-0", 1, 0, 204), keyed(1, "a-1", 1, 10, 204), keyed(1, "a-2", 1, 20, 204), keyed(2, "a-0", 1, 30, 204), keyed(2, "a-2", 1, 40, 204),
		}}, "a: claim 2, event 2, attempt 1: it follows event 0"},
		"a claim that is over": {harness.History{Receipts: []harness.Receipt{
			keyed(2, "a-0", 1, 0, 204), keyed(1, "a-1", 1, 10, 204),
		}}, "a: claim 1, event 1, attempt 1: claim 2 had come before it"},
	} {
		if got := strings.Join(c.history.Order().Wrong, "\n"); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}
