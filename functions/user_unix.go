//go:build unix

package functions

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// CheckUser says whether workers can run as a user, a name or uid with or
// without :group.
func CheckUser(name string) error {
	_, err := credential(name)
	return err
}

// findUser returns whom the workers of a spec run as, nil for sluice's own user,
// and checks that this one can read the program.
func findUser(spec Spec) (*syscall.Credential, error) {
	if spec.User == "" {
		return nil, nil //nolint:nilnil // nobody else is an answer
	}
	c, err := credential(spec.User)
	if err != nil {
		return nil, err
	}
	for _, path := range []string{spec.Program.Command[0], spec.Program.Dir} {
		if err := reaches(c, path); err != nil {
			return nil, fmt.Errorf("user %s cannot run the function: %w", spec.User, err)
		}
	}
	return c, nil
}

func credential(name string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("user %s: only root can run workers as another user, and sluice runs as uid %d", name, os.Geteuid())
	}
	name, group, hasGroup := strings.Cut(name, ":")
	uid, gid, err := findIDs(name)
	if err != nil {
		return nil, err
	}
	if hasGroup {
		if gid, err = findGroup(group); err != nil {
			return nil, err
		}
	}
	return &syscall.Credential{Uid: uid, Gid: gid}, nil
}

// findIDs returns the ids of a user. One who is not known, but has a number,
// has a group of the same number.
func findIDs(name string) (uid, gid uint32, err error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		if known, err := user.LookupId(name); err == nil {
			return uint32(n), number(known.Gid), nil
		}
		return uint32(n), uint32(n), nil
	}
	known, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("user %q is not known here: %w", name, err)
	}
	return number(known.Uid), number(known.Gid), nil
}

func findGroup(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	known, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("group %q is not known here: %w", name, err)
	}
	return number(known.Gid), nil
}

// number reads an id of the system, which is a number on every Unix.
func number(id string) uint32 {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return ^uint32(0) >> 1 // nobody's
	}
	return uint32(n)
}

// reaches says whether a user may enter all folders above a path, and read or
// execute it. Access lists are not looked at.
func reaches(c *syscall.Credential, path string) error {
	for at := path; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		if !mayExecute(c, info) {
			return fmt.Errorf("%s may not be entered or executed by it: run `chmod o+x %s`", at, at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

func mayExecute(c *syscall.Credential, info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	switch {
	case !ok || c.Uid == 0:
		return true
	case stat.Uid == c.Uid:
		return mode&0o100 != 0
	case stat.Gid == c.Gid:
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}

var errNoLandlock = errors.New("landlock needs Linux 5.13 or later with Landlock on")
