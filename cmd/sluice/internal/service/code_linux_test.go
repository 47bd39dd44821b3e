package service

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCodeIn(t *testing.T) {
	const clean = "Size: 4 kB\nAnonymous:             0 kB\nSwap:                  0 kB\nVmFlags: rd ex mr\n"
	const code = "00400000-023bb000 r-xp 00000000 fe:00 131 /usr/bin/sluice\n"
	whole := []mapping{{0x400000, 0x23bb000 - 0x400000}}
	for smaps, want := range map[string][]mapping{
		code + clean:                whole,
		code + clean + code + clean: append(whole, whole...),
		code + strings.Replace(clean, "0 kB\nSwap", "4 kB\nSwap", 1):                         nil, // a breakpoint
		code + strings.Replace(clean, "0 kB\nVm", "4 kB\nVm", 1):                             nil, // swapped out
		"023bb000-05e00000 r--p 01fbb000 fe:00 131 /usr/bin/sluice\n" + clean:                nil,
		"05e00000-05ec5000 rw-p 05a00000 fe:00 131 /usr/bin/sluice\n" + clean:                nil,
		"7ffc3a9f2000-7ffc3a9f4000 r-xp 00000000 00:00 0         [vdso]\n" + clean + "x":     nil, // no file
		"ffffffffffffffffff-0 r-xp 00000000 fe:00 131 /usr/bin/sluice\n" + clean:             nil,
		"2000-1000 r-xp 00000000 fe:00 131 /usr/bin/sluice\n" + clean:                        nil,
		code + "05e00000-05ec5000 rw-p 05a00000 fe:00 131 /usr/bin/sluice\n" + clean + clean: nil,
		code: nil,
		code + strings.Replace(clean, "Anonymous", "Other", 1): nil, // it is not said whether it was written to
		"":   nil,
		"\n": nil,
	} {
		if got := slices.Collect(codeIn(smaps)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", smaps, got, want)
		}
	}
}

func TestDropCode(t *testing.T) {
	if mapped := dropCode(); mapped < 1<<20 {
		t.Errorf("%d bytes of code, want that of this program", mapped)
	}
}

// Code that was changed in place stays as it is, as with breakpoints.
func TestChangedCodeStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(path, make([]byte, os.Getpagesize()), 0o700); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	code, err := unix.Mmap(int(file.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(code) }()
	code[0] = 0xcc
	if err := unix.Mprotect(code, unix.PROT_READ|unix.PROT_EXEC); errors.Is(err, unix.EACCES) {
		t.Skip("this system does not let code be changed")
	} else if err != nil {
		t.Fatal(err)
	}
	dropCode()
	if code[0] != 0xcc {
		t.Errorf("the code begins with %#x, and was changed to 0xcc", code[0])
	}
}
