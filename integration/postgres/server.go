//go:build integration

package postgres

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/integration/debian"
	"sluice/integration/freeport"
	"sluice/integration/harness"
	"sluice/integration/server"
)

// The credentials of the superuser.
const (
	User     = "sluice"
	Password = "sluice-root-secret"
)

// runAs is who the server runs as where the test is root: PostgreSQL does not run
// as root.
const runAs = "postgres"

// A Server is a PostgreSQL. It is not for use by several goroutines at once, but
// for its databases.
type Server struct {
	*server.Server
	// Address is the host and port.
	Address string

	pid       func() int
	databases atomic.Int64
}

// Start makes a cluster and runs it until the test ends. Settings, such as
// "fsync=on", override those that are here for speed.
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	debian.Need(tb, "find /usr/lib/postgresql -name initdb", "postgresql")
	bin := binaries(tb)
	dir := tb.TempDir()
	give(tb, dir)
	cluster := filepath.Join(dir, "cluster")
	initialize(tb, bin, dir, cluster)
	s := &Server{Address: freeport.Address(tb), pid: func() int { return postmaster(cluster) }}
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		tb.Fatal(err)
	}
	command := []string{filepath.Join(bin, "postgres"), "-D", cluster, "-p", port, "-h", host, "-k", ""}
	defaults := []string{"wal_level=logical", "fsync=off", "max_wal_senders=20", "max_replication_slots=20", "max_connections=60", "autovacuum_naptime=10min"}
	for _, setting := range append(defaults, settings...) {
		command = append(command, "-c", setting)
	}
	s.Server = server.Start(tb, server.Options{
		Name: "PostgreSQL", Command: command, Dir: dir, User: runAs, Signal: syscall.SIGINT,
		Ready: func(ctx context.Context) error {
			conn, err := pgx.Connect(ctx, s.URL("postgres"))
			if err != nil {
				return err
			}
			return conn.Close(ctx)
		},
	})
	return s
}

// binaries returns the folder of the newest release.
func binaries(tb testing.TB) string {
	tb.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		tb.Fatalf("no initdb in /usr/lib/postgresql: %v", err)
	}
	release := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return release(a) - release(b) }))
}

// give makes a folder of the test that of who the server runs as.
func give(tb testing.TB, dir string) {
	tb.Helper()
	if os.Geteuid() != 0 {
		return
	}
	uid, gid := server.UserID(tb, runAs)
	if err := os.Chown(dir, uid, gid); err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { //nolint:gosec // so that it can be reached
		tb.Fatal(err)
	}
}

// Give writes a file that only the server reads.
func (s *Server) Give(tb testing.TB, dir, name string, content []byte) {
	tb.Helper()
	give(tb, dir)
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	if os.Geteuid() == 0 {
		uid, gid := server.UserID(tb, runAs)
		if err := os.Chown(path, uid, gid); err != nil {
			tb.Fatal(err)
		}
	}
}

func initialize(tb testing.TB, bin, dir, cluster string) {
	tb.Helper()
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(Password), 0o600); err != nil {
		tb.Fatal(err)
	}
	command := exec.CommandContext(tb.Context(), filepath.Join(bin, "initdb"), "-D", cluster, "-U", User, "--pwfile", secret,
		"--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8")
	command.Dir = dir
	if os.Geteuid() == 0 {
		uid, gid := server.UserID(tb, runAs)
		if err := os.Chown(secret, uid, gid); err != nil {
			tb.Fatal(err)
		}
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	if output, err := command.CombinedOutput(); err != nil {
		tb.Fatalf("initdb: %v\n%s", err, output)
	}
}

// URL returns that of a database, with the superuser's password in it.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(User, Password), Host: s.Address, Path: "/" + database}
	return u.String()
}

// Database makes a new one and returns its name. Its slots go when the test ends.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("db%d", s.databases.Add(1))
	s.Exec(tb, "postgres", "CREATE DATABASE "+name)
	tb.Cleanup(func() { s.DropSlots(tb, name) })
	return name
}

// DropSlots removes the slots of a database, which would keep the server's log.
func (s *Server) DropSlots(tb testing.TB, database string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return // the test has ended the server
	}
	defer func() { _ = conn.Close(ctx) }()
	_, _ = conn.Exec(ctx, `SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE database = $1 AND active`, database)
	_, _ = conn.Exec(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1 AND NOT active`, database)
}

// Connect opens a connection to a database, which is closed when the test ends.
func (s *Server) Connect(tb testing.TB, database string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), s.URL(database))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec runs statements, one after the other, and fails the test when one fails.
func (s *Server) Exec(tb testing.TB, database string, statements ...string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), s.URL(database))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(tb.Context())) }()
	for _, statement := range statements {
		if _, err := conn.Exec(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

// Text asks for one value, as text; "" is NULL, or none.
func (s *Server) Text(tb testing.TB, database, query string, arguments ...any) string {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), s.URL(database))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(tb.Context())) }()
	var text *string
	if err := conn.QueryRow(tb.Context(), "SELECT ("+query+")::text", arguments...).Scan(&text); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	if text == nil {
		return ""
	}
	return *text
}

// postmaster returns the process of a cluster.
func postmaster(cluster string) int {
	content, err := os.ReadFile(filepath.Join(cluster, "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, _ := strconv.Atoi(first)
	return pid
}

// children returns the server's processes: each has a group of its own, and
// outlives the first one for a moment.
func (s *Server) children() []int {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", s.pid()))
	if err != nil {
		return nil
	}
	var pids []int
	for word := range strings.FieldsSeq(string(content)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Crash kills all of the server's processes with SIGKILL and starts it on the same
// data.
func (s *Server) Crash(tb testing.TB) {
	tb.Helper()
	s.Pause(tb) // so that it starts nothing new meanwhile
	killed := s.children()
	for _, pid := range killed {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	// A new server does not start on memory that is still in use.
	harness.Eventually(tb, 10*time.Second, "its processes have ended", func() bool { return !slices.ContainsFunc(killed, lives) })
	s.Server.Crash(tb)
}

// lives tells whether a process still holds what it had: a zombie does not.
func lives(pid int) bool {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	state := content[bytes.LastIndexByte(content, ')')+1:]
	return !bytes.HasPrefix(state, []byte(" Z"))
}

// Hold stops all of the server's processes where they are, until release.
func (s *Server) Hold(tb testing.TB) (release func()) {
	tb.Helper()
	s.Pause(tb)
	held := s.children()
	for _, pid := range held {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return func() {
		for _, pid := range held {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
		s.Resume(tb)
	}
}
