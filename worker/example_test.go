package worker_test

import (
	"context"
	"errors"
	"log"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/worker"
)

var errBusy = errors.New("the disk is full")

func resize(context.Context, []byte) error { return nil }

func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	conn, err := nats.Connect("nats://127.0.0.1:4222", nats.MaxReconnects(-1))
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Serve(ctx, conn, worker.Options{Subject: "work.resize", Queue: "resizers"},
		func(ctx context.Context, d *worker.Delivery) error {
			if !strings.HasSuffix(d.Event.Subject, ".jpg") {
				return worker.Refuse(errors.New("it is no picture")) // a letter
			}
			err := resize(ctx, d.Event.Data)
			if errors.Is(err, errBusy) {
				return worker.RetryAfter(err, time.Minute)
			}
			return err
		})
	conn.Close()
	if err != nil {
		log.Println(err)
	}
}
