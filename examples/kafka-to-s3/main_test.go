package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"sluice/examples/internal/exampletest"
)

// TestTheStory does what the README tells to do.
func TestTheStory(t *testing.T) {
	s := exampletest.Raise(t)
	const orders = 30
	for i := range orders {
		s.Ask(http.StatusAccepted, http.MethodPost, s.Ingest+"/orders",
			strings.NewReader(fmt.Sprintf(`{"order":%d,"customer":"c%d"}`, i, i%3)), "Content-Type", "application/json")
	}
	var lines map[string]int
	s.Eventually("all orders are in the bucket", func() bool {
		lines = archived(t, s.Bucket+"/archive")
		return len(lines) == orders
	})
	for line, n := range lines {
		if n != 1 {
			t.Errorf("%s is there %d times", line, n)
		}
	}
	s.Await("s3.object.created.put")
	s.SluiceEventually("\nconserved: ", "audit")
}

var key = regexp.MustCompile(`<Key>([^<]+)</Key>`)

// archived returns how often each line stands in the objects of a bucket.
func archived(t *testing.T, bucket string) map[string]int {
	t.Helper()
	lines := map[string]int{}
	for _, found := range key.FindAllStringSubmatch(get(t, bucket+"?list-type=2"), -1) {
		for line := range strings.Lines(get(t, bucket+"/"+found[1])) {
			lines[line]++
		}
	}
	return lines
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
