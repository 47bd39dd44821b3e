package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
)

// A Path is the path of a file or folder. A relative one is meant from the
// folder of the configuration; once loaded it is joined with that.
type Path string

// TLS says whom a connection trusts and as whom it presents itself. The zero
// value trusts the system's authorities and presents nobody.
type TLS struct {
	// CAFile holds the authorities to trust instead of the system's, in PEM.
	CAFile Path `yaml:"ca_file"`
	// CertFile and KeyFile hold the client's certificate and key, in PEM.
	CertFile Path `yaml:"cert_file"`
	KeyFile  Path `yaml:"key_file"`
	// ServerName is the name to expect in the server's certificate; empty for
	// that of the URL.
	ServerName string `yaml:"server_name"`
	// InsecureSkipVerify accepts any certificate. It is for experiments.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
}

// Load reads the files. Its problems have keys below tls.
func (t TLS) Load() (*tls.Config, error) {
	roots, err := t.roots()
	certificates, certErr := t.certificates()
	if err = errors.Join(err, certErr); err != nil {
		return nil, err
	}
	return &tls.Config{
		RootCAs:            roots,
		Certificates:       certificates,
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.InsecureSkipVerify,
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}, nil
}

func (t TLS) roots() (*x509.CertPool, error) {
	if t.CAFile == "" {
		return nil, nil //nolint:nilnil // a nil pool is the system's
	}
	text, err := os.ReadFile(string(t.CAFile))
	if err != nil {
		return nil, Invalid("tls.ca_file", "%v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, Invalid("tls.ca_file", "found no certificate in %q; it must hold certificates in PEM", t.CAFile)
	}
	return pool, nil
}

func (t TLS) certificates() ([]tls.Certificate, error) {
	switch {
	case t.CertFile == "" && t.KeyFile == "":
		return nil, nil
	case t.KeyFile == "":
		return nil, Invalid("tls.key_file", "it is missing beside cert_file")
	case t.CertFile == "":
		return nil, Invalid("tls.cert_file", "it is missing beside key_file")
	}
	pair, err := tls.LoadX509KeyPair(string(t.CertFile), string(t.KeyFile))
	if err != nil {
		return nil, Invalid("tls.cert_file", "%v", err)
	}
	return []tls.Certificate{pair}, nil
}
