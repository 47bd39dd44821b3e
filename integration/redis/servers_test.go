//go:build integration

package redis_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	client "github.com/redis/go-redis/v9"

	"sluice/config"
	"sluice/integration/freeport"
	"sluice/integration/redis"
	"sluice/integration/server"
	sinkredis "sluice/sinks/redis"
	sourceredis "sluice/sources/redis"
	"sluice/sources/sourcetest"
)

// sinkToSource delivers to a stream, and reads it.
func sinkToSource(t *testing.T, mode sinkredis.Mode) {
	t.Helper()
	s := redis.Start(t)
	sink := sinkOf(t, s.URL(), func(c *sinkredis.Config) { c.Mode = mode })
	defer closeSink(t, sink)
	if err := deliver(t, sink, `{"n":"0"}`, `{"n":"1"}`); err != nil {
		t.Fatal(err)
	}
	out := sourcetest.NewOut()
	source, _ := build(t, s)
	stop := sourcetest.Run(t, source, out)
	// Both have the same id and source: the second one is a repeat.
	if e := out.Wait(t, 1)[0]; e.ID != "e" || e.Type != "t" || string(e.Data) != `{"n":"0"}` || e.PartitionKey() != "orders" {
		t.Errorf("found %+v", e)
	}
	stop()
}

// bothWays reads a stream and a list, and writes a stream, through servers that
// are found in some way.
func bothWays(t *testing.T, s *redis.Server, servers config.Redis) {
	t.Helper()
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			if err := s.Client.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			send(t, w, s, 0, 5)
			out := sourcetest.NewOut()
			source, _ := build(t, s, w.change, func(c *sourceredis.Config) { c.Redis = servers })
			stop := sourcetest.Run(t, source, out)
			send(t, w, s, 5, 5)
			wantNumbers(t, out, 10)
			stop()
		})
	}
	sink := sinkOf(t, "", func(c *sinkredis.Config) { c.Redis, c.Key = servers, "written" })
	defer closeSink(t, sink)
	if err := deliver(t, sink, `{"n":1}`, `{"n":2}`); err != nil {
		t.Fatal(err)
	}
	if n := len(stored(t, s, "written")); n != 2 {
		t.Errorf("%d entries are stored, want 2", n)
	}
}

func TestCluster(t *testing.T) {
	s := redis.Start(t, "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1")
	if err := s.Client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	sourcetest.Eventually(t, "the cluster is complete", func() bool { return s.Client.Set(t.Context(), "a", "b", 0).Err() == nil })
	bothWays(t, s, config.Redis{URL: s.URL(), Cluster: true})
}

func TestSentinel(t *testing.T) {
	s := redis.Start(t)
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	address := freeport.Address(t)
	_, own, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	settings := fmt.Sprintf("port %s\nbind 127.0.0.1\nsentinel monitor orders %s %s 1\n", own, host, port)
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	server.Start(t, server.Options{
		Name: "Sentinel", Command: []string{"redis-server", file, "--sentinel"},
		Ready: func(ctx context.Context) error {
			c := client.NewSentinelClient(&client.Options{Addr: address, MaxRetries: -1})
			defer func() { _ = c.Close() }()
			return c.Ping(ctx).Err()
		},
	})
	bothWays(t, s, config.Redis{URL: "redis://" + address, Sentinel: &config.RedisSentinel{Master: "orders"}})
}
