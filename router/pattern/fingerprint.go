package pattern

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// describe writes what a field asks for in one way only.
func (f *field) describe() string {
	texts := make([]string, len(f.clauses))
	for i := range f.clauses {
		texts[i] = f.clauses[i].String()
	}
	slices.Sort(texts)
	return jsonString(f.path) + ":[" + strings.Join(slices.Compact(texts), ",") + "]"
}

// fingerprint hashes the fields of each branch, and then the hashes in an order
// that does not depend on that of the branches.
func fingerprint(branches []*branch) string {
	sums := make([]string, len(branches))
	for i, b := range branches {
		h := sha256.New()
		for _, f := range b.fields {
			h.Write([]byte(f.canonical))
			h.Write([]byte{'\n'})
		}
		sums[i] = string(h.Sum(nil))
	}
	slices.Sort(sums)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(sums), "")))
	return hex.EncodeToString(sum[:16])
}

// jsonString writes text as a JSON string, with < and > as they are, and with
// every character escaped that could do something to a terminal.
func jsonString(text string) string {
	var encoded, b strings.Builder
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return `""` // not reached: a string can always be encoded
	}
	for _, r := range strings.TrimSuffix(encoded.String(), "\n") {
		if r >= 0x7f && r <= 0xffff && !unicode.IsPrint(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
