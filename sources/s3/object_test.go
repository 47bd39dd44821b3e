package s3

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var moment = time.Date(2026, 11, 23, 7, 0, 0, 123456789, time.UTC)

func TestEvent(t *testing.T) {
	e, err := newObject("in/a b.jpg", `"abc-2"`, "", 7, moment.In(time.FixedZone("x", 3600))).event(bucket, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range [][3]string{
		{"id", e.ID, "photos/in/a b.jpg/abc-2-1795417200123"},
		{"source", e.Source, "s3://photos"},
		{"type", e.Type, "s3.object.created.complete-multipart-upload"},
		{"subject", e.Subject, "in/a b.jpg"},
		{"partitionkey", e.Extensions["partitionkey"].(string), "in/a b.jpg"},
		{"content type", e.DataContentType, "application/json"},
		{"time", e.Time.Format(time.RFC3339Nano), "2026-11-23T07:00:00.123Z"},
		{"data", string(e.Data), `{"bucket":"photos","key":"in/a b.jpg","size":7,"etag":"abc-2","last_modified":"2026-11-23T07:00:00.123Z"}`},
	} {
		if check[1] != check[2] {
			t.Errorf("%s is %s, want %s", check[0], check[1], check[2])
		}
	}
}

func TestEventOfAVersion(t *testing.T) {
	e, err := newObject("a&b%\n", "abc", "v1", 0, moment).event(bucket, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e.ID != "photos/a&b%25%0A/v1" || e.Subject != "a&b%25%0A" || e.Type != TypePut {
		t.Errorf("id %q, subject %q, type %s", e.ID, e.Subject, e.Type)
	}
	want := `{"bucket":"photos","key":"a&b%\n","size":0,"etag":"abc","version_id":"v1","last_modified":"2026-11-23T07:00:00.123Z"}`
	if string(e.Data) != want {
		t.Errorf("data %s, want %s", e.Data, want)
	}
}

func TestIdentityTellsUploadsApart(t *testing.T) {
	base := newObject("k", "e", "", 1, moment)
	same := []object{
		newObject("k", `"e"`, "null", 1, moment.Truncate(time.Millisecond)),
		newObject("k", "e", "", 2, moment), // the size follows from the etag
	}
	for _, o := range same {
		if o.identity() != base.identity() {
			t.Errorf("%+v is taken for another upload", o)
		}
	}
	others := []object{
		newObject("k2", "e", "", 1, moment),
		newObject("k", "e2", "", 1, moment),
		newObject("k", "e", "v", 1, moment),
		newObject("k", "e", "", 1, moment.Add(time.Millisecond)),
	}
	for _, o := range others {
		if o.identity() == base.identity() {
			t.Errorf("%+v is taken for the same upload", o)
		}
	}
	v := newObject("k", "e", "v", 1, moment)
	if v.identity() != newObject("k", "e3", "v", 1, moment.Add(time.Hour)).identity() {
		t.Error("a version is identified by more than its id")
	}
}

func TestEscapeIsReversibleAndClean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		if (escape(a) == escape(b)) != (a == b) {
			t.Errorf("%q and %q become %q and %q", a, b, escape(a), escape(b))
		}
		for _, text := range []string{escape(a), attribute(a)} {
			if strings.ContainsFunc(text, forbidden) {
				t.Errorf("%q becomes %q", a, text)
			}
		}
	})
}

func TestDataHoldsEveryKeyExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.String().Filter(utf8.ValidString).Draw(t, "key")
		e, err := newObject(key, "e", "", 1, moment).event(bucket, nil)
		if err != nil {
			t.Fatal(err)
		}
		var data payload
		if err := json.Unmarshal(e.Data, &data); err != nil || data.Key != key {
			t.Errorf("%q became %q, %v", key, data.Key, err)
		}
	})
}
