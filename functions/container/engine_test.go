package container

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCandidates(t *testing.T) {
	system := []string{"/var/run/docker.sock", "/run/podman/podman.sock"}
	for _, test := range []struct {
		name, host string
		env        map[string]string
		want       []string
		err        string
	}{
		{name: "the usual places", want: system},
		{
			name: "those of a user", env: map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"},
			want: append(slices.Clone(system), "/run/user/7/docker.sock", "/run/user/7/podman/podman.sock"),
		},
		{name: "a folder that is none", env: map[string]string{"XDG_RUNTIME_DIR": "user"}, want: system},
		{name: "by the environment", env: map[string]string{"DOCKER_HOST": "unix:///a.sock", "XDG_RUNTIME_DIR": "/run"}, want: []string{"/a.sock"}},
		{name: "by its user", host: "unix:///b.sock", env: map[string]string{"DOCKER_HOST": "unix:///a.sock"}, want: []string{"/b.sock"}},
		{
			name: "not on this machine", env: map[string]string{"DOCKER_HOST": "tcp://10.0.0.1:2375"},
			err: `DOCKER_HOST is "tcp://10.0.0.1:2375": it has to be the unix socket of an engine on this machine, such as unix:///var/run/docker.sock`,
		},
		{
			name: "no absolute path", host: "unix://a.sock",
			err: `the engine's address is "unix://a.sock": it has to be the unix socket of an engine on this machine, such as unix:///var/run/docker.sock`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := candidates(test.host, func(name string) string { return test.env[name] })
			if text(err) != test.err || !slices.Equal(got, test.want) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// What Open says where no engine is.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, path, want string }{
		{"nothing", filepath.Join(dir, "none"), "no such file or directory"},
		{"a file", file, "connection refused"},
		{"nobody listens", abandoned(t, dir), "connection refused"},
		{"no engine", served(t, dir, http.NotFoundHandler()), "404"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, err := Open(t.Context(), "unix://"+test.path)
			if err == nil {
				t.Fatal(e.Close())
			}
			begin, end := "no container engine answers at "+test.path+" (", "): start Docker or Podman (podman system service), or set DOCKER_HOST to the socket of one, such as unix:///run/podman/podman.sock"
			if said := err.Error(); !strings.HasPrefix(said, begin) || !strings.HasSuffix(said, end) || !strings.Contains(said, test.want) {
				t.Errorf("it says %q", said)
			}
		})
	}
}

// abandoned is a socket whose server has gone.
func abandoned(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "abandoned")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func served(t *testing.T, dir string, handler http.Handler) string {
	t.Helper()
	path := filepath.Join(dir, "served")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return path
}

func TestCheck(t *testing.T) {
	for _, good := range []string{
		"resize", "resize:1.2", "team/resize", "localhost:5000/team/resize:1", "registry.example/resize@sha256:" + strings.Repeat("0a", 32),
	} {
		if err := Check(good); err != nil {
			t.Error(err)
		}
	}
	for bad, want := range map[string]string{
		"":           `"" is not the name of an image: invalid reference format; it is like registry.example/team/resize:1.2`,
		"Resize":     `"Resize" is not the name of an image: invalid reference format: repository name (library/Resize) must be lowercase; it is like registry.example/team/resize:1.2`,
		"resize:":    `"resize:" is not the name of an image: invalid reference format; it is like registry.example/team/resize:1.2`,
		"a b":        `"a b" is not the name of an image: invalid reference format; it is like registry.example/team/resize:1.2`,
		"a@sha256:0": `"a@sha256:0" is not the name of an image: invalid reference format; it is like registry.example/team/resize:1.2`,
	} {
		if err := Check(bad); text(err) != want {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
