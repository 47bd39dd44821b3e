package bus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

func TestOpenAgainChangesNothing(t *testing.T) {
	o := small(t)
	b, err := Open(t.Context(), o)
	check(t, err)
	check(t, b.Source("web").Publish(limited(t), sample("1")))
	before, incarnation := configs(t, b), b.Incarnation()
	if len(incarnation) < 16 {
		t.Fatalf("incarnation %q", incarnation)
	}
	shut(t, b)
	b = open(t, o)
	equal(t, "configuration", configs(t, b), before)
	equal(t, "incarnation", b.Incarnation(), incarnation)
	equal(t, "events", fmt.Sprint(ids(t, b)), "[1]")
	check(t, b.Source("web").Publish(limited(t), sample("1"))) // its id is known still
	equal(t, "events", fmt.Sprint(ids(t, b)), "[1]")
	must(b.State(limited(t)))(t)
}

func configs(t *testing.T, b *Bus) string {
	t.Helper()
	var text strings.Builder
	for _, name := range []string{"SLUICE_EVENTS", "SLUICE_LEDGER", "SLUICE_DLQ", "KV_SLUICE_STATE"} {
		stream := must(b.js.Stream(limited(t), name))(t)
		fmt.Fprintf(&text, "%+v\n", stream.CachedInfo().Config)
	}
	return text.String()
}

// Limits are changed one after the other, and what they are together in between
// is no matter.
func TestOneLimitGrowsAsAnotherShrinks(t *testing.T) {
	o := small(t)
	o.MaxBytes, o.ObjectBytes = 256<<20, 2<<30
	for range 2 {
		b, err := Open(t.Context(), o)
		check(t, err)
		check(t, b.Source("web").Publish(limited(t), sample("1")))
		shut(t, b)
		o.MaxBytes, o.ObjectBytes = o.ObjectBytes, o.MaxBytes
	}
	open(t, o)
}

func TestOpenBringsLimitsUpToDate(t *testing.T) {
	o := small(t)
	b, err := Open(t.Context(), o)
	check(t, err)
	incarnation := b.Incarnation()
	letters := must(b.js.Stream(limited(t), b.names.Letters))(t).CachedInfo().Config
	letters.AllowDirect = true // as it was
	must(b.js.UpdateStream(limited(t), letters))(t)
	shut(t, b)
	o.MaxBytes, o.LedgerBytes, o.LetterBytes, o.StateBytes = 300<<20, 70<<20, 20<<20, 1<<20
	o.MaxEventSize, o.Duplicates = 2<<20, time.Minute
	b = open(t, o)
	equal(t, "incarnation", b.Incarnation(), incarnation)
	config := b.events.CachedInfo().Config
	equal(t, "window", config.Duplicates, time.Minute)
	equal(t, "letters by any replica", must(b.js.Stream(limited(t), b.names.Letters))(t).CachedInfo().Config.AllowDirect, false)
	for i, want := range []uint64{300 << 20, 70 << 20, 20 << 20} {
		equal(t, "limit", must(b.Stats(limited(t)))(t)[i].MaxBytes, want)
	}
	check(t, b.Source("web").Publish(limited(t), sized("large", 2<<20-100)))
}

// Each case makes a stream that sluice cannot use.
func TestOpenRefusesAnIncompatibleStream(t *testing.T) {
	for _, test := range []struct {
		name, want string
		change     func(*jetstream.StreamConfig)
	}{
		{"retention", "retention is Interest, but sluice needs Limits", func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }},
		{"discard", "discard is DiscardOld, but sluice needs DiscardNew", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{"age", "max_age is 1h0m0s, but sluice needs 0s", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }},
		{"messages", "max_msgs is 5, but sluice needs -1", func(c *jetstream.StreamConfig) { c.MaxMsgs = 5 }},
		{"atomic", "allow_atomic is false, but sluice needs true", func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false }},
		{"direct", "allow_direct is false, but sluice needs true", func(c *jetstream.StreamConfig) { c.AllowDirect = false }},
		{"acks", "no_ack is true, but sluice needs false", func(c *jetstream.StreamConfig) { c.NoAck = true }},
		{"purge", "deny_purge is true, but sluice needs false", func(c *jetstream.StreamConfig) { c.DenyPurge = true }},
		{
			"subjects", "subjects is sluice.ev.>, but sluice needs sluice.cur.> sluice.ev.> sluice.job.> sluice.to.>",
			func(c *jetstream.StreamConfig) { c.Subjects = []string{"sluice.ev.>"} },
		},
		{
			"async", "persist_mode is Async, but sluice needs Default",
			func(c *jetstream.StreamConfig) {
				c.PersistMode, c.AllowAtomicPublish = jetstream.AsyncPersistMode, false
			},
		},
		{
			"foreign", "metadata sluice-incarnation is absent, but sluice needs the value from its creation",
			func(c *jetstream.StreamConfig) { c.Metadata = nil },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := foreign(t, test.change)
			b, err := Open(t.Context(), o)
			if err == nil {
				shut(t, b)
			}
			var incompatible *IncompatibleError
			if !errors.As(err, &incompatible) || !slices.Contains(strings.Split(err.Error(), "\n"), "stream SLUICE_EVENTS: "+test.want) {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
			equal(t, "stream", incompatible.Stream, "SLUICE_EVENTS")
		})
	}
}

// What cannot be made by hand, or not be kept over a restart, is refused alike.
func TestCompatible(t *testing.T) {
	b := open(t, small(t))
	want := b.eventsConfig()
	for field, change := range map[string]func(*jetstream.StreamConfig){
		"storage": func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"sealed":  func(c *jetstream.StreamConfig) { c.Sealed = true },
		"mirror":  func(c *jetstream.StreamConfig) { c.Mirror = &jetstream.StreamSource{Name: "x"} },
		"sources": func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "x"}} },
	} {
		have := want
		change(&have)
		var incompatible *IncompatibleError
		if err := compatible(have, want); !errors.As(err, &incompatible) || incompatible.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	check(t, compatible(want, want))
}

// foreign returns options of a folder whose stream of events is made by hand.
func foreign(t *testing.T, change func(*jetstream.StreamConfig)) Options {
	t.Helper()
	o := small(t)
	b, err := Open(t.Context(), o)
	check(t, err)
	defer shut(t, b)
	config := b.eventsConfig()
	change(&config)
	check(t, b.js.DeleteStream(limited(t), config.Name))
	must(b.js.CreateStream(limited(t), config))(t)
	return o
}

func TestOpenRefusesOptions(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		name, want string
		options    Options
	}{
		{"neither", "bus: give either a folder or a URL", Options{}},
		{"both", "bus: give either a folder or a URL", Options{Dir: dir, URL: "nats://a"}},
		{
			"prefix", `bus prefix "Sluice.X": write a small letter, then at most 31 small letters, digits, - or _`,
			Options{Dir: dir, Prefix: "Sluice.X"},
		},
		{"small", "bus: 5 bytes for events are too few: at least 1048576", Options{Dir: dir, MaxBytes: 5}},
		{"large", "bus: events of 67108865 bytes are too large: at most 67108864", Options{Dir: dir, MaxEventSize: event.MaxSize + 1}},
		{"inline", "bus: 262145 bytes of data with an event are too many: at most 262144", Options{Dir: dir, MaxInline: maxInline + 1}},
		{"window", "bus: a duration is negative", Options{Dir: dir, Duplicates: -1}},
		{"listen", `listen address "4222": write host:port, such as 127.0.0.1:4222`, Options{Dir: dir, Listen: "4222"}},
		{
			"port", `listen address "localhost:nats": the port is not a number from 0 to 65535`,
			Options{Dir: dir, Listen: "localhost:nats"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(t.Context(), test.options)
			if err == nil || err.Error() != test.want {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestFolderBelongsToOneProcess(t *testing.T) {
	o := small(t)
	b, err := Open(t.Context(), o)
	check(t, err)
	_, err = Open(t.Context(), o)
	want := fmt.Sprintf("the bus's folder %s is in use by process %d: stop it, or use another folder", o.Dir, os.Getpid())
	if err == nil || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
	shut(t, b)
	open(t, o)
}

func TestFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(t.Context(), Options{Dir: filepath.Join(file, "data")})
	if err == nil || !strings.HasPrefix(err.Error(), "the bus's folder: mkdir ") {
		t.Fatalf("got %v", err)
	}
}

func TestNoPortIsOpenUnlessAskedFor(t *testing.T) {
	b := open(t, small(t))
	equal(t, "URL", b.ClientURL(), "")
	if addr := running(b).Addr(); addr != nil {
		t.Fatalf("listens on %v", addr)
	}
	o := small(t)
	o.Listen = "127.0.0.1:0"
	b = open(t, o)
	conn, err := nats.Connect(b.ClientURL())
	check(t, err)
	conn.Close()
}

// A second bus on the same streams, by URL, sees and fences the first.
func TestOpenByURL(t *testing.T) {
	o := small(t)
	o.Listen = "127.0.0.1:0"
	near := open(t, o)
	check(t, near.Source("web").Publish(limited(t), sample("1")))
	far := open(t, Options{
		URL: near.ClientURL(), MaxBytes: o.MaxBytes, LedgerBytes: o.LedgerBytes, LetterBytes: o.LetterBytes,
	})
	equal(t, "incarnation", far.Incarnation(), near.Incarnation())
	check(t, far.Source("web").Publish(limited(t), sample("2")))
	equal(t, "events", fmt.Sprint(ids(t, far)), "[1 2]")
	check(t, near.Source("s3").PublishAt(limited(t), "0", []byte("a")))
	out := far.Source("s3")
	check(t, out.PublishAt(limited(t), "0", []byte("b")))
	must(near.AppendRecord(limited(t), "c", 0, nil))(t)
	if _, err := far.AppendRecord(limited(t), "c", 0, nil); !errors.Is(err, event.ErrFenced) {
		t.Fatalf("got %v", err)
	}
	check(t, far.Healthy(limited(t)))
}

func TestOpenByURLOfNobody(t *testing.T) {
	_, err := Open(t.Context(), Options{URL: "nats://127.0.0.1:1"})
	if !errors.Is(err, event.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestHealthyAndStats(t *testing.T) {
	b, err := Open(t.Context(), small(t))
	check(t, err)
	check(t, b.Healthy(limited(t)))
	check(t, b.Source("web").Publish(limited(t), samples("e", 3)...))
	check(t, b.Healthy(limited(t)))
	stats := must(b.Stats(limited(t)))(t)
	equal(t, "messages", stats[0].Messages, 3) // asking stores nothing
	equal(t, "names", stats[0].Name+" "+stats[1].Name+" "+stats[2].Name, "SLUICE_EVENTS SLUICE_LEDGER SLUICE_DLQ")
	shut(t, b)
	if err := b.Healthy(limited(t)); !errors.Is(err, event.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

// A stream that somebody has deleted and made anew under a running sluice begins
// with sequences that were read: that is told, because nobody reads them again.
func TestAStreamMadeAnewIsTold(t *testing.T) {
	b := open(t, small(t))
	check(t, b.Source("web").Publish(limited(t), samples("a", 10)...))
	check(t, b.js.DeleteStream(limited(t), b.names.Events))
	must(b.js.CreateStream(limited(t), b.eventsConfig()))(t)
	_, ranged := b.Range(limited(t), 1, 10, 1<<20)
	for _, err := range []error{b.Healthy(limited(t)), ranged} {
		if wrong, ok := errors.AsType[*IncompatibleError](err); !ok || wrong.Field != "metadata sluice-incarnation" || wrong.Wanted != b.incarnation {
			t.Errorf("%v", err)
		}
	}
}
