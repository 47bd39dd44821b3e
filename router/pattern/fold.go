package pattern

import (
	"slices"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// A fold matches text whatever its case: at each place it allows the character
// as written, in its full lower case, and in its full upper case.
type fold struct {
	places [][]string
}

func newFold(text string) *fold {
	lower := cases.Lower(language.Und, cases.HandleFinalSigma(false))
	upper := cases.Upper(language.Und)
	f := &fold{places: make([][]string, 0, len(text))}
	for _, r := range text {
		forms := []string{string(r), lower.String(string(r)), upper.String(string(r))}
		slices.Sort(forms)
		f.places = append(f.places, slices.Compact(forms))
	}
	return f
}

// prefix tells whether text begins as f says, and returns what follows. At most
// one form fits at each place: none is the beginning of another.
func (f *fold) prefix(text string) (rest string, ok bool) {
	for _, forms := range f.places {
		i := slices.IndexFunc(forms, func(form string) bool { return strings.HasPrefix(text, form) })
		if i < 0 {
			return "", false
		}
		text = text[len(forms[i]):]
	}
	return text, true
}

func (f *fold) suffix(text string) bool {
	for _, forms := range slices.Backward(f.places) {
		i := slices.IndexFunc(forms, func(form string) bool { return strings.HasSuffix(text, form) })
		if i < 0 {
			return false
		}
		text = text[:len(text)-len(forms[i])]
	}
	return true
}

func (f *fold) equal(text string) bool {
	rest, ok := f.prefix(text)
	return ok && rest == ""
}
