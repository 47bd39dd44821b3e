// Package debian sees to it that the programs are there which integration tests
// run: it installs Debian's packages where that can be done.
package debian

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// mostOutput is how many bytes of a failed installation are shown.
const mostOutput = 8 << 10

// Need runs a command that succeeds when all is there that a test needs, such as
// "node --version". When it fails, the packages are installed if the test runs as
// root, and else the test fails with the command that installs them.
func Need(tb testing.TB, probe string, packages ...string) {
	tb.Helper()
	command := strings.Fields(probe)
	works := func() bool { return exec.CommandContext(tb.Context(), command[0], command[1:]...).Run() == nil }
	if works() {
		return
	}
	install := append([]string{"apt-get", "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"}, packages...)
	if os.Geteuid() == 0 {
		tb.Logf("installing %s, once", strings.Join(packages, ", "))
		if !run(tb, install) && run(tb, []string{"apt-get", "update"}) {
			run(tb, install)
		}
	}
	if !works() {
		tb.Fatalf("%q fails. Install what it needs by hand:\n\tapt-get update && %s", probe, strings.Join(install, " "))
	}
}

// Node needs Node.js.
func Node(tb testing.TB) { tb.Helper(); Need(tb, "node --version", "nodejs") }

// Python needs Python 3.
func Python(tb testing.TB) { tb.Helper(); Need(tb, "python3 --version", "python3") }

// Curl needs curl.
func Curl(tb testing.TB) { tb.Helper(); Need(tb, "curl --version", "curl") }

// run says whether a command has succeeded, and logs what it says when not.
func run(tb testing.TB, command []string) bool {
	tb.Helper()
	c := exec.CommandContext(tb.Context(), command[0], command[1:]...)
	c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	output, err := c.CombinedOutput()
	if err != nil {
		tb.Logf("%s: %v\n%s", strings.Join(command, " "), err, output[max(0, len(output)-mostOutput):])
	}
	return err == nil
}
