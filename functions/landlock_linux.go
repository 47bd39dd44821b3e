package functions

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a worker needs to run at all: programs, libraries, the names of hosts
// and the certificates of authorities. What is not there is left out.
func systemPaths() []string {
	return []string{
		"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr", "/proc", "/sys/devices/system/cpu", "/sys/fs/cgroup",
		"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
		"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/mime.types",
		"/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/run/systemd/resolve", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
		"/etc/passwd", "/etc/group", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/etc/pki",
	}
}

const (
	landlockRead = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	// What applies to a file that is no folder.
	landlockFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	// The rights of the first version: all up to making symbolic links.
	landlockFirst = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1
)

// landlockRights are all rights to files that a version of Landlock knows.
func landlockRights(version int) uint64 {
	rights := uint64(landlockFirst)
	for since, right := range map[int]uint64{
		2: unix.LANDLOCK_ACCESS_FS_REFER, 3: unix.LANDLOCK_ACCESS_FS_TRUNCATE, 5: unix.LANDLOCK_ACCESS_FS_IOCTL_DEV,
	} {
		if version >= since {
			rights |= right
		}
	}
	return rights
}

// A ruleset is a Landlock domain that is being made; nil is none.
type ruleset struct {
	fd     int
	rights uint64
}

// CheckLandlock says whether this machine has Landlock.
func CheckLandlock() error {
	_, err := landlockVersion()
	return err
}

func landlockVersion() (int, error) {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, fmt.Errorf("%w: %w", errNoLandlock, errno)
	}
	return int(version), nil
}

// newRuleset opens all that the workers of a spec may reach. Their private
// folders are below private, where those of one function reach each other's.
func newRuleset(spec Spec, private string) (*ruleset, error) {
	if spec.Landlock == nil {
		return nil, nil //nolint:nilnil // no Landlock
	}
	version, err := landlockVersion()
	if err != nil {
		return nil, err
	}
	r := &ruleset{rights: landlockRights(version)}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: r.rights}
	if version >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return nil, fmt.Errorf("make a Landlock ruleset: %w", errno)
	}
	r.fd = int(fd)
	if err := r.allowAll(spec, private); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *ruleset) allowAll(spec Spec, private string) error {
	for _, path := range append(systemPaths(), filepath.Dir(spec.Program.Command[0])) {
		if err := r.allow(path, landlockRead); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for _, path := range append(append([]string{spec.Program.Dir}, spec.Program.Read...), spec.Landlock.Read...) {
		if err := r.allow(path, landlockRead); err != nil {
			return err
		}
	}
	for _, path := range append([]string{private, os.DevNull}, spec.Landlock.Write...) {
		if err := r.allow(path, r.rights); err != nil {
			return err
		}
	}
	return nil
}

// allow adds rights to a path, and to all below it if it is a folder.
func (r *ruleset) allow(path string, rights uint64) error {
	file, err := os.OpenFile(path, unix.O_PATH, 0)
	if err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	if !info.IsDir() {
		rights &= landlockFile
	}
	beneath := unix.LandlockPathBeneathAttr{Allowed_access: rights & r.rights, Parent_fd: int32(file.Fd())}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(r.fd), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&beneath)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("landlock: allow %s: %w", path, errno)
	}
	return nil
}

// restrict confines the calling thread, and what it starts, for ever.
func (r *ruleset) restrict() error {
	if r == nil {
		return nil
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(r.fd), 0, 0); errno != 0 {
		return fmt.Errorf("confine workers by Landlock: %w", errno)
	}
	return nil
}

func (r *ruleset) close() {
	if r != nil {
		_ = unix.Close(r.fd)
	}
}
