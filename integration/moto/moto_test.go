//go:build integration

package moto_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"sluice/config"
	"sluice/connect/awsconn"
	"sluice/integration/adapters"
	"sluice/integration/moto"
	"sluice/sinks/sinktest"
	"sluice/sources"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) { adapters.Main(m) }

// TestMoto runs all that meets the server: it takes seconds to start.
func TestMoto(t *testing.T) {
	b := &bench{}
	b.server, b.all, b.nothing = moto.Start(t)
	for _, c := range []struct {
		name string
		run  func(t *testing.T, b *bench)
	}{
		{"source", testSource},
		{"what a message becomes", testWhatAMessageBecomes},
		{"what a notification becomes", testWhatANotificationBecomes},
		{"too large", testTooLarge},
		{"held while publish fails", testHeldWhilePublishFails},
		{"sinks", testSinks},
		{"from sink to source", testBetween},
		{"dynamodb", testTable},
		{"what a change becomes", testWhatAChangeBecomes},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, b) })
	}
}

// A bench is the server and its keys.
type bench struct {
	server       *moto.Server
	all, nothing moto.Key
}

func section(endpoint string, key moto.Key) config.AWS {
	return config.AWS{Endpoint: endpoint, AccessKey: config.NewSecret(key.ID), SecretKey: config.NewSecret(key.Secret)}
}

// session is for the test's own requests.
func (b *bench) session(tb testing.TB) aws.Config {
	tb.Helper()
	with := section(b.server.Endpoint, b.all)
	s, err := awsconn.New(&with, awsconn.Options{Timeout: 20 * time.Second})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s.Config
}

// source is one of the whole rights.
func (b *bench) source(tb testing.TB, queue string) sources.Source {
	tb.Helper()
	return source(tb, b.server.Endpoint, b.all, queue, sourcetest.Env("orders", nil))
}

// BenchmarkSource measures Moto as much as sluice: it answers some hundreds of
// requests a second.
func BenchmarkSource(b *testing.B) {
	bench := &bench{}
	bench.server, bench.all, bench.nothing = moto.Start(b)
	adapters.BenchSource(b, "sqs", func(tb testing.TB) sourcetest.Upstream { tb.Helper(); return bench.upstream(tb, "", message) })
	adapters.BenchSource(b, "dynamodb", bench.tableUpstream)
}

// BenchmarkSink measures Moto as much as sluice, too.
func BenchmarkSink(b *testing.B) {
	bench := &bench{}
	bench.server, bench.all, bench.nothing = moto.Start(b)
	for name, start := range map[string]func(tb testing.TB) sinktest.Store{
		"sqs": bench.sqsStore, "sns": bench.snsStore, "eventbridge": bench.eventbridgeStore,
	} {
		adapters.BenchSink(b, name, start)
	}
}
