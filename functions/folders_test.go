package functions

import (
	"errors"
	"testing"
)

func TestFolders(t *testing.T) {
	var broken error
	f := NewFolders(func() (string, error) { return "/x", broken })
	take := func(function string) (string, func()) {
		t.Helper()
		dir, release, err := f.Take(function)
		if err != nil {
			t.Fatal(err)
		}
		return dir, release
	}
	first, release := take("f")
	second, _ := take("f")
	other, _ := take("g")
	release()
	again, _ := take("f")
	if first != "/x/f.1" || second != "/x/f.2" || other != "/x/g.1" || again != first {
		t.Error(first, second, other, again)
	}
	broken = errors.New("no folder")
	if _, _, err := f.Take("f"); !errors.Is(err, broken) {
		t.Error(err)
	}
}
