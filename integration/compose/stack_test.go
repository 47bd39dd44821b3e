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

// load reads docker-compose.yml as docker does, with all profiles and with nothing
// set in the environment.
func load(t *testing.T) *types.Project { t.Helper(); return loadProfile(t, "*") }

func loadProfile(t *testing.T, profile string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithResolvedPaths(true), cli.WithProfiles([]string{profile}))
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
	ports   map[string]string // of the stack, and of this machine
	address *regexp.Regexp    // a host and port of the stack
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
	s := &stack{t: t, project: load(t), folder: t.TempDir(), ports: map[string]string{}, running: map[string]*process{}}
	hosts := strings.Join(s.project.ServiceNames(), "|")
	s.address = regexp.MustCompile(`\b(` + hosts + `|0\.0\.0\.0|127\.0\.0\.1):(\d{4,5})\b`)
	s.build()
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
	s.bin = map[string]string{"nats-server": filepath.Join(out, "nats-server"), "/minio": minio.Build(s.t)}
	for _, name := range []string{"sluice", "stack", "rabbitmq", "sensors", "alarm"} {
		s.bin["/"+name] = filepath.Join(out, name)
	}
	for _, name := range []string{"/usr/sbin/mosquitto", "mosquitto_sub"} { // Debian's
		s.bin[name] = name
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

// port returns the port of this machine that stands for one of the stack.
func (s *stack) port(of string) string {
	if s.ports[of] == "" {
		s.ports[of] = strconv.Itoa(freeport.Port(s.t))
	}
	return s.ports[of]
}

// here replaces the addresses of the stack in a text by such of this machine.
func (s *stack) here(text string) string {
	return s.address.ReplaceAllStringFunc(text, func(found string) string {
		_, port, _ := strings.Cut(found, ":")
		return "127.0.0.1:" + s.port(port)
	})
}

// up starts a service as the stack would and waits until it is healthy, or, of
// one that does its work and ends, until it has ended well.
func (s *stack) up(name string) {
	s.t.Helper()
	service := s.project.Services[name]
	p := s.start(name)
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
		err := s.healthy(&service)
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
		words[i] = s.here(s.path(service, word))
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
			return s.moved(service, &volume)
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
func (s *stack) moved(service *types.ServiceConfig, file *types.ServiceVolumeConfig) string {
	s.t.Helper()
	text, err := os.ReadFile(file.Source)
	if err != nil {
		s.t.Fatal(err)
	}
	here := filepath.Join(s.folder, service.Name, file.Target)
	s.made(filepath.Dir(here))
	moved := s.here(string(text))
	switch filepath.Base(file.Target) {
	case "nats.conf":
		moved = s.folders(service, moved, `store_dir: "`, `"`)
	case "mosquitto.conf": // it may run as root here, and would else change its user
		moved = s.folders(service, moved, "persistence_location ", "/\n") + "user root\n"
		moved = strings.ReplaceAll(moved, "listener 1883 0.0.0.0", "listener "+s.port("1883")+" 127.0.0.1")
	}
	if err := os.WriteFile(here, []byte(moved), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return here
}

// folders replaces the volumes of a service where they stand in a text between what
// is given.
func (s *stack) folders(service *types.ServiceConfig, text, before, after string) string {
	s.t.Helper()
	moved := text
	for _, volume := range service.Volumes {
		if volume.Type == types.VolumeTypeVolume {
			moved = strings.ReplaceAll(moved, before+volume.Target+after, before+s.path(service, volume.Target)+after)
		}
	}
	if moved == text {
		s.t.Fatalf("%s: no volume is named in\n%s", service.Name, text)
	}
	return moved
}

// environment is what a service has, with what it names moved here. MINIO_CI_CD lets
// MinIO use a folder of the system's disk.
func (s *stack) environment(service *types.ServiceConfig) []string {
	all := []string{
		"PATH=" + os.Getenv("PATH"), "MINIO_CI_CD=on", "NO_COLOR=1",
		"INGEST_PORT=" + s.port("4800"), "ADMIN_PORT=" + s.port("4801"), "SLUICE_SERVER=http://127.0.0.1:" + s.port("4801"),
	}
	for name, value := range service.Environment {
		all = append(all, name+"="+s.value(service, name, *value))
	}
	return all
}

func (s *stack) value(service *types.ServiceConfig, name, value string) string {
	switch {
	case strings.HasSuffix(name, "_HOST"):
		return "127.0.0.1"
	case strings.HasSuffix(name, "_PORT"):
		return s.port(value)
	case s.bin[value] != "":
		return s.bin[value]
	}
	return s.here(s.path(service, value))
}

// command returns what a service runs. Images that are built here have their
// program as the entry point, which the Dockerfile names.
func (s *stack) command(service *types.ServiceConfig) []string {
	s.t.Helper()
	words := s.words(service, service.Command)
	switch {
	case service.Entrypoint != nil:
		words = append(s.words(service, service.Entrypoint), words...)
	case service.Build != nil:
		entry := regexp.MustCompile(`(?s)AS ` + service.Build.Target + `\n.*?\nENTRYPOINT \["(.*?)"\]`).FindStringSubmatch(dockerfile(s.t))
		words = append([]string{entry[1]}, words...)
	}
	program := s.bin[words[0]]
	if program == "" {
		s.t.Fatalf("%s runs %q, which the test does not know", service.Name, words[0])
	}
	words[0] = program
	return words
}

// start runs the service's command.
func (s *stack) start(name string) *process {
	s.t.Helper()
	service := s.project.Services[name]
	for i := range service.Volumes {
		if service.Volumes[i].Type == types.VolumeTypeBind {
			s.moved(&service, &service.Volumes[i])
		}
	}
	words := s.command(&service)
	p := &process{exited: make(chan struct{}), output: &output{}}
	p.command = exec.Command(words[0], words[1:]...) //nolint:noctx // it is killed by killAll
	p.command.Env = s.environment(&service)
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

func (s *stack) killAll() {
	for name := range s.running {
		s.kill(name)
	}
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
func (s *stack) healthy(service *types.ServiceConfig) error {
	s.t.Helper()
	test := service.HealthCheck.Test
	words := s.words(service, test[1:])
	if words[0] == "wget" {
		return s.get(words[len(words)-1])
	}
	command := exec.CommandContext(s.t.Context(), s.bin[words[0]], words[1:]...)
	command.Env = s.environment(service)
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

// exec runs a program in the environment of a service, as docker compose exec would.
func (s *stack) exec(name string, words ...string) (string, error) {
	s.t.Helper()
	service := s.project.Services[name]
	words = s.words(&service, words)
	command := exec.CommandContext(s.t.Context(), s.bin[words[0]], words[1:]...)
	command.Env = s.environment(&service)
	out, err := command.CombinedOutput()
	return string(out), err
}
