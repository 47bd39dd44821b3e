package functions

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	maxEnvironment = 4 << 20 // bytes of a process's environment that are looked at
	maxSweeps      = 20
)

// killOrphans ends what a worker has started and what has left its group. Such
// processes are known by the name of the worker in the environment which they
// have inherited; one that clears its environment is not found. It looks again
// until there is none, since they may start others.
func killOrphans(worker string) {
	for range maxSweeps {
		if killMarked([]byte("]"+worker)) == 0 {
			return
		}
	}
}

// killMarked kills the processes of a worker, and returns how many there were.
func killMarked(mark []byte) (killed int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() || !marked(pid, mark) {
			continue
		}
		if killIf(pid, mark) {
			killed++
		}
	}
	return killed
}

// killIf kills a process if it still is the one with the mark, and not another
// one with its number.
func killIf(pid int, mark []byte) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ENOSYS) { // before Linux 5.3
		return syscall.Kill(pid, syscall.SIGKILL) == nil
	}
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	return marked(pid, mark) && unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}

// marked says whether the environment of a process names the worker. That of a
// zombie is empty, and that of another user's cannot be read.
func marked(pid int, mark []byte) bool {
	file, err := os.Open("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	data, _ := io.ReadAll(io.LimitReader(file, maxEnvironment))
	if !bytes.Contains(data, mark) {
		return false
	}
	for line := range bytes.SplitSeq(data, []byte{0}) {
		if strings.HasPrefix(string(line), streamVariable+"=") && bytes.HasSuffix(line, mark) {
			return true
		}
	}
	return false
}
