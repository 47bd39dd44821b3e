//go:build integration

package compose

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	client "github.com/minio/minio-go/v7"
	"github.com/twmb/franz-go/pkg/kfake"

	"sluice/integration/debian"
	"sluice/integration/postgres"
	"sluice/integration/rabbitmq"
)

// TestTheServicesRun runs the stack and then each profile: its sluice and the parts
// that its example has, with the profile's server. That is Debian's, with what the
// file says of it, and kfake where the file has Kafka.
func TestTheServicesRun(t *testing.T) {
	debian.Python(t)
	debian.Need(t, "test -x /usr/sbin/mosquitto", "mosquitto")
	debian.Need(t, "which mosquitto_sub", "mosquitto-clients")
	s := newStack(t)
	for _, part := range []struct {
		name, sluice string
		run          func(*stack)
	}{
		{"stack", "sluice", uploads},
		{"rabbitmq", "rabbitmq-sluice", shop},
		{"kafka", "kafka-sluice", archive},
		{"postgres", "postgres-sluice", changes},
		{"mqtt", "mqtt-sluice", readings},
	} {
		t.Run(part.name, func(t *testing.T) {
			s.t = t
			defer s.killAll()
			part.run(s)
			s.says(part.sluice, "\nconserved: ", "audit")
			if out, err := s.exec(part.sluice, "/sluice", "test", "-c", "/etc/sluice/sluice.yaml"); err != nil {
				t.Errorf("the file's own tests: %v\n%s", err, out)
			}
		})
	}
}

// shop buys something. It buys until sluice has bound its queue: an order that is
// bought twice is shipped once.
func shop(s *stack) {
	s.is("rabbitmq", "rabbitmq-server")
	variables := s.project.Services["rabbitmq"].Environment
	broker := rabbitmq.StartAs(s.t, *variables["RABBITMQ_DEFAULT_USER"], *variables["RABBITMQ_DEFAULT_PASS"])
	s.ports["5672"] = portOf(s.t, broker.Login())
	s.up("rabbitmq-sluice")
	s.up("shop")
	s.eventually("the order is shipped", func() bool {
		s.post("http://127.0.0.1:7070/buy", `{"order": "a", "total": 20}`)
		return strings.Contains(s.running["shop"].output.String(), "order a is shipped")
	})
}

// archive sends an order, which goes through the topic into the bucket.
func archive(s *stack) {
	const topic, partitions = "orders", 4
	s.is("kafka-topic", "/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", "kafka:9092", "--create", "--if-not-exists",
		"--topic", topic, "--partitions", strconv.Itoa(partitions))
	port, err := strconv.Atoi(s.port("9092"))
	if err != nil {
		s.t.Fatal(err)
	}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.SeedTopics(partitions, topic))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(broker.Close)
	for _, name := range []string{"minio", "kafka-bucket", "kafka-sluice"} {
		s.up(name)
	}
	if out, err := s.exec("kafka-sluice", "/sluice", "send", "shop", "-c", "/etc/sluice/sluice.yaml", "--data", `{"order":1,"customer":"c1"}`); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	bucket := s.bucket()
	s.eventually("the order is in the bucket", func() bool {
		for object := range bucket.ListObjectsIter(s.t.Context(), "archive", client.ListObjectsOptions{Recursive: true}) {
			if object.Err == nil && object.Size == int64(len(`{"order":1,"customer":"c1"}`+"\n")) {
				return true
			}
		}
		return false
	})
}

// changes pays an order. Without what the file says of it, the server would have no
// logical replication.
func changes(s *stack) {
	command := s.project.Services["postgres"].Command
	s.is("postgres", "postgres", "-c", "wal_level=logical")
	server := postgres.Start(s.t, "wal_level=replica", command[2])
	s.ports["5432"] = portOf(s.t, server.URL("postgres"))
	tables, err := os.ReadFile(filepath.Join(root, "examples/postgres-changes/tables.sql"))
	if err != nil {
		s.t.Fatal(err)
	}
	server.Exec(s.t, "postgres", "CREATE ROLE shop SUPERUSER LOGIN PASSWORD 'example'", string(tables))
	s.up("postgres-sluice")
	s.eventually("the order that was there is in the history", func() bool {
		return server.Text(s.t, "postgres", "SELECT count(*) FROM history") == "1"
	})
	server.Exec(s.t, "postgres", "INSERT INTO orders VALUES (2, 'Ben', 99.90)", "UPDATE orders SET state = 'paid' WHERE id = 2")
	s.says("postgres-sluice", "order 2 of Ben is paid: 99.90", "logs", "confirm")
}

// readings measures, also while sluice is away.
func readings(s *stack) {
	s.up("mosquitto")
	s.up("mqtt-sluice")
	s.start("sensors")
	s.says("mqtt-sluice", "boiler has 84.3 °C", "logs", "alarm")
	s.kill("mqtt-sluice")
	if out, err := s.exec("sensors", "/sensors", "reading", "attic", "99.5"); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	s.up("mqtt-sluice")
	s.says("mqtt-sluice", "attic has 99.5 °C", "logs", "alarm")
}

// is checks what a service runs that cannot be run here.
func (s *stack) is(name string, command ...string) {
	s.t.Helper()
	if got := s.project.Services[name].Command; !slices.Equal([]string(got), command) {
		s.t.Errorf("%s runs %q, and the test %q", name, got, command)
	}
}

func (s *stack) post(url, body string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.here(url), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		var text bytes.Buffer
		_, _ = io.Copy(&text, answer.Body) // for the message only
		s.t.Fatalf("POST %s: %s: %s", url, answer.Status, &text)
	}
}

// portOf returns the port of a URL.
func portOf(t *testing.T, url string) string {
	t.Helper()
	_, host, _ := strings.Cut(url, "@")
	host, _, _ = strings.Cut(host, "/")
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
