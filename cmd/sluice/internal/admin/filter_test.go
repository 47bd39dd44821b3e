package admin_test

import (
	"net/url"
	"reflect"
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/admin"
)

// FuzzParseFilter checks that what is read from a request is written back to the
// same, and that what is not is refused with a problem.
func FuzzParseFilter(f *testing.F) {
	f.Add("trigger=a&type=b&source=c&error=d&reason=exhausted&id=x&id=y&status=503&since=2026-03-29T02:30:00Z")
	f.Add("until=2026-03-29T02:30:00.123456789%2B02:00&status=0")
	f.Add("status=-1")
	f.Fuzz(func(t *testing.T, raw string) {
		query, err := url.ParseQuery(raw)
		if err != nil {
			t.Skip()
		}
		filter, err := admin.ParseFilter(query)
		if err != nil {
			if !strings.Contains(err.Error(), ": write a ") {
				t.Errorf("a refusal that does not say what would be right: %v", err)
			}
			return
		}
		again, err := admin.ParseFilter(admin.FilterQuery(&filter))
		if err != nil {
			t.Fatalf("%+v is refused when it is written back: %v", filter, err)
		}
		if !again.Since.Equal(filter.Since) || !again.Until.Equal(filter.Until) {
			t.Errorf("the times differ: %+v, %+v", filter, again)
		}
		again.Since, again.Until = filter.Since, filter.Until
		if len(filter.IDs) == 0 {
			filter.IDs, again.IDs = nil, nil
		}
		if !reflect.DeepEqual(filter, again) {
			t.Errorf("%+v became %+v", filter, again)
		}
	})
}

func TestUnknownName(t *testing.T) {
	many := strings.Fields("a1 b2 c3 d4 e5 f6 g7 h8 i9 j10 k11")
	for _, test := range []struct {
		name  string
		known []string
		want  string
	}{
		{"resze", []string{"resize", "report"}, `there is no trigger "resze": did you mean "resize"?`},
		{"x\x1b", []string{"resize", "report"}, `there is no trigger "x\x1b": there is report, resize`},
		{"resize", nil, `there is no trigger "resize": there is none`},
		{"something", many, `there is no trigger "something"`},
	} {
		if got := admin.UnknownName("trigger", test.name, test.known); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}
