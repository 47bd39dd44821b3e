//go:build integration

package kafka_test

import (
	"testing"

	"sluice/integration/adapters"
	"sluice/integration/kafka"
)

func TestMain(m *testing.M) {
	if !kafka.Serve() {
		adapters.Main(m)
	}
}
