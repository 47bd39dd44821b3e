//go:build integration

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/examples/internal/exampletest"
	"sluice/integration/debian"
)

// TestTheStory does what the README tells to do.
func TestTheStory(t *testing.T) {
	debian.Python(t)
	debian.Need(t, "find /usr/lib/postgresql -name initdb", "postgresql")
	// PostgreSQL does not run as root, and is to reach what is below this folder.
	if err := os.Chmod(filepath.Dir(t.TempDir()), 0o711); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	s := exampletest.Raise(t)
	conn, err := pgx.Connect(t.Context(), url(strings.TrimPrefix(s.Worker, "http://")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	history := func(want string) {
		t.Helper()
		got := ""
		s.Eventually("the history is "+want, func() bool {
			err := conn.QueryRow(t.Context(), "SELECT coalesce(string_agg(order_id || ' ' || what, ', ' ORDER BY at, what), '') FROM history").Scan(&got)
			return err == nil && got == want
		})
	}
	const read = "1 postgres.row.read"
	history(read)
	for _, statement := range []string{"INSERT INTO orders VALUES (2, 'Ben', 99.90)", "UPDATE orders SET state = 'paid' WHERE id = 2"} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	s.Await("→ paid  ✓ delivered")
	s.SluiceEventually("order 2 of Ben is paid: 99.90", "logs", "confirm")
	history(read + ", 2 postgres.row.inserted, 2 postgres.row.updated")
	s.SluiceEventually("\nconserved: 3 events checked", "audit")
}
