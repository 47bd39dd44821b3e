package http

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/valyala/fasthttp"

	"sluice/config"
	"sluice/sinks"
)

// Sign says how requests are signed.
type Sign struct {
	StandardWebhooks *StandardWebhooks `yaml:"standard_webhooks"`
}

// StandardWebhooks signs as the Standard Webhooks specification says: the id,
// the time and the body, with HMAC-SHA256.
type StandardWebhooks struct {
	// Secret is one secret, or several while they are rotated: each gives a
	// signature, and the worker is content with any.
	Secret config.Secrets `yaml:"secret"`
}

const (
	secretPrefix = "whsec_"
	// The bytes that the specification allows a secret to have.
	minSecret, maxSecret = 24, 64
	// maxSecrets is how many signatures fit well into a header.
	maxSecrets = 10
)

func (s Sign) validate() error {
	if s.StandardWebhooks == nil {
		return nil
	}
	const key = "sign.standard_webhooks.secret"
	secrets := s.StandardWebhooks.Secret
	switch {
	case len(secrets) == 0:
		return config.Invalid(key, "it is missing; write whsec_ and the base64 of %d to %d random bytes", minSecret, maxSecret)
	case len(secrets) > maxSecrets:
		return config.Invalid(key, "found %d secrets; write at most %d", len(secrets), maxSecrets)
	}
	problems := make([]error, 0, len(secrets))
	for i, secret := range secrets {
		at := key
		if len(secrets) > 1 {
			at += fmt.Sprintf("[%d]", i)
		}
		problems = append(problems, checkSecret(at, secret.Reveal()))
	}
	return errors.Join(problems...)
}

// checkSecret names no part of the secret.
func checkSecret(key, secret string) error {
	encoded, found := strings.CutPrefix(secret, secretPrefix)
	if !found {
		return config.Invalid(key, "it does not begin with %s; write that and the base64 of %d to %d random bytes", secretPrefix, minSecret, maxSecret)
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil:
		return config.Invalid(key, "what follows %s is no base64", secretPrefix)
	case len(decoded) < minSecret || len(decoded) > maxSecret:
		return config.Invalid(key, "it has %d bytes; use %d to %d", len(decoded), minSecret, maxSecret)
	}
	return nil
}

// A signer signs requests; one without keys signs nothing.
type signer []*standardwebhooks.Webhook

// signer returns the signer of a valid section.
func (s Sign) signer() (signer, error) {
	if s.StandardWebhooks == nil {
		return nil, nil
	}
	keys := make(signer, 0, len(s.StandardWebhooks.Secret))
	for _, secret := range s.StandardWebhooks.Secret {
		key, err := standardwebhooks.NewWebhook(secret.Reveal())
		if err != nil {
			return nil, config.Invalid("sign.standard_webhooks.secret", "it cannot be used as a key")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// sign adds the three headers for a request whose body is complete.
func (s signer) sign(req *fasthttp.Request, id string, now time.Time) error {
	if len(s) == 0 {
		return nil
	}
	signatures := make([]string, len(s))
	for i, key := range s {
		var err error
		if signatures[i], err = key.Sign(id, now, req.Body()); err != nil {
			return fmt.Errorf("sign the request: %w", err)
		}
	}
	h := &req.Header
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}

// webhookID is what a worker recognises a repeated request by: the delivery's
// id. A batch of several has the hash of theirs, so that another batch which
// has some of them in common is not taken for the same.
func webhookID(deliveries []sinks.Delivery) string {
	if len(deliveries) == 1 {
		return deliveries[0].ID
	}
	hash := sha256.New()
	for i := range deliveries {
		_, _ = fmt.Fprintln(hash, deliveries[i].ID)
	}
	return "batch_" + hex.EncodeToString(hash.Sum(nil)[:16])
}
