//go:build integration

package compose

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"sluice/integration/minio"
)

// pinned is how an image with an exact version ends; PostgreSQL's have two numbers.
var pinned = regexp.MustCompile(`:(\d+\.\d+\.\d+(-[a-z]+)*|17\.\d+)$`)

// TestTheStackIsPinnedAndClosed reads what cannot be run without an engine.
func TestTheStackIsPinnedAndClosed(t *testing.T) {
	project, text := load(t), dockerfile(t)
	for name, service := range project.Services {
		if service.Build != nil && !regexp.MustCompile(`(?m)^FROM \S+ AS `+service.Build.Target+`$`).MatchString(text) {
			t.Errorf("%s: the Dockerfile has no target %q", name, service.Build.Target)
		}
		if service.Build == nil && !pinned.MatchString(service.Image) {
			t.Errorf("%s: the image %q has no pinned version", name, service.Image)
		}
		if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: its root is to be read-only, and its rights dropped", name)
		}
		// What ends has ended well, and nobody waits for the sensors.
		if service.HealthCheck == nil && service.Restart != "on-failure" && name != "sensors" {
			t.Errorf("%s has no health check", name)
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s can be reached from other machines", name, port.Published)
			}
		}
		for _, volume := range service.Volumes {
			if _, err := os.Stat(volume.Source); volume.Type == "bind" && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, profile := range []string{"", "rabbitmq", "kafka", "postgres", "mqtt"} {
		loadProfile(t, profile) // what its services wait for is there
	}
	if order := project.Services["sluice"].DependsOn; order["setup"].Condition != "service_completed_successfully" || order["nats"].Condition != "service_healthy" {
		t.Errorf("sluice waits for %v", order)
	}
}

// TestTheImagesHaveTheTestedVersions compares the pinned versions with those
// that the tests run.
func TestTheImagesHaveTheTestedVersions(t *testing.T) {
	text := dockerfile(t)
	modules, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	nats := regexp.MustCompile(`nats-server/v2 v(\S+)`).FindStringSubmatch(string(modules))
	if image := load(t).Services["nats"].Image; image != "nats:"+nats[1]+"-alpine" {
		t.Errorf("the image is %s, and the tests run %s", image, nats[1])
	}
	if !strings.Contains(text, "go install github.com/minio/minio@"+minio.Version) {
		t.Errorf("the Dockerfile builds another MinIO than %s", minio.Version)
	}
	for _, image := range regexp.MustCompile(`(?m)^FROM ([^\s:]+:\S+)`).FindAllStringSubmatch(text, -1) {
		if !pinned.MatchString(image[1]) {
			t.Errorf("the Dockerfile begins with %s, which is no exact version", image[1])
		}
	}
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(modules))
	for _, image := range regexp.MustCompile(`(?m)^FROM golang:(\S+)`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(image[1], language[1]+".") {
			t.Errorf("the Dockerfile builds with Go %s, go.mod asks for %s", image[1], language[1])
		}
	}
	if !strings.Contains(text[strings.LastIndex(text, "FROM scratch AS sluice"):], "\nUSER 65532:65532\n") {
		t.Error("sluice runs as root")
	}
}

// uploads starts the whole stack and uploads files: each calls the worker once, also
// those that come while sluice or the broker is away.
func uploads(s *stack) {
	for _, name := range []string{"nats", "minio", "setup", "worker", "sluice"} {
		s.up(name)
	}
	s.up("setup") // again does no harm
	bucket := s.bucket()
	for _, key := range []string{"cat.jpg", "notes.txt", "dog.jpg"} {
		minio.Put(s.t, bucket, "photos", key, key)
	}
	s.worked("cat.jpg", "dog.jpg")
	s.accounted(3) // what the ledger knows is not repeated

	s.kill("sluice")
	minio.Put(s.t, bucket, "photos", "meanwhile.jpg", "meanwhile")
	s.up("sluice")
	s.worked("cat.jpg", "dog.jpg", "meanwhile.jpg")

	s.stop("nats")
	minio.Put(s.t, bucket, "photos", "no-broker.jpg", "no broker")
	s.up("nats")
	s.worked("cat.jpg", "dog.jpg", "meanwhile.jpg", "no-broker.jpg")
	s.accounted(5)
}

// worked waits until the worker has seen uploads of these keys, and checks that
// it has seen each once.
func (s *stack) worked(keys ...string) {
	s.t.Helper()
	for _, key := range keys {
		line := `s3.object.created.put "` + key + `" in "photos"`
		s.eventually("the worker gets "+key, func() bool { return strings.Contains(s.running["worker"].output.String(), line) })
		if n := strings.Count(s.running["worker"].output.String(), line); n != 1 {
			s.t.Errorf("the worker got %s %d times", key, n)
		}
	}
}

// accounted waits until so many events are in the ledger, and none waits.
func (s *stack) accounted(events int) {
	s.t.Helper()
	s.says("sluice", fmt.Sprintf("\nconserved: %d events checked", events), "audit")
}

// says waits until a command of sluice, in the environment of a service, succeeds and
// prints what is wanted.
func (s *stack) says(service, want string, args ...string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%s says %q to %q", service, want, args), func() bool {
		out, err := s.exec(service, append([]string{"/sluice"}, args...)...)
		return err == nil && strings.Contains(out, want)
	})
}

func (s *stack) eventually(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			for name, p := range s.running {
				s.t.Logf("%s said:\n%s", name, p.output)
			}
			s.t.Fatalf("it never happens that %s", what)
		}
	}
}

// bucket returns a client of the stack's MinIO, as somebody on this machine has.
func (s *stack) bucket() *client.Client {
	s.t.Helper()
	variables := s.project.Services["setup"].Environment
	c, err := client.New("127.0.0.1:"+s.port("9000"), &client.Options{
		Creds: credentials.NewStaticV4(*variables["S3_KEY"], *variables["S3_SECRET"], ""), Region: "us-east-1",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}
