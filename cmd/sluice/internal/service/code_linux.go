package service

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dropCode lets go of the pages of the program's own code, most of which only the
// start has needed. Those that are needed again come back from the file, or from
// what the system has cached of it. It returns how many bytes were mapped.
func dropCode() (mapped uint64) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(maps)) {
		from, size := codeOf(line)
		if _, _, failed := unix.Syscall(unix.SYS_MADVISE, uintptr(from), uintptr(size), unix.MADV_DONTNEED); size > 0 && failed == 0 {
			mapped += size
		}
	}
	return mapped
}

// codeOf returns where a mapping of a file lies that is executed and never
// written to: one of a line of /proc/self/maps (proc_pid_maps(5)). What is
// writable, or was before it was protected, has pages that no file has.
func codeOf(line string) (from, size uint64) {
	const perms, inode = 1, 4
	fields := strings.Fields(line)
	if len(fields) <= inode || fields[perms] != "r-xp" || fields[inode] == "0" {
		return 0, 0
	}
	first, last, _ := strings.Cut(fields[0], "-")
	from, err := strconv.ParseUint(first, 16, 64)
	if err != nil {
		return 0, 0
	}
	to, err := strconv.ParseUint(last, 16, 64)
	if err != nil || to < from {
		return 0, 0
	}
	return from, to - from
}
