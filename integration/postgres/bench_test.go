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
	adapters.BenchSource(b, func(tb testing.TB) sourcetest.Upstream { tb.Helper(); return upstream(tb, server, database) })
}

func BenchmarkSink(b *testing.B) {
	server := postgres.Start(b, "fsync=on")
	database := server.Database(b)
	for _, batches := range []bool{false, true} {
		name := "single"
		if batches {
			name = "batches"
		}
		b.Run(name, func(b *testing.B) {
			adapters.BenchSink(b, func(tb testing.TB) sinktest.Store {
				tb.Helper()
				st := store(tb, server, database)
				st.Batches = batches
				return st
			})
		})
	}
}
