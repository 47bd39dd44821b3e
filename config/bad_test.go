package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the expected output of the bad files")

// TestBadFiles compares everything that is printed of each bad file: places,
// messages, suggestions, lines and carets, in order.
func TestBadFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal("there are no bad files", err)
	}
	lookup := environment(map[string]string{
		"TOKEN": "t0ken-of-the-hook", "URL": "super-secret-value", "NUMBER": "7", "EMPTY": "", "A": "a", "B": "b",
	})
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = load(filepath.Base(path), "testdata/bad", string(text), testKinds(), lookup)
			var problems *Problems
			if !errors.As(err, &problems) {
				t.Fatalf("the error is %v", err)
			}
			expectFile(t, strings.TrimSuffix(path, ".yaml")+".txt", problems.Error()+"\n")
			if strings.Contains(problems.Error(), "super-secret-value") || strings.Contains(problems.Error(), "hunter2") {
				t.Error("a secret is shown")
			}
		})
	}
}

func expectFile(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("what is printed differs (-want +got):\n%s", diff)
	}
}
