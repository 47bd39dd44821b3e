package config

import "errors"

// Load reads and checks the file at path. Variables are found by lookup. The
// error is a *Problems with everything that is wrong, or one that matches
// fs.ErrNotExist and the like when the file cannot be read.
func Load(path string, kinds Kinds, lookup func(string) (string, bool)) (*File, error) {
	return nil, errors.New("not built yet")
}
