//go:build integration

package compose

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"sluice/integration/freeport"
	"sluice/integration/minio"
)

const (
	root     = "../.."
	patience = 2 * time.Minute
)

// load reads docker-compose.yml as docker does, with nothing set in the
// environment.
func load(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return project
}

// dockerfile returns the text of the Dockerfile.
func dockerfile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A stack is the services of the file as processes of this machine: the same
// commands, variables and health checks, with host names, ports and folders
// replaced by such as a test may use.
type stack struct {
	t       *testing.T
	project *types.Project
	folder  string
	bin     map[string]string // the first word of a command, and the program
	ports   *strings.Replacer
	running map[string]*process
}

// A process is one service that runs.
type process struct {
	command *exec.Cmd
	exited  chan struct{}
	output  *output
}

// An output is read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{t: t, project: load(t), folder: t.TempDir(), running: map[string]*process{}}
	s.build()
	s.place()
	t.Cleanup(func() {
		for name := range s.running {
			s.kill(name)
		}
	})
	return s
}

// build makes the programs with the go commands of the Dockerfile.
func (s *stack) build() {
	s.t.Helper()
	line := regexp.MustCompile(`RUN (CGO_ENABLED=0 go build .*)`).FindStringSubmatch(dockerfile(s.t))
	if line == nil {
		s.t.Fatal("the Dockerfile builds nothing")
	}
	out := filepath.Join(s.folder, "out")
	s.shell(strings.ReplaceAll(line[1], "/out/", out+"/"))
	s.shell("CGO_ENABLED=0 go build -o " + filepath.Join(out, "nats-server") + " github.com/nats-io/nats-server/v2")
	s.bin = map[string]string{
		"nats-server": filepath.Join(out, "nats-server"), "/minio": minio.Build(s.t),
		"/stack": filepath.Join(out, "stack"), "/sluice": filepath.Join(out, "sluice"),
	}
}

func (s *stack) shell(line string) {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), "sh", "-c", line)
	command.Dir = root
	if err := os.MkdirAll(filepath.Join(s.folder, "out"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if out, err := command.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

var address = regexp.MustCompile(`(nats|minio|worker|sluice|0\.0\.0\.0|127\.0\.0\.1):(\d{4,5})`)

// place gives each port of the stack a free one of this machine.
func (s *stack) place() {
	s.t.Helper()
	text, err := s.project.MarshalYAML()
	if err != nil {
		s.t.Fatal(err)
	}
	conf, err := os.ReadFile(filepath.Join(root, "examples/stack/nats.conf"))
	if err != nil {
		s.t.Fatal(err)
	}
	free := map[string]string{}
	var pairs []string
	for _, found := range address.FindAllStringSubmatch(string(text)+string(conf)+"\nworker:7070 127.0.0.1:4801", -1) {
		port := found[2]
		if free[port] == "" {
			free[port] = strconv.Itoa(freeport.Port(s.t))
		}
		pairs = append(pairs, found[0], "127.0.0.1:"+free[port])
	}
	s.ports = strings.NewReplacer(pairs...)
}

// up starts a service as the stack would and waits until it is healthy, or, of
// one that does its work and ends, until it has ended well.
func (s *stack) up(name string) {
	s.t.Helper()
	service := s.project.Services[name]
	p := s.start(name, &service)
	if service.HealthCheck == nil {
		select {
		case <-p.exited:
		case <-time.After(patience):
		}
		if p.command.ProcessState == nil || !p.command.ProcessState.Success() {
			s.t.Fatalf("%s: %v\n%s", name, p.command.ProcessState, p.output)
		}
		return
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := s.healthy(name, &service)
		if err == nil {
			return
		}
		select {
		case <-p.exited:
			s.t.Fatalf("%s has ended: %v\n%s", name, p.command.ProcessState, p.output)
		default:
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s is not healthy: %v\n%s", name, err, p.output)
		}
	}
}

// words returns a command with what it names moved here.
func (s *stack) words(service *types.ServiceConfig, command []string) []string {
	words := make([]string, len(command))
	for i, word := range command {
		words[i] = s.ports.Replace(s.path(service, word))
	}
	return words
}

// path returns where a path of the service is on this machine: the file that
// is mounted, or a folder for the volume.
func (s *stack) path(service *types.ServiceConfig, word string) string {
	for _, volume := range service.Volumes {
		switch {
		case word != volume.Target:
		case volume.Type == types.VolumeTypeBind:
			return s.moved(volume.Source)
		default:
			return s.made(filepath.Join(s.folder, volume.Source))
		}
	}
	for _, temporary := range service.Tmpfs {
		if word == temporary {
			return s.made(filepath.Join(s.folder, service.Name+temporary))
		}
	}
	return word
}

func (s *stack) made(folder string) string {
	s.t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		s.t.Fatal(err)
	}
	return folder
}

// moved copies a mounted file with the addresses and folders of this machine.
func (s *stack) moved(file string) string {
	s.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	here := filepath.Join(s.folder, filepath.Base(file))
	store := s.made(filepath.Join(s.folder, "nats-data"))
	moved := strings.ReplaceAll(s.ports.Replace(string(text)), `store_dir: "/data"`, fmt.Sprintf("store_dir: %q", store))
	if err := os.WriteFile(here, []byte(moved), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return here
}

func (s *stack) environment(service *types.ServiceConfig) []string {
	all := []string{"PATH=" + os.Getenv("PATH"), "MINIO_CI_CD=on"} // the latter lets MinIO use a folder of the system's disk
	for name, value := range service.Environment {
		all = append(all, name+"="+s.ports.Replace(s.path(service, *value)))
	}
	return all
}

// start runs the service's command. Images that are built here have their
// program as the entry point, which the Dockerfile names.
func (s *stack) start(name string, service *types.ServiceConfig) *process {
	s.t.Helper()
	words := s.words(service, service.Command)
	if service.Build != nil {
		words = append([]string{"/" + service.Build.Target}, words...)
	}
	program := s.bin[words[0]]
	if program == "" {
		s.t.Fatalf("%s runs %q, which the test does not know", name, words[0])
	}
	p := &process{exited: make(chan struct{}), output: &output{}}
	p.command = exec.Command(program, words[1:]...) //nolint:noctx // it is killed by the clean-up
	p.command.Env = s.environment(service)
	p.command.Dir = s.folder
	p.command.Stdout, p.command.Stderr = p.output, p.output
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.command.Start(); err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	go func() { _ = p.command.Wait(); close(p.exited) }()
	s.running[name] = p
	return p
}

func (s *stack) kill(name string) { s.end(name, syscall.SIGKILL) }
func (s *stack) stop(name string) { s.end(name, syscall.SIGTERM) }

func (s *stack) end(name string, how syscall.Signal) {
	p := s.running[name]
	_ = syscall.Kill(-p.command.Process.Pid, how) // it may have ended by itself
	<-p.exited
	delete(s.running, name)
}

// healthy runs the service's health check.
func (s *stack) healthy(name string, service *types.ServiceConfig) error {
	s.t.Helper()
	test := service.HealthCheck.Test
	words := s.words(service, test[1:])
	if words[0] == "wget" {
		return s.get(words[len(words)-1])
	}
	command := exec.CommandContext(s.t.Context(), s.bin[words[0]], words[1:]...)
	command.Env = s.environment(service)
	if name == "sluice" { // where its admin listener has gone
		command.Env = append(command.Env, "SLUICE_SERVER="+s.ports.Replace("http://127.0.0.1:4801"))
	}
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", words, err, out)
	}
	return nil
}

func (s *stack) get(url string) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return nil
}

// sluice runs a command in the service's environment, as docker compose exec
// would.
func (s *stack) sluice(args ...string) (string, error) {
	s.t.Helper()
	service := s.project.Services["sluice"]
	command := exec.CommandContext(s.t.Context(), s.bin["/sluice"], s.words(&service, args)...)
	command.Env = append(s.environment(&service), "SLUICE_SERVER="+s.ports.Replace("http://127.0.0.1:4801"), "NO_COLOR=1")
	out, err := command.CombinedOutput()
	return string(out), err
}
