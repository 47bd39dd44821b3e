//go:build integration

package minio

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Version is the version of MinIO that is run.
const Version = "v0.0.0-20260212201848-7aac2a2c5b7c"

const module = "github.com/minio/minio"

// Build returns the path of the MinIO binary. The first time it builds it,
// which takes a few minutes. It fails the test, with the command that would
// have built it, when that does not work.
func Build(tb testing.TB) string {
	tb.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatalf("no folder to keep MinIO in: %v", err)
	}
	dir := filepath.Join(cache, "sluice", "minio-"+Version)
	binary := filepath.Join(dir, "minio")
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	if err := install(tb, dir, binary); err != nil {
		tb.Fatalf("MinIO cannot be built: %v\nBuild it by hand:\n\tGOBIN=%s CGO_ENABLED=0 go install %s@%s", err, dir, module, Version)
	}
	return binary
}

// install builds beside the cache and renames, so that two tests at once do no
// harm.
func install(tb testing.TB, dir, binary string) error {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	building, err := os.MkdirTemp(dir, "building-") //nolint:usetesting // to be renamed from, on the same disk
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(building) }()
	tb.Logf("building MinIO %s, once", Version)
	command := exec.CommandContext(tb.Context(), "go", "install", module+"@"+Version)
	command.Dir = building // outside of this module
	command.Env = append(os.Environ(), "GOBIN="+building, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if output, err := command.CombinedOutput(); err != nil {
		tb.Logf("%s", output)
		return err
	}
	return os.Rename(filepath.Join(building, "minio"), binary)
}
