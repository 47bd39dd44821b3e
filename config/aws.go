package config

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// An AWS is what the sections of all adapters of AWS services begin with: where
// the service is, and who sluice is to it. The zero value asks the environment,
// as AWS's own tools do.
type AWS struct {
	// Region is the service's, such as eu-central-1. Empty stands for that of the
	// environment; beside Endpoint, for us-east-1.
	Region string `yaml:"region"`
	// Endpoint is the URL of a server that speaks the service's protocol; empty
	// for the service itself.
	Endpoint string `yaml:"endpoint"`
	// AccessKey and SecretKey sign the requests, with SessionToken where they are
	// temporary. Without them the default chain of AWS's SDKs is asked: the
	// environment, shared files, web identity, the roles of containers and of
	// instances.
	AccessKey    Secret `yaml:"access_key"`
	SecretKey    Secret `yaml:"secret_key"`
	SessionToken Secret `yaml:"session_token"`
	// AssumeRole is the role that is taken on with those credentials.
	AssumeRole *AWSRole `yaml:"assume_role"`
	TLS        TLS      `yaml:"tls"`
}

// An AWSRole is a role that is taken on by AWS STS.
type AWSRole struct {
	// ARN is the role's, such as arn:aws:iam::123456789012:role/reader.
	ARN string `yaml:"arn"`
	// ExternalID is what the role's owner asks for, if anything.
	ExternalID string `yaml:"external_id"`
	// SessionName is shown in the service's logs; empty for sluice.
	SessionName string `yaml:"session_name"`
	// Endpoint is the URL of a server that speaks the protocol of STS; empty for
	// AWS's own.
	Endpoint string `yaml:"endpoint"`
}

// The forms of what AWS takes.
var (
	awsRegion  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	awsRole    = regexp.MustCompile(`^arn:[a-z0-9-]+:iam::[0-9]+:role/[\x21-\x7e]+$`)
	awsSession = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
)

// Validate returns everything that is wrong, each problem with its key. It looks
// at no environment.
func (a *AWS) Validate() error {
	_, tlsErr := a.TLS.Load()
	problems := []error{a.validateKeys(), awsEndpoint("endpoint", a.Endpoint), tlsErr}
	switch {
	case a.Region != "" && !awsRegion.MatchString(a.Region):
		problems = append(problems, Invalid("region", "%q is no region: write one such as eu-central-1", a.Region))
	case a.Region == "" && a.Endpoint == "" && !a.AccessKey.IsZero():
		problems = append(problems, Invalid("region", "it is missing beside access_key: write one such as eu-central-1"))
	}
	if a.AssumeRole != nil {
		problems = append(problems, a.AssumeRole.validate())
	}
	return errors.Join(problems...)
}

func (a *AWS) validateKeys() error {
	switch {
	case a.AccessKey.IsZero() && !a.SecretKey.IsZero():
		return Invalid("access_key", "it is missing beside secret_key: write both, or neither to take those of the environment")
	case !a.AccessKey.IsZero() && a.SecretKey.IsZero():
		return Invalid("secret_key", "it is missing beside access_key: write both, or neither to take those of the environment")
	case a.AccessKey.IsZero() && !a.SessionToken.IsZero():
		return Invalid("session_token", "it goes with access_key and secret_key, which are missing")
	case strings.ContainsFunc(a.AccessKey.Reveal()+a.SessionToken.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }):
		return Invalid("access_key", "there is a space, a line end or another odd character in it or in session_token: neither has any")
	}
	return nil
}

func (r *AWSRole) validate() error {
	var problems []error
	if !awsRole.MatchString(r.ARN) {
		problems = append(problems, Invalid("assume_role.arn", "%q is no role: write one such as arn:aws:iam::123456789012:role/reader", r.ARN))
	}
	if r.SessionName != "" && !awsSession.MatchString(r.SessionName) {
		problems = append(problems, Invalid("assume_role.session_name", "%q is no name of a session: 2 to 64 letters, digits and any of +=,.@-_", r.SessionName))
	}
	return errors.Join(append(problems, awsEndpoint("assume_role.endpoint", r.Endpoint))...)
}

// awsEndpoint checks a URL, or none. It quotes none with a user: there may be a
// password.
func awsEndpoint(key, endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return Invalid(key, "it is no http or https URL: write one such as http://127.0.0.1:4100, or leave it out for the service itself")
	case u.User != nil:
		return Invalid(key, "there is a user in it: write access_key and secret_key")
	case u.RawQuery != "" || u.Fragment != "":
		return Invalid(key, "there is more than a host and a path in %q: leave the rest out", endpoint)
	}
	return nil
}
