//go:build unix

package bus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A folderLock keeps a second process away from the bus's folder. The kernel
// lets go of it when the process ends, however it ends.
type folderLock struct{ file *os.File }

// lockFolder takes the folder, or says who holds it.
func lockFolder(dir string) (*folderLock, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the bus's folder: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("the bus's folder %s is in use by %s: stop it, or use another folder", dir, holder(file))
		return nil, errors.Join(err, file.Close())
	}
	if err == nil {
		err = writePID(file)
	}
	if err != nil && !errors.Is(err, syscall.ENOSPC) { // then nobody learns who holds it
		return nil, errors.Join(fmt.Errorf("locking the bus's folder %s: %w", dir, err), file.Close())
	}
	return &folderLock{file: file}, nil
}

func writePID(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder reads who has written its process id into the lock file.
func holder(file *os.File) string {
	text, err := io.ReadAll(io.LimitReader(file, 32))
	pid, bad := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || bad != nil {
		return "another process"
	}
	return "process " + strconv.Itoa(pid)
}

func (l *folderLock) release() error { return l.file.Close() }
