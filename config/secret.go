package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// maxSecret is the largest secret file, in bytes.
const maxSecret = 64 << 10

// secret decodes a text, or {file: path}.
func (d *decoder) secret(n *Node, v *Secret, at *path) bool {
	const expected = "text, or {file: path}"
	switch {
	case n.kind == mappingNode:
		var from struct {
			File string `yaml:"file"`
		}
		if !d.into(n, &from, at) {
			return false
		}
		return d.secretFile(n, from.File, v, at)
	case n.kind != scalarNode || n.isNull():
		return d.wrong(n, at, expected)
	}
	if !n.vars {
		d.c.masks[n.pos] = true
	}
	*v = NewSecret(n.text)
	return true
}

// oneSecret decodes a secret where several may stand.
func (d *decoder) oneSecret(n *Node, v *Secrets, at *path) bool {
	all := make(Secrets, 1)
	if !d.secret(n, &all[0], at) {
		return false
	}
	*v = all
	return true
}

// secretFile reads a secret from a file. The line end after it is not part of
// the secret.
func (d *decoder) secretFile(n *Node, name string, v *Secret, at *path) bool {
	pos := n.At("file")
	at = at.sub("file", pos)
	if name == "" {
		d.c.problem(pos, at, "expected the path of a file, found nothing")
		return false
	}
	text, mode, err := readSecret(d.dir, name)
	if err != nil {
		d.c.problem(pos, at, d.c.redact(printable(err.Error())))
		return false
	}
	if mode.Perm()&0o066 != 0 && runtime.GOOS != "windows" {
		d.c.warn(pos, at, fmt.Sprintf("others than its owner may read or write the secret file %s (mode %04o): run chmod 600 on it", d.c.redact(quoteShort(name)), mode.Perm()))
	}
	*v = NewSecret(text)
	return true
}

// readSecret reads a file through a root that it cannot lead out of: dir for
// a relative name, the file's own folder for an absolute one.
func readSecret(dir, name string) (string, fs.FileMode, error) {
	base := filepath.Clean(name)
	if filepath.IsAbs(name) {
		dir, base = filepath.Split(base)
	} else if !filepath.IsLocal(base) {
		return "", 0, fmt.Errorf("the secret file %s is outside of the configuration's folder: write its absolute path", quoteShort(name))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", 0, secretError(name, err)
	}
	defer func() { _ = root.Close() }()
	// Without O_NONBLOCK a named pipe would hold up the start.
	file, err := root.OpenFile(base, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", 0, secretError(name, err)
	}
	defer func() { _ = file.Close() }()
	return readOpened(file, name)
}

func readOpened(file *os.File, name string) (string, fs.FileMode, error) {
	info, err := file.Stat()
	switch {
	case err != nil:
		return "", 0, secretError(name, err)
	case info.IsDir():
		return "", 0, fmt.Errorf("the secret file %s is a folder", quoteShort(name))
	case !info.Mode().IsRegular():
		return "", 0, fmt.Errorf("the secret file %s is not a regular file", quoteShort(name))
	}
	content, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	switch {
	case err != nil:
		return "", 0, secretError(name, err)
	case len(content) > maxSecret:
		return "", 0, fmt.Errorf("the secret file %s is larger than %s", quoteShort(name), Size(maxSecret))
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if text == "" {
		return "", 0, fmt.Errorf("the secret file %s is empty", quoteShort(name))
	}
	return text, info.Mode(), nil
}

// secretError says why a file could not be read, without the details that the
// operating system adds.
func secretError(name string, err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err
	}
	return fmt.Errorf("the secret file %s cannot be read: %w", quoteShort(name), err)
}
