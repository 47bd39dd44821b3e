//go:build integration

package kinesis_test

import (
	"testing"

	"sluice/integration/adapters"
)

func TestMain(m *testing.M) { adapters.Main(m) }
