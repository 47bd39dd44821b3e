package event

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Any bytes become a JSON string that says the same, but for what is not UTF-8.
func TestAppendQuoted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 24), func(b []byte) string { return string(b) }),
			rapid.String(),
		).Draw(t, "value")
		quoted := AppendQuoted([]byte("x"), value)
		if same := AppendQuoted([]byte("x"), []byte(value)); string(same) != string(quoted) {
			t.Fatalf("bytes became %q, the string %q", same, quoted)
		}
		var got string
		if err := json.Unmarshal(quoted[1:], &got); err != nil {
			t.Fatalf("%q: %v", quoted, err)
		}
		if want := strings.ToValidUTF8(value, "\ufffd"); got != want {
			t.Errorf("%q became %q, want %q", value, got, want)
		}
	})
}

func TestForm(t *testing.T) {
	for _, c := range []struct {
		contentType, data string
		want              Form
	}{
		{"application/json", `{"a":1}`, FormJSON},
		{"", `[1]`, FormJSON},
		{"application/vnd.x+json", `null`, FormJSON},
		{"application/json", `{"a":`, FormBinary},
		{"application/json", "\"\xff\"", FormBinary},
		{"text/plain", `{"a":1}`, FormText},
		{"text/plain; charset=iso-8859-1", "a", FormBinary},
		{"image/png", "a", FormBinary},
		{"application/json", "", FormNone},
	} {
		e := Event{DataContentType: c.contentType, Data: []byte(c.data)}
		if got := e.Form(); got != c.want {
			t.Errorf("%s %q: %d, want %d", c.contentType, c.data, got, c.want)
		}
	}
}
