package container

import (
	"regexp"
	"testing"
)

func TestStatus(t *testing.T) {
	for code, want := range map[int64]string{
		0: "exit status 0", 1: "exit status 1", 128: "exit status 128", 137: "signal: killed", 143: "signal: terminated", 255: "exit status 255",
	} {
		if got := status(code); got != want {
			t.Errorf("%d is %q, not %q", code, got, want)
		}
	}
}

func TestName(t *testing.T) {
	if got := name("résumé a/b"); !regexp.MustCompile(`^sluice-r-sum--a-b-[0-9a-f]{8}-[0-9a-f]{4}$`).MatchString(got) {
		t.Errorf("%q", got)
	}
}

// A container is left behind when its owner has ended, as far as that can be
// known.
func TestLeft(t *testing.T) {
	mine, other := owning(t), owning(t)
	labels := other.labels("resize")
	if mine.left(labels) {
		t.Error("the owner is there")
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if !mine.left(labels) {
		t.Error("the owner has ended")
	}
	elsewhere := other.labels("resize")
	elsewhere[labelNetwork] = "net:[1]"
	if mine.left(elsewhere) || mine.left(map[string]string{labelOwner: other.name}) || mine.left(map[string]string{labelNetwork: mine.namespace}) {
		t.Error("of those nobody can know")
	}
}

func owning(t *testing.T) *owner {
	t.Helper()
	o, err := newOwner()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}
