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

// Program returns the program that sources and sinks are killed in.
func Program() *harness.Program { return program }

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
