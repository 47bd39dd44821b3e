package runtimes

import (
	"encoding/hex"
	"fmt"
	"hash"
	"hash/fnv"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// maxWatched is how many files Fingerprint looks at, at the most.
const maxWatched = 10_000

// Fingerprint sums up the names, sizes and times of the files in Watch, and in
// its folders those that are code or JSON; folders that begin with a dot, and
// those of packages and caches, are left out, and so is what is beyond 10,000
// files. Two different ones mean that the program has changed. What cannot be
// read counts as not there.
func (p Program) Fingerprint() string {
	sum, left := fnv.New128a(), maxWatched
	for _, path := range p.Watch {
		_ = filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return nil //nolint:nilerr // it may just be replaced
			case entry.IsDir() && at != path && passedOver(entry.Name()):
				return fs.SkipDir
			case entry.IsDir() || at != path && !isCode(entry.Name()):
				return nil
			case left == 0:
				return errEnough
			}
			left--
			add(sum, at, entry)
			return nil
		})
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func add(sum hash.Hash, path string, entry fs.DirEntry) {
	if info, err := entry.Info(); err == nil {
		_, _ = fmt.Fprintf(sum, "%q %d %d %s\n", path, info.Size(), info.ModTime().UnixNano(), info.Mode())
	}
}

func passedOver(folder string) bool {
	return strings.HasPrefix(folder, ".") || slices.Contains([]string{"node_modules", "__pycache__", "venv", "site-packages"}, folder)
}

func isCode(name string) bool {
	return slices.Contains([]string{".mjs", ".js", ".cjs", ".json", ".py", ".go", ".mod", ".sum"}, filepath.Ext(name))
}
