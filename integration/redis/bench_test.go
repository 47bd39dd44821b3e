//go:build integration

package redis_test

import (
	"testing"

	"sluice/integration/adapters"
)

func BenchmarkSource(b *testing.B) {
	for _, w := range ways() {
		adapters.BenchSource(b, w.name, w.upstream)
	}
}

func BenchmarkSink(b *testing.B) {
	adapters.BenchSink(b, "redis", store)
}
