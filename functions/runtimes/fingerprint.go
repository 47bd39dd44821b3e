package runtimes

import (
	"encoding/hex"
	"fmt"
	"hash"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The bounds of a look at what is watched: entries in all, and in one folder,
// since a folder with more of them holds data.
const (
	maxWatched  = 10_000
	maxInFolder = 1000
)

// Fingerprint sums up the names, sizes and times of the files in Watch, and in
// its folders those that are code or JSON. Left out are folders that begin with
// a dot, those of packages and caches, and those with more than 1,000 entries.
// It looks at 10,000 entries, those in the upper folders first. Two different
// ones mean that the program has changed. What cannot be read counts as not
// there.
func (p Program) Fingerprint() string {
	sum, left := fnv.New128a(), maxWatched
	var folders []string
	for _, path := range p.Watch {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			add(sum, path, info)
			continue
		}
		folders = append(folders, path)
	}
	for len(folders) > 0 && left > 0 {
		entries := entriesOf(folders[0])
		left -= len(entries)
		for _, entry := range entries {
			path := filepath.Join(folders[0], entry.Name())
			switch info, err := entry.Info(); {
			case err != nil: // it may just be replaced
			case entry.IsDir() && !passedOver(entry.Name()):
				folders = append(folders, path)
			case info.Mode().IsRegular() && isCode(entry.Name()):
				add(sum, path, info)
			}
		}
		folders = folders[1:]
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// entriesOf reads a folder in order, and nothing of one with too many entries.
func entriesOf(dir string) []fs.DirEntry {
	folder, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer func() { _ = folder.Close() }()
	entries, _ := folder.ReadDir(maxInFolder + 1)
	if len(entries) > maxInFolder {
		return nil
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries
}

func add(sum hash.Hash, path string, info fs.FileInfo) {
	_, _ = fmt.Fprintf(sum, "%q %d %d %s\n", path, info.Size(), info.ModTime().UnixNano(), info.Mode())
}

func passedOver(folder string) bool {
	return strings.HasPrefix(folder, ".") || slices.Contains([]string{"node_modules", "__pycache__", "venv", "site-packages"}, folder)
}

func isCode(name string) bool {
	return slices.Contains([]string{".mjs", ".js", ".cjs", ".json", ".py", ".go", ".mod", ".sum"}, filepath.Ext(name))
}
