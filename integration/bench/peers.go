package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
	"sluice/integration/freeport"
)

// A peer is another program that does what it can of the same: it takes events
// over HTTP, stores them with a nats-server beside it, and delivers them to a
// worker. It is built in a module of its own below integration/peers.
type peer struct {
	title      string // its name
	self, path string
	structured bool // knows events only as JSON
	// files are what it is configured by, by name, and arguments how it is called
	// in their folder. Its ingest is at the path.
	files     func(peerOptions) map[string]string
	arguments func(peerOptions) []string
	ingest    string
}

// peerOptions are what differs from run to run.
type peerOptions struct {
	nats, listen, to string   // to is "" when nothing is dispatched
	others           []string // addresses that it may listen at besides
}

var peers = map[string]peer{
	"bento":     {title: "bento", files: bentoFiles, arguments: bentoArguments, ingest: "/ingest/in"},
	"watermill": {title: "watermill", arguments: watermillArguments, ingest: "/in"},
	"dapr":      {title: "dapr", files: daprFiles, arguments: daprArguments, ingest: "/v1.0/publish/bench/" + benchSubject, structured: true},
}

func peerNames() []string { return slices.Sorted(maps.Keys(peers)) }

func (p peer) name() string { return p.title }

// maxPending is how many events a peer may have taken of its server at a time:
// that of the floor.
const maxPending = 4096

// backlog publishes in the form that the peer itself would give events.
func (p peer) backlog(ctx context.Context, dir string, events int) error {
	server, url, err := p.serve(ctx, dir)
	if err != nil {
		return err
	}
	conn, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(1000))
	if err != nil {
		return err
	}
	for n := range events {
		if _, err := js.PublishMsgAsync(p.message(makeEvent(n, time.Now())), jetstream.WithStallWait(startWithin)); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(startWithin):
		return fmt.Errorf("%d events are not stored after %v", js.PublishAsyncPending(), startWithin)
	}
	return server.stop(syscall.SIGTERM)
}

func (p peer) message(e event.Event) *nats.Msg {
	msg := nats.NewMsg(benchSubject)
	msg.Header.Set(nats.MsgIdHdr, e.ID)
	if p.structured {
		msg.Data = e.AppendJSON(nil)
		return msg
	}
	e.HTTPHeaders(func(name, value string) { msg.Header[strings.ToLower(name)] = []string{value} })
	msg.Data = e.Data
	return msg
}

// serve starts the server of a peer on a folder.
func (p peer) serve(ctx context.Context, dir string) (*process, string, error) {
	server, err := spawn(ctx, dir, roleServer, p.self, roleServer, "-dir", dir)
	if err != nil {
		return nil, "", err
	}
	url, err := server.said(ctx, "listening")
	return server, url, err
}

func (p peer) start(ctx context.Context, dir, to string) (*instance, error) {
	server, url, err := p.serve(ctx, dir)
	if err != nil {
		return nil, err
	}
	addresses, err := freeport.Addresses(3)
	if err != nil {
		return nil, err
	}
	o := peerOptions{nats: url, listen: addresses[0], others: addresses[1:], to: to}
	if p.files != nil {
		for name, text := range p.files(o) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				return nil, err
			}
		}
	}
	running, err := spawn(ctx, dir, p.title, p.path, p.arguments(o)...)
	return &instance{process: running, server: server, ingest: "http://" + o.listen + p.ingest, structured: p.structured}, err
}

// Bento runs two streams, as its users write them: one per way.

func bentoFiles(o peerOptions) map[string]string {
	files := map[string]string{
		"service.yaml": fmt.Sprintf("http: {address: %q}\nlogger: {level: WARN}\n", o.listen),
		"ingest.yaml": fmt.Sprintf(`input:
  http_server: {path: /in}
output:
  nats_jetstream:
    urls: [%q]
    subject: %s
    headers:%s
`, o.nats, benchSubject, bentoHeaders("Nats-Msg-Id", `${! meta("Ce-Id") }`, http.CanonicalHeaderKey)),
	}
	if o.to != "" {
		files["dispatch.yaml"] = fmt.Sprintf(`input:
  nats_jetstream: {urls: [%q], subject: %s, durable: bench, deliver: all, max_ack_pending: %d}
pipeline:
  processors:
    - mapping: 'root = if !meta("ce-type").has_prefix(%q) { deleted() }'
output:
  http_client:
    url: %s
    verb: POST
    max_in_flight: %d
    retries: 5
    headers:%s
`, o.nats, benchSubject, maxPending, eventType, o.to, attempts, bentoHeaders("", "", strings.ToLower))
	}
	return files
}

// bentoHeaders hands on the attributes of an event.
func bentoHeaders(name, value string, spelled func(string) string) string {
	var text strings.Builder
	if name != "" {
		fmt.Fprintf(&text, "\n      %s: '%s'", name, value)
	}
	e := makeEvent(0, time.Now())
	e.HTTPHeaders(func(header, _ string) {
		fmt.Fprintf(&text, "\n      %s: '${! meta(%q) }'", strings.ToLower(header), spelled(header))
	})
	return text.String()
}

func bentoArguments(o peerOptions) []string {
	arguments := []string{"-c", "service.yaml", "streams", "ingest.yaml"}
	if o.to != "" {
		arguments = append(arguments, "dispatch.yaml")
	}
	return arguments
}

func watermillArguments(o peerOptions) []string {
	return []string{"-nats", o.nats, "-listen", o.listen, "-to", o.to, "-subject", benchSubject, "-type", eventType, "-attempts", strconv.Itoa(attempts)}
}

// Dapr runs as the sidecar of the worker, with a subscription in a file.

func daprFiles(o peerOptions) map[string]string {
	files := map[string]string{"pubsub.yaml": fmt.Sprintf(`apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: bench}
spec:
  type: pubsub.jetstream
  version: v1
  metadata:
    - {name: natsURL, value: %q}
    - {name: streamName, value: %s}
    - {name: durableName, value: bench}
    - {name: queueGroupName, value: bench}
    - {name: deliverPolicy, value: all}
    - {name: ackPolicy, value: explicit}
    - {name: maxAckPending, value: "%d"}
    - {name: concurrency, value: parallel}
`, o.nats, benchStream, maxPending)}
	if _, path, found := cutURL(o.to); found {
		files["subscription.yaml"] = fmt.Sprintf(`apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: bench}
spec:
  pubsubname: bench
  topic: %s
  routes:
    rules:
      - {match: 'event.type.startsWith(%q)', path: %s}
`, benchSubject, eventType, path)
	}
	return files
}

func daprArguments(o peerOptions) []string {
	host, port, _ := net.SplitHostPort(o.listen)
	_, grpc, _ := net.SplitHostPort(o.others[0])
	_, internal, _ := net.SplitHostPort(o.others[1])
	arguments := []string{
		"--app-id", "bench", "--resources-path", ".", "--log-level", "warn", "--enable-metrics=false",
		"--dapr-listen-addresses", host, "--dapr-http-port", port, "--dapr-grpc-port", grpc,
		"--dapr-internal-grpc-listen-address", host, "--dapr-internal-grpc-port", internal,
	}
	if address, _, found := cutURL(o.to); found {
		_, port, _ := net.SplitHostPort(address)
		arguments = append(arguments, "--app-port", port, "--app-max-concurrency", strconv.Itoa(attempts))
	}
	return arguments
}

// cutURL returns the address and the path of an http URL.
func cutURL(url string) (address, path string, found bool) {
	address, path, found = strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	return address, "/" + path, found
}
