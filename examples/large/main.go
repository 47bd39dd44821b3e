// Command large shows files of many megabytes on their way to a worker: they are
// kept beside the log, checked, delivered whole, kept with their letters, and
// replayed.
//
//	go run ./examples/large
//
// It builds sluice, runs "sluice dev" on sluice.yaml beside this file, and the
// worker in this process, and says what to type next.
package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"path"
	"sync/atomic"

	"sluice/examples/internal/example"
)

func main() {
	(&example.Example{Name: "large", Worker: (&archive{}).routes(), Story: story}).Main()
}

// An archive is what would store files for good. It takes none while it is
// closed.
type archive struct{ closed atomic.Bool }

func (a *archive) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /archive", a.take)
	mux.HandleFunc("POST /close", func(http.ResponseWriter, *http.Request) { a.closed.Store(true) })
	mux.HandleFunc("POST /open", func(http.ResponseWriter, *http.Request) { a.closed.Store(false) })
	return mux
}

// take takes one file: the body is all of it, and the subject ends with its
// name.
func (a *archive) take(w http.ResponseWriter, r *http.Request) {
	file, ok := example.Payload(w, r)
	if !ok {
		return
	}
	name := path.Base(r.Header.Get("ce-subject"))
	if a.closed.Load() {
		fmt.Printf("worker: the archive is closed, %s comes back\n", name)
		http.Error(w, "the archive is closed", http.StatusServiceUnavailable)
		return
	}
	fmt.Printf("worker: %s has %d bytes, SHA-256 %x\n", name, len(file), sha256.Sum256(file))
}

func story(p example.Place) string {
	return fmt.Sprintf(`
The story, in another terminal:

  1. Make a file of 40 MiB, and send it; the worker gets all of it:
       dd if=/dev/urandom of=film.bin bs=1048576 count=40
       curl -T film.bin -H 'Content-Type: application/octet-stream' %[2]s/files/
  2. Close the archive, and send it again: it is tried three times, and kept as a letter:
       curl -X POST %[3]s/close
       curl -T film.bin -H 'Content-Type: application/octet-stream' %[2]s/files/
       %[1]s dlq list%[4]s
  3. Have the file back out of the letter (its name is in the last column):
       %[1]s dlq show LETTER --data copy.bin%[4]s && cmp film.bin copy.bin
  4. Open the archive, and replay:
       curl -X POST %[3]s/open
       %[1]s dlq replay --all%[4]s
       %[1]s audit%[4]s
`, p.Sluice, p.Ingest, p.Worker, p.Server)
}
