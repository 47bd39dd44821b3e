package awssink

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/smithy-go"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"sluice/event"
	"sluice/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// attempt has a delivery for each size, which its event's subject has.
func attempt(sizes []int) sinks.Attempt {
	var a sinks.Attempt
	for i := range sizes {
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: fmt.Sprintf("inc.%d.t", i+1), Event: &event.Event{ID: strconv.Itoa(i)}})
	}
	return a
}

// TestRequests: whatever the sizes are, each delivery that fits is sent once, in
// order, no request is over the limits, also where the service's are lower, and
// what fits nowhere is dead.
func TestRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(1, 120), 1, 40).Draw(t, "sizes")
		theirs := rapid.IntRange(20, 200).Draw(t, "the service's limit")
		var sent []int
		place := 0
		b := Batch[int]{
			Limits: Limits{Count: 10, Bytes: 100}, Most: 100,
			Make: func(context.Context, *sinks.Attempt, *sinks.Delivery) (Entry[int], error) {
				place++
				return Entry[int]{Size: sizes[place-1], Value: place - 1}, nil
			},
			Send: func(_ context.Context, entries []Entry[int]) (map[int]error, error) {
				total := 0
				for _, e := range entries {
					total += e.Size
				}
				if len(entries) > 10 || total > 100 {
					t.Fatalf("a request of %d entries with %d bytes", len(entries), total)
				}
				if total > theirs {
					return nil, &smithy.OperationError{ServiceID: "SQS", OperationName: "SendMessageBatch", Err: &smithy.GenericAPIError{Code: "AWS.SimpleQueueService.BatchRequestTooLong"}}
				}
				for _, e := range entries {
					sent = append(sent, e.Value)
				}
				return nil, nil
			},
		}
		_, err := b.Deliver(t.Context(), attempt(sizes))
		failed := map[int]error{}
		if some, ok := errors.AsType[*sinks.PartialError](err); ok {
			failed = some.Failed
		} else if err != nil {
			failed[0] = err
		}
		next := 0
		for i, size := range sizes {
			if fits := size <= 100 && size <= theirs; fits != (failed[i] == nil) || (!fits && !sinks.IsPermanent(failed[i])) {
				t.Errorf("delivery %d of %d bytes ended with %v", i, size, failed[i])
			} else if fits {
				if next >= len(sent) || sent[next] != i {
					t.Fatalf("sent were %v", sent)
				}
				next++
			}
		}
		if next != len(sent) {
			t.Errorf("sent were %v", sent)
		}
	})
}

// TestGroups: after a failure nothing more of its group is sent, and after that of
// a request nothing more at all.
func TestGroups(t *testing.T) {
	requests := 0
	b := Batch[string]{
		Limits: Limits{Count: 2, Bytes: 100}, Most: 100,
		Make: func(_ context.Context, _ *sinks.Attempt, d *sinks.Delivery) (Entry[string], error) {
			return Entry[string]{Size: 1, Group: string("ababab"[d.Event.ID[0]-'0'])}, nil
		},
		Send: func(_ context.Context, entries []Entry[string]) (map[int]error, error) {
			requests++
			switch requests {
			case 1:
				return map[int]error{0: EntryError("InternalError", "broken")}, nil
			case 2:
				if len(entries) != 1 || entries[0].Index != 3 {
					t.Errorf("the second request has %+v", entries)
				}
				return nil, nil
			}
			return nil, errors.New("away")
		},
	}
	_, err := b.Deliver(t.Context(), attempt(make([]int, 6)))
	var some *sinks.PartialError
	if !errors.As(err, &some) || len(some.Failed) != 4 || some.Failed[1] != nil || some.Failed[3] != nil ||
		!errors.Is(some.Failed[2], errBehind) || some.Failed[5].Error() != "away" {
		t.Errorf("got %v: %+v", err, some)
	}
}

func TestEntryError(t *testing.T) {
	if !sinks.IsPermanent(EntryError("MalformedDetail", "", "InvalidArgument", "MalformedDetail")) || sinks.IsPermanent(EntryError("InternalFailure", "", "MalformedDetail")) {
		t.Error("MalformedDetail is never taken, InternalFailure may pass")
	}
	if _, ok := errors.AsType[*sinks.ThrottledError](EntryError("ThrottlingException", "")); !ok {
		t.Error("ThrottlingException is no attempt")
	}
}

func TestMessage(t *testing.T) {
	m := &Messages{Mode: Raw, Attributes: map[string]string{"kind": "{{ .type }}", "empty": "{{ .data.missing }}", "fixed": "x"}}
	if err := m.Validate(true); err != nil {
		t.Fatal(err)
	}
	maker, err := NewMaker(m, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := sinks.Attempt{Trigger: "t"}
	make := func(e event.Event) (Message, error) {
		e.ID, e.Source, e.Type = "e1", "/s", "made"
		return maker.Make(t.Context(), &a, &sinks.Delivery{ID: "inc.1.t", Attempt: 2, Event: &e})
	}
	got, err := make(event.Event{Data: []byte(`{"a":1}`), DataContentType: "application/json", Extensions: map[string]any{"partitionkey": "Zoë"}})
	if err != nil || got.Body != `{"a":1}` || got.Attributes["kind"] != "made" || got.Attributes["fixed"] != "x" || got.Attributes["Sluice-Attempt"] != "2" ||
		got.Deduplication != "inc.1.t" || len(got.Group) != 64 || got.Size() < len(got.Body) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, there := got.Attributes["empty"]; there {
		t.Error("an attribute without a value was made")
	}
	for data, body := range map[string]string{"": "null", "\x00\xff": "AP8=", "a\x01b": "YQFi", "a\tb": "a\tb"} {
		if got, err := make(event.Event{Data: []byte(data)}); err != nil || got.Body != body || got.Group != "e1" {
			t.Errorf("%q has become %+v, %v", data, got, err)
		}
	}
}

func TestMessagesRefuse(t *testing.T) {
	seven := map[string]string{}
	for name := range strings.SplitSeq("a b c d e f g", " ") {
		seven[name] = "x"
	}
	for want, m := range map[string]Messages{
		"mode: found":                     {Mode: "binary"},
		"attributes.a b: it is no name":   {Mode: Raw, Attributes: map[string]string{"a b": "x"}},
		"attributes.AWS.x: it is no name": {Mode: Raw, Attributes: map[string]string{"AWS.x": "x"}},
		"attributes.Content-Type: this":   {Mode: Raw, Attributes: map[string]string{"Content-Type": "x"}},
		"attributes: found 7":             {Mode: Raw, Attributes: seven},
		"group: it is for FIFO":           {Mode: Raw, Group: "x"},
		"group: ":                         {Mode: Raw, Group: "{{ }"},
	} {
		if err := m.Validate(false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
