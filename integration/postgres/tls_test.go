//go:build integration

package postgres_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/config"
	"sluice/event"
	"sluice/integration/certificates"
	"sluice/integration/postgres"
	"sluice/sinks"
	sinkpostgres "sluice/sinks/postgres"
)

// TestTLS connects to a server whose certificate is for "localhost".
func TestTLS(t *testing.T) {
	t.Parallel()
	certificate, key := certificates.New(t, "localhost")
	server := postgres.Start(t)
	dir := t.TempDir()
	server.Give(t, dir, "server.key", key)
	server.Give(t, dir, "server.crt", certificate)
	server.Exec(t, "postgres", "ALTER SYSTEM SET ssl_cert_file = '"+filepath.Join(dir, "server.crt")+"'", "ALTER SYSTEM SET ssl_key_file = '"+filepath.Join(dir, "server.key")+"'",
		"ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()", "CREATE TABLE t (id text, ssl bool)")
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(trusted, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, host, query string
		tls               config.TLS
		want              string // of the error
	}{
		{"named", "localhost", "", config.TLS{CAFile: config.Path(trusted)}, ""},
		{"by another name", "127.0.0.1", "", config.TLS{CAFile: config.Path(trusted)}, "certificate"},
		{"by the name it is to have", "127.0.0.1", "", config.TLS{CAFile: config.Path(trusted), ServerName: "localhost"}, ""},
		{"not trusted", "localhost", "?sslmode=verify-full", config.TLS{}, "certificate"},
		{"not checked", "127.0.0.1", "?sslmode=require", config.TLS{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := strings.Replace(server.URL("postgres"), "127.0.0.1", test.host, 1) + test.query
			sink := buildSink(t, url, "INSERT INTO t SELECT :id, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", func(c *sinkpostgres.Config) { c.TLS = test.tls })
			defer func() { _ = sink.(sinks.Closer).Close() }()
			e := &event.Event{ID: test.name, Source: "/s", Type: "t"}
			_, err := sink.Deliver(t.Context(), sinks.Attempt{Deliveries: []sinks.Delivery{{ID: "i.1", Attempt: 1, Event: e}}})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			if got := server.Text(t, "postgres", "SELECT ssl FROM t WHERE id = $1", test.name); err == nil && got != "true" {
				t.Errorf("the connection was encrypted: %q", got)
			}
		})
	}
}
