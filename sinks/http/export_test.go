package http

import (
	"time"

	"github.com/valyala/fasthttp"
)

// Signature returns the headers that a section adds to a request.
func Signature(s Sign, id string, at time.Time, body string) (map[string]string, error) {
	keys, err := s.signer()
	if err != nil {
		return nil, err
	}
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	req.SetBodyString(body)
	if err := keys.sign(req, id, at); err != nil {
		return nil, err
	}
	headers := map[string]string{}
	for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
		headers[name] = string(req.Header.Peek(name))
	}
	return headers, nil
}
