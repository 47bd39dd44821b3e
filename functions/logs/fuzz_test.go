package logs_test

import (
	"testing"

	"sluice/functions/logs"
)

// FuzzParsePosition: a position that is taken is written as it was read, but for
// zeros in front and digits behind a second.
func FuzzParsePosition(f *testing.F) {
	f.Add("20260301T120000.000000000Z+12")
	f.Add("20260301T120000.000000000Z+-1")
	f.Add("../../etc/passwd+0")
	f.Fuzz(func(t *testing.T, text string) {
		at, err := logs.ParsePosition(text)
		if err != nil {
			return
		}
		again, err := logs.ParsePosition(at.String())
		if err != nil || again != at {
			t.Errorf("%q is read as %q, and that as %q (%v)", text, at, again, err)
		}
	})
}

// FuzzParseFilter: what is taken can be matched with.
func FuzzParseFilter(f *testing.F) {
	f.Add("/a(b/", "ab")
	f.Add("a", "bab")
	f.Fuzz(func(_ *testing.T, filter, text string) {
		if match, err := logs.ParseFilter(filter); err == nil {
			match(&logs.Entry{Text: text})
		}
	})
}
