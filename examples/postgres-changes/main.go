// Command postgres-changes shows changes to a table of PostgreSQL: an order that
// is paid runs a function, and a sink keeps the history of all orders in a table.
//
//	go run ./examples/postgres-changes
//
// It needs PostgreSQL 13 or newer (Debian: apt-get install postgresql) and Python
// 3.9 or newer. It builds sluice, runs a PostgreSQL of its own, and "sluice dev" on
// sluice.yaml beside this file, and says what to type next.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"sluice/examples/internal/example"
)

func main() {
	(&example.Example{Name: "postgres-changes", Run: run, Story: story}).Main()
}

// url returns that of the database of a server.
func url(address string) string { return "postgres://shop:example@" + address + "/postgres" }

// tables are what a shop has, and what the sink writes.
//
//go:embed tables.sql
var tables string

// run runs the server until ctx ends.
func run(ctx context.Context, address, folder string, ready func()) error {
	s, err := startServer(ctx, address, folder)
	if err != nil {
		return err
	}
	defer s.stop()
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	_, err = conn.PgConn().Exec(ctx, tables).ReadAll()
	_ = conn.Close(ctx) // nothing is under way
	if err != nil {
		return fmt.Errorf("the tables: %w", err)
	}
	ready()
	<-ctx.Done()
	return nil
}

func (s *server) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, url(s.address))
	if err != nil {
		return nil, fmt.Errorf("the PostgreSQL server: %w", err)
	}
	return conn, nil
}

func story(p example.Place) string {
	return fmt.Sprintf(`
A shop has its orders in PostgreSQL; the one that was there is read first. In another terminal:

  1. An order, which is paid: the function confirms it.
       psql %[1]s -c "INSERT INTO orders VALUES (2, 'Ben', 99.90)"
       psql %[1]s -c "UPDATE orders SET state = 'paid' WHERE id = 2"
       %[2]s logs confirm%[3]s
  2. What has become of the orders, as a table that a sink writes:
       psql %[1]s -c "SELECT at, what, order_id, change->'new' AS new FROM history ORDER BY at"
  3. Stop this program, change an order, and start it again: nothing is missed.
  4. Check that every change is accounted for:
       %[2]s audit%[3]s
`, url(strings.TrimPrefix(p.Worker, "http://")), p.Sluice, p.Server)
}
