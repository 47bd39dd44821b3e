//go:build integration

package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/examples/internal/exampletest"
	"sluice/integration/debian"
)

// TestTheStory does what the README tells to do.
func TestTheStory(t *testing.T) {
	debian.Node(t)
	debian.Python(t)
	s := exampletest.Raise(t)
	put := func(key, body string) {
		s.Ask(http.StatusOK, http.MethodPut, s.Bucket+"/photos/"+key, strings.NewReader(body))
	}
	put("my%20holiday/s%40.png", picture(t))
	for _, runtime := range []string{"go", "node", "python"} {
		s.Await("s@.png → with-" + runtime + "  ✓ delivered  200")
		s.Await("thumbnail-" + runtime + " │ ")
		checkThumbnail(t, s.Bucket+"/thumbs/"+runtime+"/my%20holiday/s%40.png")
		s.SluiceEventually("a thumbnail of my holiday/s@.png", "logs", "thumbnail-"+runtime)
		s.SluiceEventually("thumbnail-"+runtime, "usage")
	}
	put("notes.txt", "hi")
	s.Await("notes.txt → no trigger wants it")
	put("broken.png", "oops")
	for _, runtime := range []string{"go", "node", "python"} {
		s.Await("broken.png → with-" + runtime + "  ✗ attempt 3 failed, the last one (exhausted)")
		s.Await("broken.png → with-" + runtime + "  ✗ dead: sluice dlq show ")
	}
	letters := s.Sluice("this is no PNG", "dlq", "list")
	for _, want := range []string{"image: unknown format", "TypeError", "ValueError"} {
		if !strings.Contains(letters, want) {
			t.Errorf("no letter says %q:\n%s", want, letters)
		}
	}
	s.SluiceEventually("\nconserved: ", "audit")
}

// picture is a PNG whose left half is red and whose right half is blue.
func picture(t *testing.T) string {
	t.Helper()
	all := image.NewNRGBA(image.Rect(0, 0, 200, 100))
	for y := range 100 {
		for x := range 200 {
			all.Set(x, y, red)
			if x >= 100 {
				all.Set(x, y, blue)
			}
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, all); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var (
	red  = color.NRGBA{R: 200, G: 10, B: 20, A: 255}
	blue = color.NRGBA{R: 10, G: 20, B: 200, A: 200}
)

// checkThumbnail looks at a pixel of each half.
func checkThumbnail(t *testing.T, url string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
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
	small, err := png.Decode(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("GET %s: %s: %v: %.200q", url, answer.Status, err, body)
	}
	if small.Bounds() != image.Rect(0, 0, 64, 64) || small.At(5, 60) != red || small.At(60, 5) != blue {
		t.Errorf("%s has the size %v, and the colours %v and %v", url, small.Bounds(), small.At(5, 60), small.At(60, 5))
	}
}
