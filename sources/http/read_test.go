package http

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestABodyIsHeldOnce: what is set aside for a body is its length, when that is
// announced truly, and never more than twice what has come and a little.
func TestABodyIsHeldOnce(t *testing.T) {
	const little = 64<<10 + 1
	for _, size := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20, 5<<20 + 3} {
		text := strings.Repeat("x", size)
		for _, announced := range []int{-1, 0, size / 2, size, size + 1, 64 << 20} {
			for _, from := range []io.Reader{
				strings.NewReader(text), iotest.HalfReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text)),
			} {
				body, err := readAll(from, int64(announced))
				if err != nil || !bytes.Equal(body, []byte(text)) {
					t.Fatalf("%d bytes, announced as %d: %d bytes, %v", size, announced, len(body), err)
				}
				most := 2*size + little
				if announced == size && size > 0 {
					most = size + 1
				}
				if cap(body) > most {
					t.Errorf("%d bytes, announced as %d: %d are set aside", size, announced, cap(body))
				}
			}
		}
	}
	if _, err := readAll(iotest.TimeoutReader(strings.NewReader("slow")), 4); err == nil {
		t.Error("an error of the reader is lost")
	}
}
