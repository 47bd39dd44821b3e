package s3_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/event"
	"sluice/sinks"
	sinks3 "sluice/sinks/s3"
)

func line(n int) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"o-%d","source":"/shop","type":"order.created","subject":"%d","time":"2026-03-01T%02d:00:00Z",`+
		`"datacontenttype":"application/json","sluiceattempt":2,"sluicedelivery":"inc.%d.keep","data":{"order":%d}}`+"\n", n, n%2, n, n, n)
}

// TestObjects checks the bytes, the names and the headers of objects.
func TestObjects(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*sinks3.Config)
		want   []object
	}{
		{"events", func(c *sinks3.Config) { c.Key = "all/{{ .sluicebatch }}.jsonl" }, []object{
			{
				key: "all/8ce61c070d639dc70c893bebfab5cc24.jsonl", text: line(1) + line(2), contentType: "application/x-ndjson",
				metadata: map[string]string{"Sluice-Trigger": "keep", "Sluice-Events": "2"},
			},
		}},
		{"data by subject, gzip", func(c *sinks3.Config) {
			c.Key, c.Format, c.Compression = `{{ .subject }}/{{ .time[:7] | gsub("-"; "/") }}/{{ .sluicetrigger }}-{{ .sluicebatch[:4] }}.gz`, sinks3.Data, sinks3.Gzip
			c.Metadata = map[string]string{"Shop": "{{ .source }} é"}
		}, []object{
			{
				key: "0/2026/03/keep-66b2.gz", text: "{\"order\":2}\n", contentType: "application/x-ndjson", encoding: "gzip",
				metadata: map[string]string{"Shop": "/shop é", "Sluice-Trigger": "keep", "Sluice-Events": "1"},
			},
			{
				key: "1/2026/03/keep-3fe8.gz", text: "{\"order\":1}\n", contentType: "application/x-ndjson", encoding: "gzip",
				metadata: map[string]string{"Shop": "/shop é", "Sluice-Trigger": "keep", "Sluice-Events": "1"},
			},
		}},
		{"raw, zstd", func(c *sinks3.Config) { c.Format, c.Compression = sinks3.Raw, sinks3.Zstd }, []object{
			{
				key: "keep/2026-03-01/inc.1.keep.zst", text: "{\"order\":\n1}", contentType: "application/json", encoding: "zstd",
				metadata: map[string]string{"Sluice-Trigger": "keep", "Sluice-Delivery": "inc.1.keep", "Sluice-Attempt": "2"},
			},
			{
				key: "keep/2026-03-01/inc.2.keep.zst", text: "{\"order\":\n2}", contentType: "application/json", encoding: "zstd",
				metadata: map[string]string{"Sluice-Trigger": "keep", "Sluice-Delivery": "inc.2.keep", "Sluice-Attempt": "2"},
			},
		}},
		{"the last of a key remains", func(c *sinks3.Config) { c.Format, c.Key = sinks3.Raw, "latest/{{ .source[1:] }}" }, []object{
			{
				key: "latest/shop", text: "{\"order\":\n2}", contentType: "application/json",
				metadata: map[string]string{"Sluice-Trigger": "keep", "Sluice-Delivery": "inc.2.keep", "Sluice-Attempt": "2"},
			},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t)
			sink := s.build(t, c.change)
			for range 2 { // a repeat overwrites
				if err := deliver(t, sink, batch(1, 2)); err != nil {
					t.Fatal(err)
				}
			}
			var got []object
			stored := s.objects(t)
			for _, key := range slices.Sorted(maps.Keys(stored)) {
				got = append(got, stored[key])
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(object{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRawOfAnyKind keeps bytes and content types as they are, and none at all.
func TestRawOfAnyKind(t *testing.T) {
	s := serve(t)
	sink := s.build(t, func(c *sinks3.Config) { c.Format, c.Key = sinks3.Raw, "{{ .id }}" })
	a := batch(1, 2)
	a.Deliveries[0].Event.Data, a.Deliveries[0].Event.DataContentType = []byte{0, 0xff, '\n'}, "image/png"
	a.Deliveries[1].Event.Data, a.Deliveries[1].Event.DataContentType = nil, ""
	if err := deliver(t, sink, a); err != nil {
		t.Fatal(err)
	}
	stored := s.objects(t)
	if o := stored["o-1"]; o.text != "\x00\xff\n" || o.contentType != "image/png" || o.encoding != "" {
		t.Errorf("stored as %+v", o)
	}
	if o := stored["o-2"]; o.text != "" || o.contentType != "application/octet-stream" {
		t.Errorf("stored as %+v", o)
	}
}

// TestDefaultKey has a folder for the day of the event.
func TestDefaultKey(t *testing.T) {
	s := serve(t)
	sink := s.build(t, func(c *sinks3.Config) { c.Compression = sinks3.Gzip })
	a := batch(1, 2)
	a.Deliveries[1].Event = &event.Event{ID: "x", Source: "/x", Type: "x"}
	if err := deliver(t, sink, a); err != nil {
		t.Fatal(err)
	}
	keys := slices.Sorted(maps.Keys(s.objects(t)))
	want := regexp.MustCompile(`^keep/2026-03-01/[0-9a-f]{32}\.jsonl\.gz keep/undated/[0-9a-f]{32}\.jsonl\.gz$`)
	if !want.MatchString(strings.Join(keys, " ")) {
		t.Errorf("stored %q", keys)
	}
}

// large returns an attempt whose object has about n MiB.
func large(n int) sinks.Attempt {
	a := batch()
	for i := range n {
		e := order(i)
		e.Time, e.DataContentType, e.Data = order(0).Time, "text/plain", bytes.Repeat([]byte{byte('a' + i%26)}, 1<<20)
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: fmt.Sprintf("inc.%d.keep", i), Attempt: 1, Event: e})
	}
	return a
}

// TestLargeObject goes in parts, and holds everything.
func TestLargeObject(t *testing.T) {
	s := serve(t)
	sink := s.build(t, func(c *sinks3.Config) { c.Key, c.Format = "{{ .sluicebatch }}", sinks3.Data })
	if err := deliver(t, sink, large(10)); err != nil {
		t.Fatal(err)
	}
	parts := 0
	for _, request := range s.seen() {
		if strings.Contains(request, "partNumber=") {
			parts++
		}
	}
	if parts != 2 {
		t.Errorf("sent in %d parts", parts)
	}
	for _, o := range s.objects(t) {
		lines := strings.Split(strings.TrimSuffix(o.text, "\n"), "\n")
		if len(lines) != 10 || o.contentType != "application/x-ndjson" || o.metadata["Sluice-Events"] != "10" {
			t.Fatalf("%d lines as %q with %v", len(lines), o.contentType, o.metadata)
		}
		for i, line := range lines {
			if want := `"` + strings.Repeat(string(rune('a'+i%26)), 1<<20) + `"`; line != want {
				t.Errorf("line %d begins with %q", i, line[:20])
			}
		}
	}
}

// TestLargeObjectFails leaves nothing when a part is refused.
func TestLargeObjectFails(t *testing.T) {
	s := serve(t)
	sink := s.build(t, nil)
	s.answer(func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Query().Get("partNumber") == "2" && refuse(w, http.StatusServiceUnavailable, "SlowDown")
	})
	err := deliver(t, sink, large(18))
	if _, ok := errors.AsType[*sinks.ThrottledError](err); !ok {
		t.Errorf("got %v", err)
	}
	s.answer(nil)
	if stored := s.objects(t); len(stored) != 0 {
		t.Errorf("stored %d objects", len(stored))
	}
	aborted := slices.ContainsFunc(s.seen(), func(r string) bool { return strings.HasPrefix(r, "DELETE ") && strings.Contains(r, "uploadId=") })
	if !aborted {
		t.Error("the parts were left behind")
	}
}

func refuse(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>The message.</Message></Error>`, code)
	return true
}

// TestErrors checks what answers of servers mean, and that no secret is in what
// they say.
func TestErrors(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		status    int
		code      string
		want      string
		permanent bool
		throttled bool
	}{
		{404, "NoSuchBucket", `bucket "archive" does not exist at ` + s.URL + ": create it, or correct bucket", false, false},
		{403, "AccessDenied", `the access key may not write to bucket "archive": grant it s3:PutObject`, false, false},
		{403, "InvalidAccessKeyId", s.URL + " refuses the credentials: check access_key and secret_key", false, false},
		{403, "SignatureDoesNotMatch", "check access_key and secret_key", false, false},
		{403, "RequestTimeTooSkewed", "set them", false, false},
		{301, "PermanentRedirect", "is in another region", false, false},
		{503, "SlowDown", "has no room at the moment", false, true},
		{429, "Whatever", "has no room at the moment", false, true},
		{503, "ServiceUnavailable", "cannot be written to", false, false},
		{500, "InternalError", "cannot be written to", false, false},
		{400, "EntityTooLarge", "the object is larger than", true, false},
		{400, "MetadataTooLarge", "metadata: it is more than", true, false},
		{400, "KeyTooLongError", "key: ", true, false},
		{400, "InvalidStorageClass", `does not know the storage class "COLD"`, false, false},
		{507, "XMinioStorageFull", "is full: make room there", false, false},
	} {
		t.Run(c.code, func(t *testing.T) {
			sink := s.build(t, func(c *sinks3.Config) { c.StorageClass = "COLD" })
			s.answer(func(w http.ResponseWriter, r *http.Request) bool { return refuse(w, c.status, c.code) })
			before := len(s.seen())
			err := deliver(t, sink, batch(1, 2))
			if sent := len(s.seen()) - before; sent != 1 {
				t.Errorf("%d requests were sent in one attempt", sent)
			}
			_, throttled := errors.AsType[*sinks.ThrottledError](err)
			if err == nil || !strings.Contains(err.Error(), c.want) || sinks.IsPermanent(err) != c.permanent || throttled != c.throttled {
				t.Errorf("got %v, permanent %v, throttled %v", err, sinks.IsPermanent(err), throttled)
			}
			if err != nil && strings.Contains(err.Error(), "the secret") {
				t.Errorf("the secret is in it: %v", err)
			}
			if _, partial := errors.AsType[*sinks.PartialError](err); partial {
				t.Error("what has failed as one is told one by one")
			}
		})
	}
}

// TestPartial has the deliveries of one object fail, those without a key be
// refused, and the others be stored.
func TestPartial(t *testing.T) {
	s := serve(t)
	sink := s.build(t, func(c *sinks3.Config) { c.Key = "{{ .subject }}/{{ .data.order + 1 }}/{{ .sluicedelivery }}" })
	s.answer(func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/archive/0/") && refuse(w, http.StatusInternalServerError, "InternalError")
	})
	a := batch(1, 2, 3, 4)
	a.Deliveries[2].Event.Data = []byte(`{"order":{}}`)
	err := deliver(t, sink, a)
	partial, ok := errors.AsType[*sinks.PartialError](err)
	if !ok || len(partial.Failed) != 3 || partial.Failed[0] != nil {
		t.Fatalf("got %v", err)
	}
	if e := partial.Failed[2]; !sinks.IsPermanent(e) || !strings.HasPrefix(e.Error(), "key: the expression `.data.order + 1`") {
		t.Errorf("without a key: %v", e)
	}
	if sinks.IsPermanent(partial.Failed[1]) || sinks.IsPermanent(partial.Failed[3]) {
		t.Errorf("those of the server: %v", partial.Failed)
	}
	if keys := slices.Collect(maps.Keys(s.objects(t))); !slices.Equal(keys, []string{"1/2/inc.1.keep"}) {
		t.Errorf("stored %q", keys)
	}
}

// TestKeysThatAreNone are refused before anything is sent.
func TestKeysThatAreNone(t *testing.T) {
	s := serve(t)
	before := len(s.seen())
	for subject, want := range map[string]string{
		"":                        "nothing before, between or after slashes",
		"a//b":                    "nothing before, between or after slashes",
		"..":                      `the segment ".."`,
		"a/./b":                   `the segment "."`,
		"line\nend":               "a control character",
		strings.Repeat("é", 1024): "a name of",
	} {
		sink := s.build(t, func(c *sinks3.Config) { c.Key = "in/{{ .data }}/{{ .sluicebatch }}" })
		a := batch(1)
		a.Deliveries[0].Event.Data, _ = json.Marshal(subject)
		if err := deliver(t, sink, a); !sinks.IsPermanent(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", subject, err, want)
		}
	}
	if after := len(s.seen()); after != before {
		t.Errorf("%d requests were sent", after-before)
	}
}

func TestEgress(t *testing.T) {
	s := serve(t)
	err := deliver(t, s.build(t, func(c *sinks3.Config) { c.Egress = "public" }), batch(1))
	if !sinks.IsPermanent(err) || !strings.Contains(err.Error(), "a loopback address") {
		t.Errorf("got %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	s := serve(t)
	sink := s.build(t, nil)
	s.Close()
	if err := deliver(t, sink, batch(1)); err == nil || sinks.IsPermanent(err) || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("got %v", err)
	}
}

// TestEndsWithItsContext does not wait for a server that is silent.
func TestEndsWithItsContext(t *testing.T) {
	s := serve(t)
	sink := s.build(t, nil)
	arrived, leave := make(chan struct{}, 8), make(chan struct{})
	defer close(leave)
	s.answer(func(http.ResponseWriter, *http.Request) bool {
		arrived <- struct{}{}
		<-leave
		return false
	})
	for _, a := range []sinks.Attempt{batch(1), large(18)} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := sink.Deliver(ctx, a)
			done <- err
		}()
		<-arrived
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || sinks.IsPermanent(err) {
			t.Errorf("got %v", err)
		}
	}
}
