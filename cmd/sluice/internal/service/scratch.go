package service

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sluice/config"
)

// scratch makes the folder for the programs and workers of functions, and
// returns its path. It stands where workers of other users reach it, and has the
// same name at each start of a configuration, so that what a kill has left is
// found and cleared away. The configuration's own bus keeps others out.
func scratch(file *config.File) (string, error) {
	name, err := filepath.Abs(file.Path)
	if err != nil {
		return "", fmt.Errorf("find the configuration: %w", err)
	}
	hash := sha256.Sum256([]byte(name + "\x00" + file.Bus.Prefix))
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("sluice-%d-%s", os.Getuid(), hex.EncodeToString(hash[:6])))
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("make the folder for functions: %w", err)
	}
	return dir, owned(dir)
}
