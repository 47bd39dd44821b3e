//go:build linux && integration

package powercut

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestWhatIsSyncedSurvives works on a mounted disk as programs do, and cuts the
// power: what was synced is there, whatever the seed, and something is not there
// for some seeds that was not synced.
func TestWhatIsSyncedSurvives(t *testing.T) {
	for _, bare := range []bool{false, true} {
		lost := map[string]bool{}
		for seed := range uint64(20) {
			disk := NewDisk()
			disk.Bare = bare
			dir := t.TempDir()
			unmount := mount(t, disk, dir)
			use(t, dir)
			left := disk.Cut(rand.New(rand.NewPCG(seed, 1)))
			if err := os.WriteFile(filepath.Join(dir, "late"), nil, 0o600); err == nil {
				t.Error("a disk without power takes a file")
			}
			unmount()
			out := filepath.Join(t.TempDir(), "out")
			if err := left.Export(out); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"named", "replaced", "folder/deep", "nameless", "forgotten"} {
				text, err := os.ReadFile(filepath.Join(out, name))
				if err != nil || string(text) != "new" {
					lost[name] = true
				}
				if name == "replaced" && string(text) != "new" && string(text) != "old" {
					t.Errorf("seed %d: a file that was replaced in one step has %q", seed, text)
				}
			}
		}
		want := map[string]bool{"named": false, "folder/deep": false, "replaced": true, "nameless": bare, "forgotten": true}
		for name, may := range want {
			if lost[name] != may {
				t.Errorf("bare %v: %s was lost: %v, want %v", bare, name, lost[name], may)
			}
		}
	}
}

// use makes files: some with their names synced, some not, and one not at all.
func use(t *testing.T, dir string) {
	t.Helper()
	store(t, dir, "named", true)
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	store(t, dir, "folder/deep", true)
	if err := os.WriteFile(filepath.Join(dir, "replaced"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	flush(t, filepath.Join(dir, "replaced"))
	flush(t, filepath.Join(dir, "folder"))
	flush(t, dir)
	store(t, dir, "new", true)
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "replaced")); err != nil {
		t.Fatal(err)
	}
	store(t, dir, "nameless", true)
	store(t, dir, "forgotten", false)
}

func store(t *testing.T, dir, name string, sync bool) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if sync {
		flush(t, path)
	}
}

// flush syncs a file or a folder.
func flush(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
