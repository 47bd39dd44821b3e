//go:build integration

package integration_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

// TestReadmeCommands is to run the commands of the README as a new user does.
func TestReadmeCommands(t *testing.T) {
	if _, err := os.Stat("../README.md"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no README yet")
	}
	t.Skip("to be written with the README")
}
