// Command functions shows sluice running Lambda functions: a picture put into a
// bucket runs a Go Lambda, a file of Node and a file of Python, each of which puts
// a thumbnail into another bucket.
//
//	go run ./examples/functions
//
// It needs Node 18 and Python 3.9 or newer. It builds sluice, runs "sluice dev" on
// sluice.yaml beside this file, and says what to type next.
package main

import (
	"fmt"

	"sluice/examples/internal/example"
)

func main() { (&example.Example{Name: "functions", Story: story}).Main() }

// story is what to type, in order.
func story(p example.Place) string {
	return fmt.Sprintf(`
The story, in another terminal:

  1. Put a picture into the bucket (any PNG that is at hand); three functions run:
       curl -T picture.png %[1]s/photos/picture.png
       curl -o small.png %[1]s/thumbs/node/picture.png
  2. See what they have logged, and what it would have cost:
       %[2]s logs thumbnail-node%[3]s
       %[2]s usage%[3]s
  3. Put one that is no picture; each function fails three times, and letters are kept:
       curl -X PUT -d oops %[1]s/photos/broken.png
       %[2]s dlq list%[3]s
  4. Change nodethumb.mjs while it runs, and put a picture again.
`, p.Bucket, p.Sluice, p.Server)
}
