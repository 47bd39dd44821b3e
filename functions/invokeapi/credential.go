package invokeapi

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	dateForm  = "20060102T150405Z"
	// maxAuthorization bounds the header that holds a signature.
	maxAuthorization = 4 << 10
)

// A signature is what an Authorization header says.
type signature struct {
	accessKey, date, region, service string
	headers                          []string // signed ones, in lower case, sorted
	value                            []byte
}

// parseSignature reads an Authorization header, as in "Create a signed AWS API
// request", step 5.
func parseSignature(text string) (signature, *failure) {
	rest, ok := strings.CutPrefix(text, algorithm+" ")
	if !ok || len(text) > maxAuthorization {
		return signature{}, incomplete("sign the request with Signature Version 4: Authorization: " + algorithm + " Credential=…, SignedHeaders=…, Signature=…")
	}
	var credential, headers, value string
	for part := range strings.SplitSeq(rest, ",") {
		key, content, _ := strings.Cut(strings.TrimSpace(part), "=")
		into := map[string]*string{"Credential": &credential, "SignedHeaders": &headers, "Signature": &value}[key]
		if into == nil || *into != "" || content == "" {
			return signature{}, incomplete("the Authorization header has Credential, SignedHeaders and Signature, once each")
		}
		*into = content
	}
	sig := signature{headers: strings.Split(headers, ";")}
	var err error
	if sig.value, err = hex.DecodeString(value); err != nil || len(sig.value) != 32 {
		return signature{}, incomplete("Signature is 64 hexadecimal digits")
	}
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || slices.Contains(scope, "") || scope[4] != "aws4_request" {
		return signature{}, incomplete("Credential is ACCESS_KEY/YYYYMMDD/REGION/lambda/aws4_request")
	}
	sig.accessKey, sig.date, sig.region, sig.service = scope[0], scope[1], scope[2], scope[3]
	if !slices.IsSorted(sig.headers) || slices.ContainsFunc(sig.headers, func(name string) bool { return name == "" || name != strings.ToLower(name) }) {
		return signature{}, incomplete("SignedHeaders are the names of headers in lower case, sorted")
	}
	return sig, nil
}

func incomplete(message string) *failure {
	return forbidden("IncompleteSignatureException", "%s", message)
}

// covers returns a failure when something that the API reads is not signed.
func (s *signature) covers(header http.Header) *failure {
	for _, name := range []string{"host", "x-amz-date"} {
		if !slices.Contains(s.headers, name) {
			return invalidSignature("%s must be among the SignedHeaders.", name)
		}
	}
	for name := range header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") && !slices.Contains(s.headers, lower) {
			return invalidSignature("%.100q must be among the SignedHeaders.", lower)
		}
	}
	return nil
}

// within returns the time of a request, or a failure when it is not of now.
func (s *signature) within(date string, now time.Time, window time.Duration) (time.Time, *failure) {
	at, err := time.Parse(dateForm, date)
	switch {
	case err != nil:
		return at, incomplete("X-Amz-Date is the time of the request, such as 20260301T120000Z")
	case at.Format("20060102") != s.date:
		return at, invalidSignature("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: %.40q.", date)
	case s.service != "lambda":
		return at, invalidSignature("Credential should be scoped to correct service: 'lambda'.")
	case now.Sub(at) > window:
		return at, invalidSignature("Signature expired: %s is now earlier than %s.", date, now.UTC().Add(-window).Format(dateForm))
	case at.Sub(now) > window:
		return at, invalidSignature("Signature not yet current: %s is still later than %s.", date, now.UTC().Add(window).Format(dateForm))
	}
	return at, nil
}

func invalidSignature(format string, args ...any) *failure {
	return forbidden("InvalidSignatureException", format, args...)
}
