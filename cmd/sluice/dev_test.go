package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/integration/freeport"
)

// TestDev puts a file into the bucket that sluice dev brings, and changes the
// configuration while it runs.
func TestDev(t *testing.T) {
	endpoint := freeport.Address(t)
	in := install(t, "dev", func(text string) string {
		return strings.Replace(text, "sources:", "sources:\n  uploads: {s3: {endpoint: \"http://"+endpoint+"\", bucket: photos, suffix: .jpg}}", 1)
	})
	in.eventually("the banner", func() bool { return strings.Contains(in.out.String(), "Stop with Ctrl-C") })
	for _, want := range []string{
		"uploads  objects in http://" + endpoint + "/photos/….jpg\n",
		"orders   POST http://" + in.ingest + "/orders\n",
		"curl -X PUT -d hello http://" + endpoint + "/photos/hello.jpg\n",
		"sluice send orders -c " + in.path + " --server " + in.server + ` --data '{"hello":"world"}' --wait`,
	} {
		if !strings.Contains(in.out.String(), want) {
			t.Errorf("the banner lacks %q:\n%s", want, in.out.String())
		}
	}
	put(t, "http://"+endpoint+"/photos/a.jpg")
	in.eventually("nobody wants it", func() bool {
		return strings.Contains(in.out.String(), "uploads ─ s3.object.created.put  a.jpg → no trigger wants it;  why: sluice event --by id photos/a.jpg/")
	})
	text, err := os.ReadFile(in.path)
	if err != nil {
		t.Fatal(err)
	}
	in.write(string(text) + "  pictures: {on: uploads, to: wrk}\n")
	in.eventually("the mistake is shown", func() bool {
		return strings.Contains(in.out.String(), "has 1 problem; the old configuration goes on:") && strings.Contains(in.out.String(), `"work"`)
	})
	in.write(string(text) + "  pictures: {on: uploads, to: work}\n")
	in.eventually("it is taken over", func() bool { return strings.Contains(in.out.String(), "taken over; triggers: added pictures") })
	put(t, "http://"+endpoint+"/photos/b.jpg")
	in.eventually("it is delivered", func() bool {
		return strings.Contains(in.out.String(), "s3.object.created.put  b.jpg → pictures  ✓ delivered  200  ")
	})
	in.send("--type", "bad")
	in.eventually("its end is shown", func() bool {
		out := in.out.String()
		return strings.Contains(out, "↻ attempt 1 failed  503") && strings.Contains(out, "✗ attempt 2 failed, the last one (exhausted)  503") &&
			strings.Contains(out, "✗ dead: sluice dlq show ")
	})
	if strings.Contains(in.out.String(), "\x1b") {
		t.Error("a control character of a worker's answer is printed as it is")
	}
	folder := filepath.Join(filepath.Dir(in.path), "data", "s3-"+endpoint[strings.LastIndex(endpoint, ":")+1:], "photos", "b.jpg")
	if _, err := os.Stat(folder); err != nil {
		t.Errorf("the bucket is no folder: %v", err)
	}
	if code := in.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func put(t *testing.T, url string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("PUT %s: status %d", url, answer.StatusCode)
	}
}
