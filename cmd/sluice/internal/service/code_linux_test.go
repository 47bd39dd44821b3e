package service

import "testing"

func TestCodeOf(t *testing.T) {
	for line, want := range map[string][2]uint64{
		"00400000-023bb000 r-xp 00000000 fe:00 131 /usr/bin/sluice\n":      {0x400000, 0x23bb000 - 0x400000},
		"023bb000-05e00000 r--p 01fbb000 fe:00 131 /usr/bin/sluice\n":      {}, // may have been relocated before
		"05e00000-05ec5000 rw-p 05a00000 fe:00 131 /usr/bin/sluice\n":      {},
		"7ffc3a9f2000-7ffc3a9f4000 r-xp 00000000 00:00 0         [vdso]\n": {}, // no file
		"ffffffffffffffffff-0 r-xp 00000000 fe:00 131 /usr/bin/sluice\n":   {},
		"2000-1000 r-xp 00000000 fe:00 131 /usr/bin/sluice\n":              {},
		"":   {},
		"\n": {},
	} {
		if from, size := codeOf(line); from != want[0] || size != want[1] {
			t.Errorf("%q: %d bytes from %#x on, want %d from %#x on", line, size, from, want[1], want[0])
		}
	}
}

func TestDropCode(t *testing.T) {
	if mapped := dropCode(); mapped < 1<<20 {
		t.Errorf("%d bytes of code, want that of this program", mapped)
	}
}
