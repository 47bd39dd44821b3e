// Command kafka-to-s3 shows records of Kafka becoming objects of a bucket, in
// batches: each record is read once, whatever is killed in between.
//
//	go run ./examples/kafka-to-s3
//
// It builds sluice, runs a Kafka broker in this process, and "sluice dev" on
// sluice.yaml beside this file, which serves the bucket, and says what to type
// next.
package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"github.com/twmb/franz-go/pkg/kfake"

	"sluice/examples/internal/example"
)

func main() {
	(&example.Example{Name: "kafka-to-s3", Run: run, Story: story}).Main()
}

// run runs a broker until ctx ends: kfake, which keeps its data in the folder.
func run(ctx context.Context, address, folder string, ready func()) error {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("the port of %q: %w", address, err)
	}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.SeedTopics(4, "orders"), kfake.DataDir(filepath.Join(folder, "kafka")))
	if err != nil {
		return fmt.Errorf("the Kafka broker at %s (WORKER_PORT names another port): %w", address, err)
	}
	defer broker.Close()
	ready()
	<-ctx.Done()
	return nil
}

func story(p example.Place) string {
	return fmt.Sprintf(`
A Kafka broker is at %[3]s. In another terminal:

  1. Some orders. The trigger "produce" makes records of the topic "orders" of them; they
     come back as events, and "keep" writes them into the bucket, 100 at a time or what
     has come within a second:
       for i in 1 2 3 4 5; do curl %[1]s/orders -H 'Content-Type: application/json' -d '{"order":'$i',"customer":"c'$((i%%2))'"}'; done
  2. The objects, and what is in one:
       curl '%[5]s/archive?list-type=2'
       curl %[5]s/archive/KEY
  3. Stop all of it with Ctrl-C or kill -9, begin again, and check that every event is
     accounted for:
       %[2]s audit%[4]s
`, p.Ingest, p.Sluice, p.Worker[len("http://"):], p.Server, p.Bucket)
}
