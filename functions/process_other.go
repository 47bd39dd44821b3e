//go:build !unix

package functions

import (
	"errors"
	"fmt"
)

// CheckUser says whether workers can run as another user.
func CheckUser(name string) error {
	return fmt.Errorf("user %s: %w on this system", name, errors.ErrUnsupported)
}

// CheckLandlock says whether this machine has Landlock.
func CheckLandlock() error { return fmt.Errorf("landlock: %w on this system", errors.ErrUnsupported) }

func newLauncher(spec Spec, _ string) (Launcher, error) {
	return nil, fmt.Errorf("function %q: workers are %w on this system: use Linux, macOS or another Unix", spec.Name, errors.ErrUnsupported)
}

func killOrphans(string) {}

func readNow(uintptr, []byte) (int, pipeState) { return 0, atEnd }
