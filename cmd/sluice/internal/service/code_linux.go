package service

import (
	"iter"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dropCode lets go of the pages of the program's own code, most of which only the
// start has needed. Those that are needed again come back from the file, or from
// what the system has cached of it. It returns how many bytes were mapped.
func dropCode() (mapped uint64) {
	mappings, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return 0
	}
	for code := range codeIn(string(mappings)) {
		if _, _, failed := unix.Syscall(unix.SYS_MADVISE, uintptr(code.from), uintptr(code.size), unix.MADV_DONTNEED); failed == 0 {
			mapped += code.size
		}
	}
	return mapped
}

// A mapping is a part of the address space.
type mapping struct{ from, size uint64 }

// codeIn yields the mappings of files that are executed and have no page that is
// not the file's: of what /proc/self/smaps says (proc_pid_smaps(5)). Pages that
// were written to would not come back as they are: breakpoints of a debugger,
// probes of the system, and code that was relocated or changed in place.
func codeIn(smaps string) iter.Seq[mapping] {
	return func(yield func(mapping) bool) {
		code, clean := mapping{}, false
		for line := range strings.Lines(smaps) {
			name, value, _ := strings.Cut(line, ":")
			switch name {
			case "Anonymous":
				clean = strings.TrimSpace(value) == "0 kB"
			case "Swap":
				clean = clean && strings.TrimSpace(value) == "0 kB"
			case "VmFlags": // the last line of a mapping
				if clean && code.size > 0 && !yield(code) {
					return
				}
				clean = false
			default:
				if next, begins := mappingOf(line); begins {
					code, clean = next, false
				}
			}
		}
	}
}

// mappingOf reads the line that a mapping begins with. Only that of a file that is
// executed and not writable has a size.
func mappingOf(line string) (m mapping, begins bool) {
	const perms, inode = 1, 4
	fields := strings.Fields(line)
	if len(fields) <= inode {
		return m, false
	}
	first, last, _ := strings.Cut(fields[0], "-")
	from, err := strconv.ParseUint(first, 16, 64)
	if err != nil {
		return m, false
	}
	to, err := strconv.ParseUint(last, 16, 64)
	if err != nil || to < from || fields[perms] != "r-xp" || fields[inode] == "0" {
		return m, true
	}
	return mapping{from, to - from}, true
}
