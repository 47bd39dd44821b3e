//go:build unix

package service

import (
	"fmt"
	"os"
	"syscall"
)

// owned refuses a folder that somebody else could have laid there.
func owned(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the folder for functions: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is no folder that belongs to this user alone: remove it, or set TMPDIR to another folder", dir)
	}
	return nil
}
