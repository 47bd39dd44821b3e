package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// patience is how long the server may take to start, and to stop.
const patience = 30 * time.Second

// A server is a PostgreSQL with data of its own, as an installation would have one
// elsewhere.
type server struct {
	address string
	command *exec.Cmd
	exited  chan error
}

// startServer starts a PostgreSQL on a folder, which it makes the first time.
func startServer(ctx context.Context, address, folder string) (*server, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(all) == 0 {
		return nil, errors.New("PostgreSQL is not installed: apt-get install postgresql")
	}
	bin := filepath.Dir(all[len(all)-1])
	as, home, err := servant(folder)
	if err != nil {
		return nil, err
	}
	cluster := filepath.Join(home, "cluster")
	if _, err := os.Stat(filepath.Join(cluster, "PG_VERSION")); err != nil {
		if err := initialize(ctx, bin, home, cluster, as); err != nil {
			return nil, err
		}
	}
	// Logical replication is what the source reads.
	command := exec.Command(filepath.Join(bin, "postgres"), "-D", cluster, "-h", host, "-p", port, "-k", "", "-c", "wal_level=logical") //nolint:noctx // it is stopped in its own way
	command.Dir, command.SysProcAttr, command.Stderr = home, as, os.Stderr
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("the PostgreSQL server: %w", err)
	}
	s := &server{address: address, command: command, exited: make(chan error, 1)}
	go func() { s.exited <- command.Wait() }()
	return s, s.ready(ctx)
}

// servant is who the server runs as, and the folder that it keeps its data in: it
// does not run as root.
func servant(folder string) (*syscall.SysProcAttr, string, error) {
	home := filepath.Join(folder, "postgres")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, "", err
	}
	as := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() != 0 {
		return as, home, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, "", fmt.Errorf("who the server is to run as: %w", err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if err := errors.Join(uidErr, gidErr, os.Chown(home, uid, gid)); err != nil {
		return nil, "", err
	}
	as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return as, home, nil
}

// initialize makes the data of a server, and its user.
func initialize(ctx context.Context, bin, home, cluster string, as *syscall.SysProcAttr) error {
	password := filepath.Join(home, "password")
	if err := os.WriteFile(password, []byte("example"), 0o600); err != nil {
		return err
	}
	defer func() { _ = os.Remove(password) }()
	if as.Credential != nil {
		if err := os.Chown(password, int(as.Credential.Uid), int(as.Credential.Gid)); err != nil {
			return err
		}
	}
	command := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", cluster, "-U", "shop", "--pwfile", password, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8")
	command.Dir, command.SysProcAttr = home, as
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

func (s *server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		conn, err := s.connect(ctx)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case exit := <-s.exited:
			return fmt.Errorf("the PostgreSQL server has ended: %w (WORKER_PORT names another port)", exit)
		case <-ctx.Done():
			s.stop()
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the server, without waiting for who is connected.
func (s *server) stop() {
	_ = s.command.Process.Signal(os.Interrupt) // it may have ended
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.command.Process.Kill()
		<-s.exited
	}
}
