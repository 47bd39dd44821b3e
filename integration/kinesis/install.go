//go:build integration

package kinesis

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sluice/integration/debian"
)

// Version is the version of kinesalite that is run.
const Version = "3.3.3"

const pack = "kinesalite@" + Version

// Install returns the path of kinesalite's program, which Node.js runs. The
// first time it is installed. It fails the test, with the command that would have
// installed it, when that does not work.
func Install(tb testing.TB) string {
	tb.Helper()
	debian.Node(tb)
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatalf("no folder to keep kinesalite in: %v", err)
	}
	dir := filepath.Join(cache, "sluice", "kinesalite-"+Version)
	program := filepath.Join(dir, "node_modules", "kinesalite", "cli.js")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	debian.Need(tb, "npm --version", "npm")
	if err := install(tb, dir); err != nil {
		tb.Fatalf("kinesalite cannot be installed: %v\nInstall it by hand:\n\tnpm install --prefix %s %s", err, dir, pack)
	}
	return program
}

// install installs beside the cache and renames, so that two tests at once do no
// harm.
func install(tb testing.TB, dir string) error {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	making, err := os.MkdirTemp(filepath.Dir(dir), "installing-") //nolint:usetesting // to be renamed from, on the same disk
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(making) }()
	tb.Logf("installing %s, once", pack)
	command := exec.CommandContext(tb.Context(), "npm", "install", "--prefix", making, "--no-audit", "--no-fund", pack)
	if output, err := command.CombinedOutput(); err != nil {
		tb.Logf("%s", output)
		return err
	}
	err = os.Rename(making, dir)
	if _, found := os.Stat(filepath.Join(dir, "node_modules")); found == nil {
		return nil // another test was faster
	}
	return err
}
