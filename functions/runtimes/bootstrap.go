package runtimes

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// bootstraps are the workers of Node and Python.
//
//go:embed bootstrap
var bootstraps embed.FS

// writeBootstrap writes the files of a runtime into the scratch folder, unless
// they are there, and returns their folder. Another version of sluice has
// another one.
func writeBootstrap(scratch, runtime string) (string, error) {
	files, err := fs.Sub(bootstraps, "bootstrap/"+runtime)
	if err != nil {
		return "", err
	}
	sum, err := sumOf(files)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(scratch, runtime+"-"+sum)
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return writeOnce(filepath.Join(dir, name), text)
	})
	if err != nil {
		return "", fmt.Errorf("write the bootstrap of %s: %w", runtime, err)
	}
	return dir, nil
}

func sumOf(files fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:6]), err
}

// writeOnce makes a file appear with all its text, for any user to read.
func writeOnce(path string, text []byte) error {
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, text) {
		return nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	for _, step := range []func() error{
		func() error { return file.Chmod(0o644) },
		file.Close,
		func() error { return os.Chmod(dir, 0o755) }, // whatever the umask says
	} {
		if failed := step(); err == nil {
			err = failed
		}
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
