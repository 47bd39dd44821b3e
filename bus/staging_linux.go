package bus

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// memoryFolder returns where POSIX shared memory is, when that is a file system in
// memory.
func memoryFolder() string {
	const folder = "/dev/shm"
	var stat unix.Statfs_t
	if unix.Statfs(folder, &stat) != nil || stat.Type != unix.TMPFS_MAGIC {
		return ""
	}
	return folder
}

// isPrivate tells whether a folder is this user's, and nobody else's.
func isPrivate(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeDir|0o700 {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
