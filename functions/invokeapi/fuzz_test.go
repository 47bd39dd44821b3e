package invokeapi

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzParseSignature: what is taken has all its parts, and is not taken twice in
// different ways.
func FuzzParseSignature(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKID/20260301/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0a", 32))
	f.Add("AWS4-HMAC-SHA256 Credential=/////,SignedHeaders=;,Signature=")
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, text string) {
		sig, failed := parseSignature(text)
		if failed != nil {
			if failed.status != http.StatusForbidden || failed.message == "" {
				t.Errorf("%q: %+v", text, failed)
			}
			return
		}
		if sig.accessKey == "" || sig.date == "" || sig.region == "" || sig.service == "" || len(sig.headers) == 0 || len(sig.value) != 32 {
			t.Errorf("%q is taken as %+v", text, sig)
		}
		sig.within("20260301T120000Z", time.Now(), time.Minute)
		sig.covers(http.Header{"X-Amz-Date": {"20260301T120000Z"}})
	})
}

// FuzzParseTarget: a name that is taken is one that a function may have.
func FuzzParseTarget(f *testing.F) {
	f.Add("/2015-03-31/functions/thumb/invocations", "")
	f.Add("/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Athumb%3A$LATEST/invocations", "$LATEST")
	f.Add("/2015-03-31/functions/..%2F..%2Fx/invocations", "1")
	f.Fuzz(func(t *testing.T, path, qualifier string) {
		got, failed := parseTarget(path, qualifier)
		if failed == nil && (got.name == "" || len(got.name) > 64 || strings.ContainsAny(got.name, "/.:%\x00 ") || got.qualifier == "" && qualifier != "") {
			t.Errorf("%q %q is taken as %+v", path, qualifier, got)
		}
	})
}
