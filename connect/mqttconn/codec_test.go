package mqttconn

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestMessages checks that a message is read as it was written.
func TestMessages(t *testing.T) {
	plain := Message{Topic: "a/é", Payload: []byte("x"), QoS: 2, Retain: true, ID: 7}
	full := plain
	full.Properties = Properties{
		ContentType: "text/plain", ResponseTopic: "r", CorrelationData: []byte{0, 1}, UTF8: true, Expiry: 60,
		User: []Property{{"a", "1"}, {"a", "2"}},
	}
	for version, m := range map[Version]Message{V5: full, V311: plain} {
		var b bytes.Buffer
		if err := codecOf(version).publish(&b, &m, m.ID); err != nil {
			t.Fatal(err)
		}
		f, err := readFrame(bufio.NewReader(&b), MaxPacket)
		if err != nil {
			t.Fatal(err)
		}
		p, err := decode(codecOf(version), f)
		if err != nil || !reflect.DeepEqual(p.message, m) {
			t.Errorf("%s: %+v, %v", version, p.message, err)
		}
	}
}

// TestFrames checks that a length is bounded before there is memory for it.
func TestFrames(t *testing.T) {
	for text, want := range map[string]string{
		"\x30\xff\xff\xff\x7f":     "the server has sent a packet of 268435455 bytes; at most 100 are taken",
		"\x30\xff\xff\xff\xff\xff": "the server has sent a malformed packet: a length of more than four bytes",
		"\x30\x05ab":               io.ErrUnexpectedEOF.Error(),
	} {
		if _, err := readFrame(bufio.NewReader(bytes.NewReader([]byte(text))), 100); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// FuzzDecode gives packets of any kind: none panics, and a message that is taken
// has a topic, a QoS, and an identifier where it needs one.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"\x20\x03\x00\x00\x00", "\x20\x02\x00\x01", "\x32\x08\x00\x01a\x00\x01\x00xy", "\x30\x04\x00\x01a\x00", "\x40\x02\x00\x01",
		"\x50\x04\x00\x01\x87\x00", "\x62\x02\x00\x01", "\x70\x02\x00\x01", "\x90\x04\x00\x01\x00\x87", "\xb0\x04\x00\x01\x00\x00", "\xd0\x00", "\xe0\x00", "\xe0\x01\x8e",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := readFrame(bufio.NewReader(bytes.NewReader(data)), 1<<20)
		if err != nil {
			return
		}
		for _, version := range []Version{V5, V311} {
			p, err := decode(codecOf(version), frame)
			if err == nil && p.kind == publish && (p.message.Topic == "" || p.message.QoS > 2 || p.message.QoS > 0 && p.message.ID == 0) {
				t.Errorf("%s: %+v", version, p.message)
			}
		}
	})
}

// FuzzCheckFilter gives topic filters of any kind: what is a topic is a filter too.
func FuzzCheckFilter(f *testing.F) {
	for _, seed := range []string{"a/b", "#", "a/#", "+/a", "a+", "$share/g/a/#", "$share//a", "$share/g", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if CheckTopic(text) == nil && CheckFilter(text) != nil {
			t.Errorf("%q is a topic, and no filter: %v", text, CheckFilter(text))
		}
	})
}

// answering is a server that takes a connection and answers each packet by what
// answers has for its type.
func answering(t *testing.T, answers map[byte]string) Options {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		for r := bufio.NewReader(conn); ; {
			f, err := readFrame(r, MaxPacket)
			if err != nil || f.kind() == goodbye {
				return
			}
			_, _ = io.WriteString(conn, answers[f.head>>4]) // an error ends the next read
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-ended })
	u, err := ParseURL("mqtt://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return Options{Server: u, Version: V5, ClientID: "c", CleanStart: true}
}

// TestReasons checks what the answers of a server become.
func TestReasons(t *testing.T) {
	const welcome = "\x20\x03\x00\x00\x00"
	for answer, want := range map[string]string{
		"\x40\x02\x00\x01":                       "",
		"\x40\x03\x00\x01\x10":                   "",
		"\x40\x03\x00\x01\x87":                   "not authorized (0x87)",
		"\x40\x09\x00\x01\x97\x05\x1f\x00\x02no": `quota exceeded (0x97): "no"`,
		"\xe0\x01\x8e":                           "the server has ended the connection: session taken over (0x8e)",
		"\x40\x02\x00\x02":                       "the server has sent a malformed packet: an answer of type 4 to nothing",
	} {
		conn, err := Connect(t.Context(), answering(t, map[byte]string{1: welcome, 3: answer}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err = conn.Publish(ctx, &Message{Topic: "a", QoS: 1})
		cancel()
		conn.Close()
		if got := text(err); got != want {
			t.Errorf("%q: %q, want %q", answer, got, want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestRefused checks how a server refuses a client, in the words of both versions,
// and what it says that it does not take.
func TestRefused(t *testing.T) {
	for answer, code := range map[string]byte{"\x20\x03\x00\x86\x00": BadUserOrPassword, "\x20\x02\x00\x01": UnsupportedVersion, "\x20\x02\x00\x05": NotAuthorized} {
		if _, err := Connect(t.Context(), answering(t, map[byte]string{1: answer})); !HasReason(err, code) {
			t.Errorf("%q: %v", answer, err)
		}
	}
	// Maximum Packet Size 10, Maximum QoS 1, Retain Available 0.
	conn, err := Connect(t.Context(), answering(t, map[byte]string{1: "\x20\x0c\x00\x00\x09\x27\x00\x00\x00\x0a\x24\x01\x25\x00"}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for code, m := range map[byte]*Message{
		PacketTooLarge: {Topic: "a", QoS: 1, Payload: []byte("0123456789")}, QoSNotSupported: {Topic: "a", QoS: 2}, RetainNotSupported: {Topic: "a", QoS: 1, Retain: true},
	} {
		if err := conn.Publish(t.Context(), m); !HasReason(err, code) {
			t.Errorf("%+v: %v", m, err)
		}
	}
}

// TestGivenUp checks that a publish ends with its context, when the server answers
// nothing.
func TestGivenUp(t *testing.T) {
	conn, err := Connect(t.Context(), answering(t, map[byte]string{1: "\x20\x03\x00\x00\x00"}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := conn.Publish(ctx, &Message{Topic: "a", QoS: 1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
