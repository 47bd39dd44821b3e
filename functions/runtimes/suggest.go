package runtimes

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
)

// maxCandidates bounds the search for what was meant.
const maxCandidates = 2000

// nearest is the file below the folder of the configuration whose path is most
// like the handler, or empty.
func (s Source) nearest() string {
	best, rest := "", len(s.options.Handler)/3+2
	seen := 0
	_ = filepath.WalkDir(s.options.Dir, func(path string, entry fs.DirEntry, err error) error {
		seen++
		switch {
		case err != nil:
			return nil //nolint:nilerr // what cannot be read is not suggested
		case seen > maxCandidates:
			return errEnough
		case entry.IsDir() && path != s.options.Dir && passedOver(entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || kindOf(filepath.Ext(path)) == "":
			return nil
		}
		relative, err := filepath.Rel(s.options.Dir, path)
		if err != nil {
			return err
		}
		for _, way := range s.ways(filepath.ToSlash(relative)) {
			if n := unlike(filepath.ToSlash(filepath.Clean(s.options.Handler)), way); n < rest {
				best, rest = way, n
			}
		}
		return nil
	})
	return best
}

var errEnough = errors.New("that are enough files")

// ways are those in which a file can be written: by its path, or in AWS's form
// with the function of the handler.
func (s Source) ways(path string) []string {
	function := strings.TrimPrefix(filepath.Ext(s.options.Handler), ".")
	if function == "" || kindOf("."+function) != "" {
		return []string{path}
	}
	return []string{path, strings.TrimSuffix(path, filepath.Ext(path)) + "." + function}
}

// unlike counts the letters of the longer text that are neither in the same
// beginning nor in the same end.
func unlike(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a) < len(b) {
		a, b = b, a
	}
	begin := 0
	for begin < len(b) && a[begin] == b[begin] {
		begin++
	}
	end := 0
	for end < len(b)-begin && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	return len(a) - begin - end
}
