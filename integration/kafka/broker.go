//go:build integration

package kafka

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"sluice/integration/freeport"
	"sluice/integration/server"
)

// environment is the variable that makes a broker of the test's program.
const environment = "SLUICE_TEST_BROKER"

// User is the name of the user that a broker with a password knows.
const User = "sluice"

// Options say what a broker is.
type Options struct {
	// Dir is where it keeps its data, and Address where it listens. Start sets them.
	Dir, Address string
	// Password is that of the user sluice, by all mechanisms; empty for no SASL.
	Password string
	// CertFile and KeyFile are for TLS, in PEM; empty for none.
	CertFile, KeyFile string
}

// A Broker is a process.
type Broker struct {
	*server.Server

	Address string
	options Options
}

// Start starts a broker; Main must have been called in TestMain.
func Start(tb testing.TB, o Options) *Broker {
	tb.Helper()
	o.Dir, o.Address = tb.TempDir(), freeport.Address(tb)
	described, err := json.Marshal(o)
	if err != nil {
		tb.Fatal(err)
	}
	b := &Broker{Address: o.Address, options: o}
	b.Server = server.Start(tb, server.Options{
		Name: "kfake", Command: []string{os.Args[0]}, Env: []string{environment + "=" + string(described)},
		Ready: b.ready,
	})
	return b
}

func (b *Broker) ready(ctx context.Context) error {
	client, err := kgo.NewClient(b.reach()...)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Ping(ctx)
}

// reach are the options of a client that the broker takes.
func (b *Broker) reach() []kgo.Opt {
	options := []kgo.Opt{kgo.SeedBrokers(b.Address), kgo.ProducerLinger(0)}
	if b.options.Password != "" {
		options = append(options, kgo.SASL(plain.Auth{User: User, Pass: b.options.Password}.AsMechanism()))
	}
	if b.options.CertFile != "" {
		options = append(options, kgo.DialTLSConfig(&tls.Config{InsecureSkipVerify: true}))
	}
	return options
}

// Client returns a client of the broker that ends with the test.
func (b *Broker) Client(tb testing.TB, options ...kgo.Opt) *kgo.Client {
	tb.Helper()
	client, err := kgo.NewClient(append(b.reach(), options...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	return client
}

// CreateTopic creates a topic.
func (b *Broker) CreateTopic(tb testing.TB, client *kgo.Client, topic string, partitions int32) {
	tb.Helper()
	if _, err := kadm.NewClient(client).CreateTopic(tb.Context(), partitions, 1, nil, topic); err != nil {
		tb.Fatal(err)
	}
}

// Serve is the broker's process. It returns false when this is the test's.
func Serve() bool {
	described := os.Getenv(environment)
	if described == "" {
		return false
	}
	if err := serve(described); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func serve(described string) error {
	var o Options
	if err := json.Unmarshal([]byte(described), &o); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(o.Address)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.Ports(number), kfake.DataDir(o.Dir), kfake.SyncWrites(), kfake.GroupMinSessionTimeout(time.Second)}
	if o.Password != "" {
		options = append(options, kfake.EnableSASL(), kfake.Superuser("PLAIN", User, o.Password),
			kfake.Superuser("SCRAM-SHA-256", User, o.Password), kfake.Superuser("SCRAM-SHA-512", User, o.Password))
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return err
		}
		options = append(options, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}}))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	cluster.Close()
	return nil
}
