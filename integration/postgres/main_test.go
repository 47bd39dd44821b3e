//go:build integration

package postgres_test

import (
	"testing"

	"sluice/integration/adapters"
)

func TestMain(m *testing.M) {
	adapters.Main(m)
}
