package s3

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"sluice/connect/s3conn"
	sourcehttp "sluice/sources/http"
)

// awsRecord is a record as S3 documents it.
const awsRecord = `{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-central-1","eventTime":"2026-11-23T07:00:00.000Z",` +
	`"eventName":"ObjectCreated:Put","s3":{"s3SchemaVersion":"1.0","configurationId":"x","bucket":{"name":"photos","arn":"arn:aws:s3:::photos"},` +
	`"object":{"key":"in/a+b%40c.jpg","size":1,"eTag":"e","versionId":"v","sequencer":"0055AED6DCD90281E5"}}}`

// minioRemoval is what MinIO's webhook sends.
const minioRemoval = `{"EventName":"s3:ObjectRemoved:Delete","Key":"photos/in/x.jpg","Records":[{"eventVersion":"2.0","eventSource":"minio:s3",` +
	`"awsRegion":"","eventTime":"2026-11-23T07:00:00.000Z","eventName":"s3:ObjectRemoved:Delete","s3":{"s3SchemaVersion":"1.0",` +
	`"bucket":{"name":"photos","arn":"arn:aws:s3:::photos"},"object":{"key":"in%2Fx.jpg","sequencer":"18ABCDEF01234567"}}}]}`

// testNotification is what S3 sends when notifications are set up.
const testNotification = `{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-23T07:00:00.000Z","Bucket":"photos","RequestId":"5582","HostId":"8cL"}`

func replaced(old, with string) string {
	return `{"Records":[` + strings.Replace(awsRecord, old, with, 1) + `]}`
}

func TestParsePush(t *testing.T) {
	created := hint{key: "in/a b@c.jpg", name: "ObjectCreated:Put", sequencer: "0055AED6DCD90281E5"}
	removed := hint{key: "in/x.jpg", name: "ObjectRemoved:Delete", sequencer: "18ABCDEF01234567"}
	cases := []struct {
		name, body string
		want       []hint
		problem    string
	}{
		{"S3", `{"Records":[` + awsRecord + `]}`, []hint{created}, ""},
		{"several", `{"Records":[` + awsRecord + "," + awsRecord + `]}`, []hint{created, created}, ""},
		{"MinIO", minioRemoval, []hint{removed}, ""},
		{"test", testNotification, nil, ""},
		{"nothing", "", nil, ""},
		{"no records", `{"Records":[]}`, nil, ""},
		{"tags", replaced("ObjectCreated:Put", "ObjectTagging:Put"), nil, ""},
		{"MinIO's tags", replaced("ObjectCreated:Put", "ObjectCreated:PutTagging"), nil, ""},
		{"expired", replaced("ObjectCreated:Put", "LifecycleExpiration:Delete"), []hint{{created.key, "LifecycleExpiration:Delete", created.sequencer}}, ""},
		{"no JSON", "hello", nil, "the body is not the JSON of notifications: invalid character 'h' looking for beginning of value"},
		{"cut off", `{"Records":[`, nil, "the body is not the JSON of notifications: unexpected end of JSON input"},
		{"another document", `{"hello":1}`, nil, "the body has no Records: send the notifications of S3 or MinIO as they come"},
		{"another version", replaced(`"2.1"`, `"3.0"`), nil, `Records[0].eventVersion: "3.0" is not known, only 2.x`},
		{"no name", replaced("ObjectCreated:Put", ""), nil, "Records[0].eventName: it is missing"},
		{"another bucket", replaced(`"photos"`, `"other"`), nil, `Records[0].s3.bucket.name: notifications of bucket "other" do not belong here, only those of "photos"`},
		{"no key", replaced("in/a+b%40c.jpg", ""), nil, "Records[0].s3.object.key: it is missing"},
		{"bad key", replaced("in/a+b%40c.jpg", "a%4"), nil, `Records[0].s3.object.key: "a%4" is not encoded like a form: invalid URL escape "%4"`},
		{"no text", replaced("in/a+b%40c.jpg", "a%FF"), nil, `Records[0].s3.object.key: "a\xff" is not UTF-8`},
		{"long key", replaced("in/a+b%40c.jpg", strings.Repeat("k", 1025)), nil, "Records[0].s3.object.key: it is 1025 bytes long, but keys have at most 1024"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parsePush(bucket, []byte(tc.body))
			if !slices.Equal(got, tc.want) {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
			if (err != nil || tc.problem != "") && fmt.Sprint(err) != tc.problem {
				t.Errorf("%v, want %s", err, tc.problem)
			}
		})
	}
}

func TestSequencers(t *testing.T) {
	s := sequencers{}
	hint := func(sequencer, name string) hint { return hint{key: "k", name: name, sequencer: sequencer} }
	s.note(hint("18AB", "put"))
	for _, tc := range []struct {
		sequencer, name string
		want            bool
	}{
		{"18AB", "put", true},
		{"18ab00", "put", true}, // padded on the right
		{"18AB", "delete", false},
		{"18AAFF", "delete", true}, // before
		{"18AB01", "put", false},   // after
		{"2", "put", false},
		{"", "put", false},
	} {
		if got := s.accounted(hint(tc.sequencer, tc.name)); got != tc.want {
			t.Errorf("%s %q: %v, want %v", tc.name, tc.sequencer, got, tc.want)
		}
	}
	s.note(hint("18AA", "put")) // an earlier one that comes late
	if s["k"].sequencer != "18AB" {
		t.Errorf("the last one is %+v", s["k"])
	}
	for i := range 2 * maxSequencers {
		h := hint("1", "put")
		h.key = strconv.Itoa(i)
		s.note(h)
	}
	if len(s) > maxSequencers {
		t.Errorf("%d are kept", len(s))
	}
}

func TestSequencersAreOrdered(t *testing.T) {
	text := rapid.StringMatching(`[0-9A-Fa-f]{0,24}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := text.Draw(t, "a"), text.Draw(t, "b"), text.Draw(t, "c")
		if compareSequencers(a, b) != -compareSequencers(b, a) || compareSequencers(a, a+"00") != 0 {
			t.Errorf("%q and %q: %d", a, b, compareSequencers(a, b))
		}
		if compareSequencers(a, b) <= 0 && compareSequencers(b, c) <= 0 && compareSequencers(a, c) > 0 {
			t.Errorf("%q, %q, %q are not in order", a, b, c)
		}
	})
}

func FuzzPush(f *testing.F) {
	f.Add([]byte(`{"Records":[` + awsRecord + `]}`))
	f.Add([]byte(minioRemoval))
	f.Add([]byte(testNotification))
	f.Add([]byte(`{"Records":[{"eventVersion":"2.1"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		hints, err := parsePush(bucket, body)
		var malformed *sourcehttp.MalformedError
		if err != nil && (!errors.As(err, &malformed) || len(hints) > 0) {
			t.Errorf("%v with %d hints", err, len(hints))
		}
		for _, h := range hints {
			if h.key == "" || len(h.key) > s3conn.MaxKey || !utf8.ValidString(h.key) || !changesContent(h.name) {
				t.Errorf("%+v", h)
			}
		}
	})
}
