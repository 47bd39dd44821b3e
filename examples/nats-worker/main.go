// Command nats-worker shows workers that take their deliveries over NATS: they
// acknowledge, ask for time, put off, and refuse.
//
//	go run ./examples/nats-worker
//
// It builds sluice, runs a NATS server and two workers of one queue group in this
// process, and "sluice dev" on sluice.yaml beside this file, and says what to
// type next.
package main

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"sluice/examples/internal/example"
	"sluice/worker"
)

func main() {
	(&example.Example{Name: "nats-worker", Run: run, Story: story}).Main()
}

// run runs the server and the workers until ctx ends.
func run(ctx context.Context, address, folder string, ready func()) error {
	s, err := startServer(address, folder)
	if err != nil {
		return err
	}
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	conn, err := nats.Connect(s.ClientURL(), nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("the workers: %w", err)
	}
	defer conn.Close()
	if err := createStream(ctx, conn); err != nil {
		return err
	}
	var workers errgroup.Group
	for _, name := range []string{"anna", "ben"} {
		workers.Go(func() error {
			return worker.Serve(ctx, conn, worker.Options{Subject: "work.jobs", Queue: "workers"}, handler(name))
		})
	}
	ready()
	return workers.Wait()
}

// createStream makes the stream that keeps all jobs.
func createStream(ctx context.Context, conn *nats.Conn) error {
	js, err := jetstream.New(conn)
	if err == nil {
		_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "JOBS", Subjects: []string{"kept.jobs"}, MaxBytes: 16 << 20})
	}
	if err != nil {
		return fmt.Errorf("the stream JOBS: %w", err)
	}
	return nil
}

func story(p example.Place) string {
	return fmt.Sprintf(`
Two workers wait at %[3]s. In another terminal:

  1. A job; one of the workers does it:
       curl %[1]s/jobs -H 'Content-Type: application/json' -d '{"job":"quick"}'
  2. One that takes longer than a worker may be silent (2 s): it asks for time:
       curl %[1]s/jobs -H 'Content-Type: application/json' -d '{"job":"slow"}'
  3. One that is put off at first:
       curl %[1]s/jobs -H 'Content-Type: application/json' -d '{"job":"later"}'
  4. One that a worker refuses; it is not tried again, and is kept as a letter:
       curl %[1]s/jobs -H 'Content-Type: application/json' -d '{"job":"nonsense"}'
       %[2]s dlq list%[4]s
  5. Check that every job is accounted for; each is in the stream JOBS too:
       %[2]s audit%[4]s
`, p.Ingest, p.Sluice, "nats"+p.Worker[len("http"):], p.Server)
}
