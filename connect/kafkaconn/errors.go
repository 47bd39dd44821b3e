package kafkaconn

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A TLSError says that a broker and sluice have not agreed on TLS.
type TLSError struct {
	Broker string
	Err    error
}

func (e *TLSError) Error() string {
	return fmt.Sprintf("TLS with the broker %s: %v (does it speak TLS on this port? see tls)", e.Broker, e.Err)
}
func (e *TLSError) Unwrap() error { return e.Err }

// A TokenError says that the token endpoint gave no token.
type TokenError struct {
	// Endpoint is the token endpoint's URL without its query.
	Endpoint string
	Err      error
}

func (e *TokenError) Error() string { return fmt.Sprintf("no token from %s: %v", e.Endpoint, e.Err) }
func (e *TokenError) Unwrap() error { return e.Err }

// errSASL is all that is known of brokers that give no reason.
var errSASL = errors.New("the brokers close the connection, or do not answer, when sluice says who it is (sasl)")

// Refused tells whether the brokers have refused who sluice says to be, which
// another try will not mend.
func Refused(err error) bool {
	for _, refusal := range []error{kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// Explain says what an error of the client library means for who has written the
// file.
func (c *Cluster) Explain(err error) error {
	var closed *kgo.ErrFirstReadEOF
	failed := c.Failure()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded) && failed != nil:
		return fmt.Errorf("%w: %w", failed, err)
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Errorf("the brokers do not take the mechanism of sasl: %w", err)
	case Refused(err):
		return fmt.Errorf("the brokers refuse who sluice says to be (sasl): %w", err)
	case errors.As(err, &closed):
		return fmt.Errorf("the brokers close the connection at once: they expect %s: %w", c.expected(), err)
	case errors.Is(err, io.EOF) && c.SASL != nil:
		return fmt.Errorf("%w, or are going away: %w", errSASL, err)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return fmt.Errorf("%s is not allowed to: %w", c.who(), err)
	}
	return err
}

// expected guesses what brokers want that close connections without a word.
func (c *Cluster) expected() string {
	switch {
	case c.SASL == nil && c.TLS == nil:
		return "sasl, or tls"
	case c.SASL == nil:
		return "sasl, or no tls"
	}
	return "tls, or none"
}

func (c *Cluster) who() string {
	if c.SASL == nil || c.SASL.User == "" {
		return "sluice"
	}
	return fmt.Sprintf("the user %q", c.SASL.User)
}
