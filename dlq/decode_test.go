package dlq

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"sluice/event"
)

func FuzzDecode(f *testing.F) {
	id := event.DeliveryID{Incarnation: "i", Sequence: 1, Trigger: "t"}
	for _, l := range []*Letter{
		{ID: id, Reason: ReasonExhausted, Event: &event.Event{ID: "1", Source: "s", Type: "t", Data: []byte("x")}},
		{ID: id, Reason: ReasonUndecodable, Header: map[string][]string{"a": {"b", "c"}}, Raw: []byte("y")},
	} {
		msg, err := encode("p", l)
		if err != nil {
			f.Fatal(err)
		}
		header, err := json.Marshal(msg.Header)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(header), msg.Data)
	}
	f.Add(`{"Sluice-Letter":["{\"v\":1,\"packed\":4}"]}`, []byte("[[]]"))
	f.Add(`{"Sluice-Letter":["{\"v\":1,\"packed\":-4,\"died\":1e99}"]}`, []byte{})
	f.Fuzz(func(t *testing.T, header string, data []byte) {
		var h nats.Header
		if json.Unmarshal([]byte(header), &h) != nil {
			t.Skip()
		}
		summary := summarize(id, 1, h)
		l, err := decode(id, h, data)
		if err == nil && summary.Problem != "" {
			t.Fatalf("it can be read, but is listed with %q", summary.Problem)
		}
		if err != nil {
			return
		}
		again, err := encode("p", l)
		if err != nil {
			t.Fatalf("a letter that was read cannot be stored: %v", err)
		}
		if size := headerSize(again.Header); size > maxHeader {
			t.Fatalf("headers of %d bytes", size)
		}
		if _, err := decode(id, again.Header, again.Data); err != nil {
			t.Fatalf("a letter that was stored cannot be read: %v", err)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ meta, data, want string }{
		"no letter":    {"", "", "the header Sluice-Letter is missing: the message is no letter"},
		"no JSON":      {"{", "", "the header Sluice-Letter: unexpected end of JSON input"},
		"no version":   {"{}", "", "the header Sluice-Letter: 0 is not a version of letters"},
		"newer":        {`{"v":9,"reason":{}}`, "", "the letter: " + (&event.NewerFormatError{Version: 9}).Error()},
		"short block":  {`{"v":1,"packed":9}`, "[]", "the letter's header block of 9 bytes is not whole: 2 bytes are there"},
		"broken block": {`{"v":1,"packed":2}`, "[?", "the letter's header block: invalid character '?' looking for beginning of value"},
		"odd block":    {`{"v":1,"packed":8}`, `["YQ=="]`, "the letter's header block has a name without a value"},
	} {
		header := nats.Header{}
		if c.meta != "" {
			header.Set(headerLetter, c.meta)
		}
		_, err := decode(event.DeliveryID{}, header, []byte(c.data))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCutKeepsCharactersWhole(t *testing.T) {
	if got := cut(strings.Repeat("é", 3), 3); got != "é" {
		t.Errorf("%q", got)
	}
}
