package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"sluice/connect/postgresconn"
)

// queryTimeout bounds each query of the catalog.
const queryTimeout = 15 * time.Second

// A catalog asks the database about itself, over one connection that is opened
// when it is needed. It may be used by many goroutines at once.
type catalog struct {
	connect func(ctx context.Context) (*pgx.Conn, error)

	mu    sync.Mutex
	conn  *pgx.Conn
	types map[uint32]column
}

// with calls use with a connection.
func (c *catalog) with(ctx context.Context, use func(context.Context, *pgx.Conn) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	if c.conn == nil {
		conn, err := c.connect(ctx)
		if err != nil {
			return postgresconn.Explain(err)
		}
		c.conn = conn
	}
	err := use(ctx, c.conn)
	if c.conn.IsClosed() {
		closeConn(ctx, c.conn)
		c.conn = nil
	}
	return err
}

func (c *catalog) close(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		closeConn(ctx, c.conn)
		c.conn = nil
	}
}

// closeConn closes a connection, also after the end of ctx.
func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // it is of no use any more
	select {
	case <-conn.PgConn().CleanupDone():
	case <-time.After(closeTimeout): // it ends by itself
	}
}

// closeTimeout bounds the wait for a connection that is being closed.
const closeTimeout = 2 * time.Second

// A serverState is what has to be right before anything can begin.
type serverState struct {
	version       int // such as 150004
	walLevel      string
	senderTimeout time.Duration // 0 for none
}

func (c *catalog) server(ctx context.Context) (s serverState, err error) {
	err = c.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var milliseconds int64
		err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('wal_level'),
			(SELECT setting::bigint FROM pg_settings WHERE name = 'wal_sender_timeout')`).Scan(&s.version, &s.walLevel, &milliseconds)
		s.senderTimeout = time.Duration(milliseconds) * time.Millisecond
		return err
	})
	return s, err
}

// A slotState is a slot as the server has it.
type slotState struct {
	exists    bool
	plugin    string
	kind      string
	database  string
	active    bool
	walStatus string
	confirmed pglogrepl.LSN
	now       pglogrepl.LSN // where the server's log ends
}

func (c *catalog) slot(ctx context.Context, name string) (s slotState, err error) {
	err = c.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var confirmed, now string
		err := conn.QueryRow(ctx, `SELECT n.lsn::text, s.slot_name IS NOT NULL, coalesce(s.plugin, ''), coalesce(s.slot_type, ''), coalesce(s.database, ''),
			coalesce(s.active, false), coalesce(s.wal_status, ''), coalesce(s.confirmed_flush_lsn, '0/0')::text
			FROM (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn) n
			LEFT JOIN pg_replication_slots s ON s.slot_name = $1`, name).
			Scan(&now, &s.exists, &s.plugin, &s.kind, &s.database, &s.active, &s.walStatus, &confirmed)
		if err != nil {
			return err
		}
		if s.now, err = pglogrepl.ParseLSN(now); err != nil {
			return err
		}
		s.confirmed, err = pglogrepl.ParseLSN(confirmed)
		return err
	})
	return s, err
}

// column finds out what a type is.
func (c *catalog) column(ctx context.Context, oid uint32) (column, error) {
	if f, known := builtin(oid); known {
		return column{form: f}, nil
	}
	c.mu.Lock()
	found, known := c.types[oid]
	c.mu.Unlock()
	if known {
		return found, nil
	}
	found, err := c.lookUp(ctx, oid)
	if err != nil {
		return column{}, fmt.Errorf("the type %d: %w", oid, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.types == nil {
		c.types = map[uint32]column{}
	}
	c.types[oid] = found
	return found, nil
}

// lookUp follows domains to what they are of, and arrays to their elements. A
// type that has gone since is text.
func (c *catalog) lookUp(ctx context.Context, oid uint32) (column, error) {
	var kind, category, delimiter string
	var element, base uint32
	err := c.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT t.typtype::text, t.typcategory::text, t.typelem, t.typbasetype, coalesce(e.typdelim, ',')::text
			FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem WHERE t.oid = $1`, oid).
			Scan(&kind, &category, &element, &base, &delimiter)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return column{}, nil
	case err != nil:
		return column{}, err
	case kind == "d":
		return c.column(ctx, base)
	case category == "A" && element != 0:
		of, err := c.column(ctx, element)
		return column{form: of.form, array: true, delimiter: delimiter[0]}, err
	}
	return column{}, nil
}

// keys returns the columns of the table's replica identity where that is an
// index, and else of its primary key, in the order of the index.
func (c *catalog) keys(ctx context.Context, oid uint32) (names []string, err error) {
	err = c.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT a.attname::text FROM pg_class t
			JOIN pg_index i ON i.indrelid = t.oid AND CASE t.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
			JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY (i.indkey)
			WHERE t.oid = $1 AND array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts -- from 0
			ORDER BY array_position(i.indkey::int2[], a.attnum)`, oid)
		if err != nil {
			return err
		}
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return names, err
}

// A published is a table of the publication.
type published struct {
	oid           uint32
	schema, table string
	root          string   // what a partition is of in the end; empty for none
	columns       []string // of the publication, in their order
	filter        string   // of the publication, for rows; empty for none
}

func (p *published) name() string { return p.schema + "." + p.table }

// published returns the tables of a publication, sorted by name.
func (c *catalog) published(ctx context.Context, publication string, version int) (all []published, err error) {
	const columns = `ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum)`
	query := `SELECT c.oid, p.schemaname::text, p.tablename::text, ` + columns + `, ''`
	if version >= 150000 {
		query = `SELECT c.oid, p.schemaname::text, p.tablename::text, coalesce(p.attnames::text[], ` + columns + `), coalesce(p.rowfilter, '')`
	}
	err = c.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, query+`, `+rootName+` FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname
			JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
			WHERE p.pubname = $1 ORDER BY (p.schemaname || '.' || p.tablename) COLLATE "C"`, publication)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p published, err error) {
			return p, row.Scan(&p.oid, &p.schema, &p.table, &p.columns, &p.filter, &p.root)
		})
		return err
	})
	return all, err
}

// rootName is what a partition c is of in the end.
const rootName = `coalesce((SELECT rn.nspname || '.' || rc.relname FROM pg_class rc JOIN pg_namespace rn ON rn.oid = rc.relnamespace
	WHERE rc.oid = pg_partition_root(c.oid) AND rc.oid <> c.oid), '')`

// root returns the schema and the name of what a table is a partition of in the
// end; empty when it is none.
func (c *catalog) root(ctx context.Context, oid uint32) (schema, table string, err error) {
	var name string
	err = c.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT `+rootName+` FROM pg_class c WHERE c.oid = $1`, oid).Scan(&name)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", "", nil
	}
	schema, table, _ = strings.Cut(name, ".")
	return schema, table, err
}
