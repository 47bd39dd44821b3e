package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const secretFile = `
sources:
  uploads: {s3: {endpoint: "http://h", bucket: b, secret_key: {file: "%s"}}}
`

// loadSecret loads a file whose secret is in the file name, after prepare has
// filled its folder.
func loadSecret(t *testing.T, name string, prepare func(dir string)) (*File, error) {
	t.Helper()
	path := write(t, strings.Replace(secretFile, "%s", name, 1))
	prepare(filepath.Dir(path))
	return Load(path, testKinds(), environment(nil))
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestSecretFile(t *testing.T) {
	for text, want := range map[string]string{"one": "one", "two\n": "two", "three\r\n": "three", " four \n\n": " four \n"} {
		file, err := loadSecret(t, "key", func(dir string) { put(t, filepath.Join(dir, "key"), text, 0o600) })
		if err != nil {
			t.Fatal(err)
		}
		if got := file.Sources[0].Section.(*bucketSection).SecretKey.Reveal(); got != want {
			t.Errorf("%q is read as %q", text, got)
		}
		if len(file.Warnings) != 0 {
			t.Errorf("there are warnings: %v", file.Warnings)
		}
	}
}

func TestSecretFileAbsolute(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	put(t, path, "far away\n", 0o600)
	file, err := loadSecret(t, path, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if got := file.Sources[0].Section.(*bucketSection).SecretKey.Reveal(); got != "far away" {
		t.Errorf("it is read as %q", got)
	}
}

func TestSecretFileOfOthersIsAWarning(t *testing.T) {
	file, err := loadSecret(t, "key", func(dir string) { put(t, filepath.Join(dir, "key"), "x", 0o644) })
	if err != nil {
		t.Fatal(err)
	}
	want := `:3:64: sources.uploads.s3.secret_key.file: others than its owner may read or write the secret file "key" (mode 0644): run chmod 600 on it`
	if len(file.Warnings) != 1 || !strings.HasSuffix(file.Warnings[0].Error(), want) {
		t.Errorf("the warnings are %v", file.Warnings)
	}
}

func TestBadSecretFiles(t *testing.T) {
	cases := map[string]struct {
		name    string
		prepare func(t *testing.T, dir string)
		want    string
	}{
		"missing": {"key", func(*testing.T, string) {}, `the secret file "key" cannot be read: no such file or directory`},
		"folder": {"key", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Mkdir(filepath.Join(dir, "key"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, `the secret file "key" is a folder`},
		"pipe": {"key", func(t *testing.T, dir string) {
			t.Helper()
			if err := syscall.Mkfifo(filepath.Join(dir, "key"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, `the secret file "key" is not a regular file`},
		"empty": {"key", func(t *testing.T, dir string) { t.Helper(); put(t, filepath.Join(dir, "key"), "\n", 0o600) }, `the secret file "key" is empty`},
		"large": {"key", func(t *testing.T, dir string) {
			t.Helper()
			put(t, filepath.Join(dir, "key"), strings.Repeat("x", maxSecret+1), 0o600)
		}, `the secret file "key" is larger than 64KiB`},
		"above": {"../key", func(*testing.T, string) {}, `the secret file "../key" is outside of the configuration's folder: write its absolute path`},
		"link out": {"key", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Symlink("/etc/hostname", filepath.Join(dir, "key")); err != nil {
				t.Fatal(err)
			}
		}, `the secret file "key" cannot be read: path escapes from parent`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := loadSecret(t, c.name, func(dir string) { c.prepare(t, dir) })
			if err == nil {
				t.Fatal("it was accepted")
			}
			first, _, _ := strings.Cut(err.Error(), "\n")
			if !strings.HasSuffix(first, ": sources.uploads.s3.secret_key.file: "+c.want) {
				t.Errorf("the error is %s", first)
			}
		})
	}
}
