//go:build integration

package redis_test

import (
	"testing"

	"sluice/integration/adapters"
)

func BenchmarkSource(b *testing.B) {
	for _, w := range ways() {
		b.Run(w.name, func(b *testing.B) { adapters.BenchSource(b, w.upstream) })
	}
}

func BenchmarkSink(b *testing.B) {
	b.Run("redis", func(b *testing.B) { adapters.BenchSink(b, store) })
}
