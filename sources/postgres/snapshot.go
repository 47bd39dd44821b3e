package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sluice/event"
	"sluice/sources"
)

// A reader reads the rows of a snapshot.
type reader struct {
	*run
	conn   *pgx.Conn
	cursor *cursor
	at     time.Time
}

// snapshot publishes the rows that a view of the database has, from where the
// cursor is, and moves that on to where changes begin.
func (r *run) snapshot(ctx context.Context, view string, c *cursor) error {
	conn, err := r.connect(ctx, nil)
	if err != nil {
		return explainReplication(err)
	}
	defer closeConn(ctx, conn)
	begin := "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '" + strings.ReplaceAll(view, "'", "''") + "'"
	if err := conn.PgConn().Exec(ctx, begin).Close(); err != nil {
		return fmt.Errorf("the view of the snapshot: %w", err)
	}
	tables, err := r.catalog.published(ctx, r.cfg.Publication, r.server.version)
	if err != nil {
		return fmt.Errorf("the tables of the publication: %w", err)
	}
	s := &reader{run: r, conn: conn, cursor: c}
	if err := conn.QueryRow(ctx, "SELECT now()").Scan(&s.at); err != nil {
		return err
	}
	s.at = s.at.UTC()
	for i := range tables {
		if p := &tables[i]; r.wantsPublished(p) && p.name() >= c.Table {
			if err := s.table(ctx, p); err != nil {
				return fmt.Errorf("the snapshot of %s: %w", p.name(), err)
			}
		}
	}
	r.env.Logger.Info("the snapshot is complete", slog.String("slot", r.cfg.Slot))
	*c = cursor{System: c.System, Timeline: c.Timeline, Database: c.Database, Phase: phaseStream, Point: c.Point, position: position{LSN: c.Point}}
	return r.publish(ctx, c)
}

func (r *run) wantsPublished(p *published) bool {
	schema, name, _ := strings.Cut(p.root, ".")
	return r.cfg.wants(p.schema, p.table) || p.root != "" && r.cfg.wants(schema, name)
}

// table publishes the rows of one table, in the order of its key, or else of where
// they are stored.
func (s *reader) table(ctx context.Context, p *published) error {
	if p.name() != s.cursor.Table {
		s.cursor.Table, s.cursor.Key = p.name(), nil
	}
	keys, err := s.catalog.keys(ctx, p.oid)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(keys, func(key string) bool { return !slices.Contains(p.columns, key) }) {
		keys = nil // the publication leaves it out
	}
	query, arguments := s.query(p, keys)
	values := make([][]byte, len(arguments))
	for i := range arguments {
		values[i] = []byte(arguments[i])
	}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	rows := s.conn.PgConn().ExecParams(reading, query, values, nil, nil, nil)
	if err := s.rows(ctx, p, keys, rows); err != nil {
		cancel() // else Close would read what is left
		_, _ = rows.Close()
		return err
	}
	_, err = rows.Close()
	return err
}

// byPlace is what rows without a key are identified by.
var byPlace = [...]string{"tableoid", "ctid"}

// query selects what identifies the rows and then all columns, behind the last row
// that is published.
func (s *reader) query(p *published, keys []string) (query string, arguments []string) {
	order := make([]string, len(keys))
	for i, key := range keys {
		order[i] = quote(key)
	}
	if len(keys) == 0 {
		order = byPlace[:]
	}
	columns := make([]string, len(p.columns))
	for i, name := range p.columns {
		columns[i] = quote(name)
	}
	var conditions []string
	if p.filter != "" {
		conditions = append(conditions, "("+p.filter+")")
	}
	if len(s.cursor.Key) == len(order) {
		arguments = s.cursor.Key
		marks := make([]string, len(order))
		for i := range order {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}
		conditions = append(conditions, fmt.Sprintf("(%s) > (%s)", strings.Join(order, ", "), strings.Join(marks, ", ")))
	}
	by := strings.Join(order, ", ")
	query = "SELECT " + by + ", " + strings.Join(columns, ", ") + " FROM " + quote(p.schema, p.table)
	if len(conditions) > 0 {
		query += " WHERE " + strings.Join(conditions, " AND ")
	}
	return query + " ORDER BY " + by, arguments
}

// rows publishes rows as they come. They are not read faster than they are
// published, and the server waits.
func (s *reader) rows(ctx context.Context, p *published, keys []string, rows *pgconn.ResultReader) error {
	var t *table
	identity := len(keys)
	if identity == 0 {
		identity = len(byPlace)
	}
	b := &batch{}
	for rows.NextRow() {
		if t == nil {
			var err error
			if t, err = s.tableOf(ctx, p, keys, rows.FieldDescriptions()[identity:]); err != nil {
				return err
			}
		}
		values := rows.Values()
		key := make([]string, identity)
		for i := range key {
			key[i] = string(values[i])
		}
		e := t.read(s.cursor.System, s.cursor.Point, s.at, "", fieldsOf(values[identity:]))
		e.ID += e.PartitionKey()
		if len(keys) == 0 {
			e.ID = strings.Join([]string{e.ID, key[0], key[1]}, "/")
		}
		b.events, b.keys, b.size = append(b.events, e), append(b.keys, key), b.size+event.Size(&e)
		if len(b.events) == sources.MaxBatch || b.size >= maxBytes {
			if err := s.store(ctx, b); err != nil {
				return err
			}
			b = &batch{}
		}
	}
	if len(b.events) == 0 {
		return nil
	}
	if _, err := rows.Close(); err != nil {
		return err
	}
	return s.store(ctx, b)
}

func (s *reader) store(ctx context.Context, b *batch) error {
	s.cursor.Key = b.keys[len(b.keys)-1]
	return s.publishBatch(ctx, s.cursor, b, func(i int) *cursor {
		c := *s.cursor
		c.Key = b.keys[i]
		return &c
	})
}

func fieldsOf(values [][]byte) []field {
	fields := make([]field, len(values))
	for i, value := range values {
		fields[i] = field{state: fieldText, text: value}
		if value == nil {
			fields[i].state = fieldNull
		}
	}
	return fields
}

// tableOf makes events of the rows as those of changes are made.
func (r *run) tableOf(ctx context.Context, p *published, keys []string, described []pgconn.FieldDescription) (*table, error) {
	columns := make([]tableColumn, len(described))
	for i := range described {
		c, err := r.catalog.column(ctx, described[i].DataTypeOID)
		if err != nil {
			return nil, err
		}
		columns[i] = tableColumn{column: c, name: p.columns[i], key: slices.Contains(keys, p.columns[i])}
	}
	t := newTable(r.ceSource(), p.schema, p.table, columns)
	t.bigAsText = r.cfg.Numbers == AsText
	return t, nil
}
