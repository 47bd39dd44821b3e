package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The stream of the peers, and its one subject.
const (
	benchStream  = "BENCH"
	benchSubject = "bench.in"
)

// runServer is a nats-server as it comes, with a stream: it syncs its files every
// two minutes. It runs until ctx ends, and says where.
func runServer(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet(roleServer, flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder of the store")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: filepath.Join(*dir, "nats"), JetStreamMaxStore: storeSize,
	})
	if err != nil {
		return err
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(startWithin) {
		return errors.New("the server is not ready")
	}
	if err := makeStream(ctx, s.ClientURL()); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, "listening", s.ClientURL()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func makeStream(ctx context.Context, url string) error {
	conn, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: benchStream, Subjects: []string{benchSubject}, Storage: jetstream.FileStorage})
	return err
}
