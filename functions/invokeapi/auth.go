package invokeapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// window is how far the time of a request may be from now.
const window = 5 * time.Minute

// A Key is one who may invoke functions.
type Key struct {
	AccessKey, SecretKey string
	// Functions are the names of those that may be invoked.
	Functions []string
}

// A claim is a signature whose body is still to come.
type claim struct {
	signature

	key *Key
	at  time.Time
}

// claimed reads who wants to do something, and checks what can be checked
// without the body: so nobody without the name of a key has a body read.
func (a *API) claimed(r *http.Request) (*claim, *failure) {
	values := r.Header["Authorization"]
	if len(values) != 1 {
		if r.URL.Query().Has("X-Amz-Signature") {
			return nil, incomplete("presigned URLs are not taken: sign the request in its Authorization header")
		}
		return nil, forbidden("MissingAuthenticationTokenException", "Missing Authentication Token: sign the request with Signature Version 4")
	}
	sig, failed := parseSignature(values[0])
	if failed != nil {
		return nil, failed
	}
	if failed := sig.covers(r.Header); failed != nil {
		return nil, failed
	}
	at, failed := sig.within(r.Header.Get("X-Amz-Date"), a.options.Now(), window)
	if failed != nil {
		return nil, failed
	}
	key := a.keys.Load().find(sig.accessKey)
	if key == nil {
		return nil, forbidden("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	return &claim{signature: sig, key: key, at: at}, nil
}

// holds returns a failure unless the signature is the one that the key's owner
// makes of the request with this body: it is made again, by the SDK's own signer,
// of what it says to cover.
func (c *claim) holds(ctx context.Context, r *http.Request, body []byte) *failure {
	hash := sha256.Sum256(body)
	digest := hex.EncodeToString(hash[:])
	if said := r.Header.Get("X-Amz-Content-Sha256"); said != "" && said != digest {
		return invalidSignature("The value of x-amz-content-sha256 is not the SHA-256 of the body.")
	}
	again, err := c.resign(ctx, r, digest, int64(len(body)))
	if err != nil || !slices.Equal(again.headers, c.headers) || subtle.ConstantTimeCompare(again.value, c.value) != 1 {
		return invalidSignature("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}

func (c *claim) resign(ctx context.Context, r *http.Request, digest string, length int64) (signature, error) {
	signed := &http.Request{
		Method: r.Method, Host: r.Host, Header: http.Header{},
		URL: &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
	}
	for _, name := range c.headers {
		switch name {
		case "host":
		case "content-length":
			signed.ContentLength = length
		default:
			name = http.CanonicalHeaderKey(name)
			signed.Header[name] = slices.Clone(r.Header[name])
		}
	}
	credentials := aws.Credentials{AccessKeyID: c.key.AccessKey, SecretAccessKey: c.key.SecretKey}
	// The signer caches keys that it has derived: a new one holds no key that was
	// taken out of the file.
	if err := v4.NewSigner().SignHTTP(ctx, credentials, signed, digest, c.service, c.region, c.at); err != nil {
		return signature{}, err
	}
	again, failed := parseSignature(signed.Header.Get("Authorization"))
	if failed != nil {
		return signature{}, errNotSigned
	}
	return again, nil
}

// may returns a failure when a key does not name the function.
func (c *claim) may(name, arn string) *failure {
	if slices.Contains(c.key.Functions, name) {
		return nil
	}
	return forbidden("AccessDeniedException", "User: %s is not authorized to perform: lambda:InvokeFunction on resource: %s because no identity-based policy allows the lambda:InvokeFunction action", c.key.AccessKey, arn)
}

// keys are those that are taken at the moment, by access key.
type keys map[string]*Key

func (k *keys) find(accessKey string) *Key { return (*k)[accessKey] }
