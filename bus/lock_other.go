//go:build !unix

package bus

import (
	"errors"
	"fmt"
)

type folderLock struct{}

func lockFolder(dir string) (*folderLock, error) {
	return nil, fmt.Errorf("locking the bus's folder %s: %w on this system: use a JetStream server by its URL", dir, errors.ErrUnsupported)
}

func (l *folderLock) release() error { return nil }

func freeSpace(string) (int64, error) { return 0, errors.ErrUnsupported }
