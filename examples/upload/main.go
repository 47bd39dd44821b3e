// Command upload shows sluice at work: a file put into a bucket calls a worker,
// a worker that fails gets its events again, and what fails for good is kept,
// shown and replayed.
//
//	go run ./examples/upload
//
// It builds sluice, runs "sluice dev" on sluice.yaml beside this file, and the
// worker in this process, and says what to type next.
package main

import (
	"fmt"
	"os"

	"sluice/examples/internal/example"
)

func main() {
	w := &worker{out: os.Stdout}
	(&example.Example{Name: "upload", Worker: w.routes(), Story: story}).Main()
}

// story is what to type, in order.
func story(p example.Place) string {
	return fmt.Sprintf(`
The story, in another terminal:

  1. Put a file into the bucket; the worker is called:
       curl -X PUT -d cat %[1]s/photos/cat.jpg
  2. Put one that the worker cannot take; it is tried three times, and kept as a letter:
       curl -X PUT -d oops %[1]s/photos/broken.jpg
       %[2]s dlq list%[4]s
  3. Mend the worker, see what a replay would take, and replay it:
       curl -X POST %[3]s/mend
       %[2]s dlq replay --all --dry-run%[4]s
       %[2]s dlq replay --all%[4]s
  4. Check that every event is accounted for:
       %[2]s audit%[4]s
`, p.Bucket, p.Sluice, p.Worker, p.Server)
}
