//go:build integration

package postgres_test

import (
	"testing"

	"sluice/integration/adapters"
	"sluice/integration/postgres"
	"sluice/sinks/sinktest"
	"sluice/sources/sourcetest"
)

// The server syncs here, as it does for users.

func BenchmarkSource(b *testing.B) {
	server := postgres.Start(b, "fsync=on")
	database := server.Database(b)
	adapters.BenchSource(b, "postgres", func(tb testing.TB) sourcetest.Upstream { tb.Helper(); return upstream(tb, server, database) })
}

func BenchmarkSink(b *testing.B) {
	server := postgres.Start(b, "fsync=on")
	database := server.Database(b)
	adapters.BenchSink(b, "postgres", func(tb testing.TB) sinktest.Store { tb.Helper(); return store(tb, server, database) })
}
