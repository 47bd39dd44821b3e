package dlq_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"sluice/bus"
	"sluice/dlq"
	"sluice/event"
)

func TestALetterComesBackWhole(t *testing.T) {
	s := openStore(t, openBus(t, bus.Options{}))
	undecodable := letter(2, "resize")
	undecodable.Event, undecodable.Reason = nil, dlq.ReasonUndecodable
	undecodable.Header = map[string][]string{"ce-id": {"x", "y"}, "Nats-Msg-Id": {"m"}, "Sluice-Letter": {"{}"}, "Sluice-Format": {"x"}}
	undecodable.Raw = []byte("\x00\xff not an event")
	bare := &dlq.Letter{
		ID: event.DeliveryID{Incarnation: "inc", Sequence: 3, Trigger: "resize"}, Reason: dlq.ReasonPoison,
		Event: &event.Event{ID: "\u00fc \"1\"", Source: "s", Type: "t"}, Origin: "inc.1.resize",
	}
	wide := letter(4, "resize") // its headers leave no room for the meta
	for i := range 50 {
		wide.Event.Extensions[fmt.Sprintf("wide%d", i)] = strings.Repeat("w", 1000)
	}
	for _, want := range []*dlq.Letter{letter(1, "resize"), undecodable, bare, wide} {
		put(t, s, want)
		got, err := s.Get(t.Context(), want.ID.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the letter of %s (-want +got):\n%s", want.ID, diff)
		}
	}
	for _, summary := range list(t, s, dlq.Filter{}) {
		if summary.Problem != "" {
			t.Errorf("%s: %s", summary.ID, summary.Problem)
		}
	}
}

func TestTheWorstMetaFits(t *testing.T) {
	s := openStore(t, openBus(t, bus.Options{}))
	worst := letter(1, "resize")
	nasty := strings.Repeat("\x01\u2028é", 500)
	worst.Error, worst.Source, worst.Reason, worst.Origin = nasty, nasty, nasty, nasty
	worst.Event.ID, worst.Event.Type, worst.Event.Subject = nasty, nasty, strings.Repeat("s", 30_000)
	worst.Event.Source = strings.Repeat("/", 5000)
	worst.Made, worst.Attempts = 0, nil
	for i := range 1000 {
		worst.Attempts = append(worst.Attempts, dlq.Attempt{Number: i + 1, Time: died, Duration: time.Hour, Status: 599, Error: nasty})
	}
	put(t, s, worst)
	got, err := s.Get(t.Context(), worst.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(worst.Event, got.Event); diff != "" {
		t.Errorf("the event (-want +got):\n%s", diff)
	}
	if n := len(got.Attempts); n < 2 || n > 50 || got.Attempts[0].Number != 1 || got.Attempts[n-1].Number != 1000 || got.Made != 1000 {
		t.Errorf("%d attempts kept of %d, from %d to %d", n, got.Made, got.Attempts[0].Number, got.Attempts[n-1].Number)
	}
}

func TestFiftyAttemptsAreKept(t *testing.T) {
	s := openStore(t, openBus(t, bus.Options{}))
	l := letter(1, "resize")
	l.Made, l.Attempts = 0, nil
	for i := range 80 {
		l.Attempts = append(l.Attempts, dlq.Attempt{Number: i + 1, Error: strings.Repeat("x", 600)})
	}
	put(t, s, l)
	got, err := s.Get(t.Context(), l.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	var numbers []int
	for _, a := range got.Attempts {
		numbers = append(numbers, a.Number)
		if len(a.Error) != 512 {
			t.Fatalf("an error of %d bytes was kept", len(a.Error))
		}
	}
	if len(numbers) != 50 || numbers[24] != 25 || numbers[25] != 56 || numbers[49] != 80 {
		t.Errorf("kept %v", numbers)
	}
}

func TestALetterPutTwiceIsOne(t *testing.T) {
	s := openStore(t, openBus(t, bus.Options{}))
	put(t, s, letter(1, "resize"), letter(1, "resize"), letter(1, "other"))
	if n := len(list(t, s, dlq.Filter{})); n != 2 {
		t.Errorf("%d letters", n)
	}
}

func TestPutSaysWhyNot(t *testing.T) {
	b := openBus(t, bus.Options{LetterBytes: 1 << 20})
	s := openStore(t, b)
	large := letter(1, "resize")
	large.Event.Data = make([]byte, 300<<10)
	var err error
	for err == nil {
		large.ID.Sequence++
		err = s.Put(t.Context(), large)
	}
	if !errors.Is(err, event.ErrFull) || large.ID.Sequence < 3 {
		t.Errorf("letter %d: %v", large.ID.Sequence, err)
	}
	large.ID.Trigger = "a.b"
	want := `storing a letter: "` // the whole of it is event's
	if err := s.Put(t.Context(), large); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

func TestPutIsUnavailableAfterTheBus(t *testing.T) {
	b, err := bus.Open(t.Context(), bus.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s := openStore(t, b)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), letter(1, "resize")); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestGetRefuses(t *testing.T) {
	s := openStore(t, openBus(t, bus.Options{}))
	for id, want := range map[string]string{
		"inc.9.resize": "there is no letter of inc.9.resize: not found",
		"inc.9.*":      `not found: "inc.9.*" is not a delivery id: one is incarnation.sequence.trigger, such as kX3vT9.42.resize`,
	} {
		if _, err := s.Get(t.Context(), id); !errors.Is(err, dlq.ErrNotFound) || err.Error() != want {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestListFilters(t *testing.T) {
	s := openStore(t, openBus(t, bus.Options{}))
	other := letter(2, "other")
	other.Source, other.Event.Type, other.Status, other.Error = "nightly", "tick", 0, "cannot connect: Refused"
	other.Reason, other.DiedAt = dlq.ReasonExpired, died.Add(time.Hour)
	put(t, s, letter(1, "resize"), other, letter(3, "resize"))
	for name, c := range map[string]struct {
		filter dlq.Filter
		want   string
	}{
		"all":          {dlq.Filter{}, "1 2 3"},
		"trigger":      {dlq.Filter{Trigger: "resize"}, "1 3"},
		"no trigger":   {dlq.Filter{Trigger: "res"}, ""},
		"type":         {dlq.Filter{Type: "tick"}, "2"},
		"source":       {dlq.Filter{Source: "uploads"}, "1 3"},
		"since":        {dlq.Filter{Since: died.Add(time.Hour)}, "2"},
		"until":        {dlq.Filter{Until: died.Add(time.Hour)}, "1 3"},
		"error":        {dlq.Filter{ErrorContains: "rEFUSED"}, "2"},
		"status":       {dlq.Filter{Status: 500}, "1 3"},
		"reason":       {dlq.Filter{Reason: dlq.ReasonExpired}, "2"},
		"ids":          {dlq.Filter{IDs: []string{"inc.3.resize", "inc.1.resize", "inc.9.resize", "inc.1.resize"}}, "1 3"},
		"ids and more": {dlq.Filter{IDs: []string{"inc.3.resize", "inc.2.other"}, Trigger: "other"}, "2"},
		"both":         {dlq.Filter{Status: 500, Type: "tick"}, ""},
	} {
		var got []string
		for _, l := range list(t, s, c.filter) {
			got = append(got, strconv.FormatUint(l.ID.Sequence, 10))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

func TestListPages(t *testing.T) {
	s := openStore(t, openBus(t, bus.Options{}))
	for i := range 25 {
		put(t, s, letter(uint64(i+1), "resize"))
	}
	var sizes []int
	seen := uint64(0)
	for after := uint64(0); ; {
		page, next, err := s.List(t.Context(), dlq.Filter{}, after, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page {
			if seen++; l.ID.Sequence != seen {
				t.Fatalf("letter %d came as number %d", l.ID.Sequence, seen)
			}
		}
		sizes = append(sizes, len(page))
		if after = next; next == 0 {
			break
		}
	}
	if fmt.Sprint(sizes) != "[10 10 5]" {
		t.Errorf("pages of %v", sizes)
	}
}

func TestBadFilters(t *testing.T) {
	s := openStore(t, openBus(t, bus.Options{}))
	for name, c := range map[string]struct {
		filter dlq.Filter
		want   string
	}{
		"wildcard": {dlq.Filter{Trigger: ">"}, `the filter's trigger: ">" is no name of a trigger`},
		"id":       {dlq.Filter{IDs: []string{"inc.1.a", "x\n"}}, `the filter's ids[1]: "x\n" is not a delivery id: one is incarnation.sequence.trigger, such as kX3vT9.42.resize`},
		"status":   {dlq.Filter{Status: 99}, "the filter's status: 99 is no status code: write 100 to 599"},
		"reason":   {dlq.Filter{Reason: "bored"}, `the filter's reason: "bored" is none: write one of exhausted, permanent, expired, poison, undecodable`},
		"times":    {dlq.Filter{Since: died, Until: died}, "the filter's since, 2026-03-01 12:00:00 +0000 UTC, is not before its until, 2026-03-01 12:00:00 +0000 UTC"},
	} {
		_, err := s.Count(t.Context(), c.filter)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if _, err = s.Replay(t.Context(), dlq.ReplayRequest{Filter: c.filter}); err == nil || err.Error() != c.want {
			t.Errorf("%s: replay: %v", name, err)
		}
	}
	if _, _, err := s.List(t.Context(), dlq.Filter{}, 0, 0); err == nil || err.Error() != "listing letters: the limit is 0; ask for one at least" {
		t.Errorf("limit: %v", err)
	}
}

func TestCountGroups(t *testing.T) {
	s := openStore(t, openBus(t, bus.Options{}), func(o *dlq.Options) {
		o.Settled = each(func(id string) bool { return id != "inc.2.resize" })
		o.Known = func(trigger string) bool { return trigger != "gone" }
	})
	put(t, s, letter(1, "resize"), letter(2, "resize"), letter(3, "gone"))
	got, err := s.Count(t.Context(), dlq.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	want := dlq.Counts{
		Total: 3, Replayable: 1, Skipped: map[string]int{dlq.SkipUnsettled: 1, dlq.SkipUnknown: 1},
		Triggers: map[string]int{"resize": 2, "gone": 1},
		Errors:   map[string]int{"exhausted (500): answered #: request # failed": 3},
		Types:    map[string]int{"s3.object.created.put": 3}, Sources: map[string]int{"uploads": 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What a newer sluice has written, and what is damaged, is shown and stays.
func TestUnreadableLettersAreLeftAlone(t *testing.T) {
	b := openBus(t, bus.Options{})
	s := openStore(t, b)
	header := func(format, meta string) nats.Header {
		h := nats.Header(event.EncodeHeader(letter(1, "a").Event))
		h.Set("Sluice-Format", format)
		h.Set("Sluice-Letter", meta)
		return h
	}
	damaged := header("1", `{"v":1,"reason":"exhausted"}`)
	delete(damaged, "ce-id")
	for i, h := range []nats.Header{header("1", `{"v":2,"reason":7}`), header("2", `{"v":1,"reason":"x"}`), header("1", "{"), {}, damaged} {
		msg := &nats.Msg{Subject: fmt.Sprintf("sluice.dl.resize.inc.%d", i+1), Header: h}
		if _, err := b.JetStream().PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.JetStream().Publish(t.Context(), "sluice.dl.not.a.letter.at.all", nil); err != nil {
		t.Fatal(err)
	}
	letters := list(t, s, dlq.Filter{})
	if len(letters) != 5 {
		t.Fatalf("%d letters", len(letters))
	}
	for _, l := range letters {
		if l.Problem == "" {
			t.Errorf("%s looks readable", l.ID)
		}
		if _, err := s.Get(t.Context(), l.ID.String()); err == nil || !strings.Contains(err.Error(), l.Problem) {
			t.Errorf("%s: %v, listed as %q", l.ID, err, l.Problem)
		}
	}
	var newer *event.NewerFormatError
	if _, err := s.Get(t.Context(), "inc.1.resize"); !errors.As(err, &newer) {
		t.Errorf("got %v", err)
	}
	job, err := s.Replay(t.Context(), dlq.ReplayRequest{})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	job = jobEnds(t, s, job.ID)
	purged, err := s.Purge(t.Context(), dlq.Filter{})
	if err != nil || job.Replayed != 0 || job.Skipped[dlq.SkipUnreadable] != 5 || purged.Letters != 0 || purged.Skipped[dlq.SkipUnreadable] != 5 {
		t.Errorf("%+v, %+v, %v", job, purged, err)
	}
	if n := len(list(t, s, dlq.Filter{})); n != 5 {
		t.Errorf("%d letters are left", n)
	}
}

func TestPurgeLeavesWhatIsNotSettled(t *testing.T) {
	s := openStore(t, openBus(t, bus.Options{}), func(o *dlq.Options) {
		o.Settled = each(func(id string) bool { return id != "inc.2.resize" })
	})
	put(t, s, letter(1, "resize"), letter(2, "resize"), letter(3, "other"))
	purged, err := s.Purge(t.Context(), dlq.Filter{Trigger: "resize"})
	if err != nil || purged.Letters != 1 || purged.Skipped[dlq.SkipUnsettled] != 1 {
		t.Errorf("%+v, %v", purged, err)
	}
	if left := list(t, s, dlq.Filter{}); len(left) != 2 || left[0].ID.Sequence != 2 || left[1].ID.Sequence != 3 {
		t.Errorf("%+v", left)
	}
}
