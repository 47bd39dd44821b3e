package main

import (
	"net/http"
	"strings"
	"testing"

	"sluice/examples/internal/exampletest"
)

// TestTheStory does what the README tells to do.
func TestTheStory(t *testing.T) {
	s := exampletest.Raise(t)
	put := func(key, body string) {
		s.Ask(http.StatusOK, http.MethodPut, s.Bucket+"/photos/"+key, strings.NewReader(body))
	}
	put("cat.jpg", "cat")
	s.Await(`worker: a thumbnail of "cat.jpg" in "photos" (3 bytes), attempt 1`)
	s.Await("cat.jpg → make-thumbnail  ✓ delivered  200")
	put("notes.txt", "hi")
	s.Await("notes.txt → no trigger wants it")
	put("broken.jpg", "oops")
	s.Await("broken.jpg → make-thumbnail  ✗ attempt 3 failed, the last one (exhausted)  500")
	s.Await("broken.jpg → make-thumbnail  ✗ dead: sluice dlq show ")
	s.Sluice(`answered 500 Internal Server Error: "this pictu`, "dlq", "list")
	s.Ask(http.StatusOK, http.MethodPost, s.Worker+"/mend", http.NoBody)
	s.Sluice("1 letter, of which 1 would be replayed", "dlq", "replay", "--all", "--dry-run")
	s.Sluice("1 letter replayed", "dlq", "replay", "--all")
	s.Await(`worker: a thumbnail of "broken.jpg" in "photos" (4 bytes), attempt 1`)
	s.Await("broken.jpg → make-thumbnail  ✓ delivered  200")
	s.Sluice("There are no such letters.", "dlq", "list")
	s.SluiceEventually("\nconserved: 4 events checked", "audit")
}
