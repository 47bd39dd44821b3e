//go:build integration

package moto

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sluice/integration/freeport"
	"sluice/integration/server"
)

// Version is what is installed where no interpreter has it.
const Version = "5.2.1"

// probe succeeds where the server can be run.
const probe = "import moto.server, flask, flask_cors"

// program is the server without a line for each request, and without a look at
// the disk with each: it asks there what its modules are.
const program = `import logging, sys
import moto.backends
logging.getLogger("werkzeug").setLevel(logging.WARNING)
modules = set(moto.backends.list_of_moto_modules())
moto.backends.list_of_moto_modules = lambda: modules
from moto.server import main
main(sys.argv[1:])`

// A Server is Moto's server in a process of its own.
type Server struct {
	*server.Server

	// Endpoint is its URL.
	Endpoint string
}

// A Key is one that a server has given out.
type Key struct{ ID, Secret string }

// Start starts a server without anything in it, and returns two keys: the first
// one may do everything, the other one nothing. The server looks at keys while it
// is strict only: that takes it some time with each request.
func Start(tb testing.TB) (s *Server, all, nothing Key) {
	tb.Helper()
	s = start(tb)
	user := func(name string) Key {
		s.iam(tb, "CreateUser", "UserName", name)
		var made struct {
			ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
			Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
		}
		if err := xml.Unmarshal(s.iam(tb, "CreateAccessKey", "UserName", name), &made); err != nil {
			tb.Fatal(err)
		}
		return Key{ID: made.ID, Secret: made.Secret}
	}
	all, nothing = user("all"), user("nothing")
	s.iam(tb, "PutUserPolicy", "UserName", "all", "PolicyName", "all",
		"PolicyDocument", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	return s, all, nothing
}

// Strict has the server look at keys and signatures until the test ends.
func (s *Server) Strict(tb testing.TB) {
	tb.Helper()
	s.unsigned(tb, "0")
	tb.Cleanup(func() { s.unsigned(tb, many) })
}

// many is more requests than a test makes.
const many = "1000000000"

// unsigned sets how many requests need no signature.
func (s *Server) unsigned(tb testing.TB, n string) {
	tb.Helper()
	response, err := http.Post(s.Endpoint+"/moto-api/reset-auth", "text/plain", strings.NewReader(n)) //nolint:noctx // also when the test's context is over
	if err != nil {
		tb.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
		tb.Fatalf("reset-auth: %s: %v", response.Status, err)
	}
}

// iam asks IAM for something, while nobody has to sign.
func (s *Server) iam(tb testing.TB, action string, pairs ...string) []byte {
	tb.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, s.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=none")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		tb.Fatalf("%s: %s: %v: %s", action, response.Status, err, body)
	}
	return body
}

func start(tb testing.TB) *Server {
	tb.Helper()
	port := strconv.Itoa(freeport.Port(tb))
	endpoint := "http://" + net.JoinHostPort("127.0.0.1", port)
	return &Server{Endpoint: endpoint, Server: server.Start(tb, server.Options{
		Name:    "Moto",
		Command: []string{python(tb), "-c", program, "-H", "127.0.0.1", "-p", port},
		Env:     []string{"PYTHONUNBUFFERED=1", "INITIAL_NO_AUTH_ACTION_COUNT=" + many},
		Dir:     tb.TempDir(),
		Ready: func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/moto-api/", http.NoBody)
			if err != nil {
				return err
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			defer http.DefaultClient.CloseIdleConnections()
			defer func() { _ = response.Body.Close() }()
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("it answers %s", response.Status)
			}
			return nil
		},
	})}
}

// python returns an interpreter that has Moto.
func python(tb testing.TB) string {
	tb.Helper()
	works := func(interpreter string) bool {
		return exec.CommandContext(tb.Context(), interpreter, "-c", probe).Run() == nil
	}
	if works("python3") {
		return "python3"
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatalf("no folder to keep Moto in: %v", err)
	}
	dir := filepath.Join(cache, "sluice", "moto-"+Version)
	interpreter := filepath.Join(dir, "bin", "python")
	if works(interpreter) {
		return interpreter
	}
	tb.Logf("installing Moto %s, once", Version)
	for _, command := range [][]string{
		{"python3", "-m", "venv", dir},
		{interpreter, "-m", "pip", "install", "--quiet", "moto[server]==" + Version},
	} {
		if output, err := exec.CommandContext(tb.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			tb.Fatalf("Moto cannot be installed: %s: %v\n%s", strings.Join(command, " "), err, output)
		}
	}
	return interpreter
}
