//go:build integration

package adapters

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"sluice/integration/harness"
)

// program is built when it is first needed, once for all tests of a package.
var program = harness.NewProgram(false)

// Main is the TestMain of a package that kills sources or sinks: it runs the
// tests, removes the program, and fails when a goroutine is left.
func Main(m *testing.M) {
	code := m.Run()
	err := program.Remove()
	if err == nil {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}
