package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/connect/postgresconn"
	"sluice/event/transform"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// dialTimeout bounds the opening of a connection to one address.
const dialTimeout = 5 * time.Second

// prepared is the name of the statement on each connection.
const prepared = "sluice"

// A sink runs one statement.
type sink struct {
	statement *statement
	templates map[string]*transform.Template
	turns     *transform.Turns
	config    *pgxpool.Config

	mu     sync.Mutex
	pool   *pgxpool.Pool // nil until it is needed
	closed bool
	types  map[uint32]target // of the server, besides those that it brings
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	statement, err := c.statement()
	if err != nil {
		return nil, err
	}
	templates, err := c.templates()
	if err != nil {
		return nil, err
	}
	guard := c.Egress.Guard(env.Egress)
	pool, err := c.Pool(postgresconn.Options{Application: "sluice " + env.Name, Dialer: guard.Dialer(dialTimeout)})
	if err != nil {
		return nil, err
	}
	pool.MaxConns = int32(c.Connections)
	return &sink{statement: statement, templates: templates, turns: env.Turns, config: pool, types: map[uint32]target{}}, nil
}

// Close closes the connections.
func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.pool != nil {
		s.pool.Close()
	}
	return nil
}

func (s *sink) open(ctx context.Context) (*pgxpool.Pool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, sinks.ErrClosed
	}
	if s.pool == nil {
		pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), s.config)
		if err != nil {
			return nil, err
		}
		s.pool = pool
	}
	return s.pool, nil
}

// Deliver runs the statement for each delivery: in one transaction, and when that
// fails for a row, for each by itself.
func (s *sink) Deliver(ctx context.Context, attempt sinks.Attempt) (sinks.Response, error) {
	err := s.deliver(ctx, &attempt)
	some, _ := errors.AsType[*sinks.PartialError](err)
	if ctx.Err() != nil && err != nil && some == nil && !sinks.IsPermanent(err) {
		err = fmt.Errorf("not done when the attempt was over: %w", ctx.Err())
	}
	return sinks.Response{}, err
}

func (s *sink) deliver(ctx context.Context, a *sinks.Attempt) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	failed := map[int]error{}
	rows := make([]row, 0, len(a.Deliveries))
	for i := range a.Deliveries {
		values, err := s.fill(ctx, a.Trigger, &a.Deliveries[i])
		if err != nil {
			failed[i] = err
			continue
		}
		rows = append(rows, row{index: i, values: values})
	}
	if len(rows) > 0 {
		if err := s.connected(ctx, rows, failed); err != nil {
			for _, r := range rows {
				failed[r.index] = err
			}
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(a.Deliveries) == 1:
		return failed[0]
	}
	return &sinks.PartialError{Failed: failed}
}

// A row is what the statement is run with for one delivery.
type row struct {
	index   int // of the delivery
	values  []value
	data    [][]byte
	formats []int16
}

// connected runs the rows on a connection. Its error is that of all rows, and
// failed has those of single ones.
func (s *sink) connected(ctx context.Context, rows []row, failed map[int]error) error {
	pool, err := s.open(ctx)
	if err != nil {
		return err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return connectError(err)
	}
	defer conn.Release()
	described, err := conn.Conn().Prepare(ctx, prepared, s.statement.sql)
	if err != nil {
		return runError(fmt.Errorf("the statement: %w", err))
	}
	targets, err := s.targets(ctx, conn.Conn(), described.ParamOIDs)
	if err != nil {
		return runError(err)
	}
	ready := make([]row, 0, len(rows))
	for _, r := range rows {
		if err := s.encode(&r, targets); err != nil {
			failed[r.index] = sinks.Permanent(err)
			continue
		}
		ready = append(ready, r)
	}
	err = runAll(ctx, conn.Conn().PgConn(), ready)
	if err == nil {
		return nil
	}
	if len(ready) == 1 || !ofRow(err) {
		for _, r := range ready {
			failed[r.index] = runError(err)
		}
	} else {
		runEach(ctx, conn.Conn().PgConn(), ready, failed)
	}
	if stale(err) {
		_ = conn.Conn().Close(ctx) // it is prepared anew on another one
	}
	return nil
}

func (s *sink) encode(r *row, targets []target) error {
	r.data, r.formats = make([][]byte, len(r.values)), make([]int16, len(r.values))
	for i := range r.values {
		data, format, err := r.values[i].encode(targets[i])
		if err != nil {
			return fmt.Errorf(":%s: %w", s.statement.parameters[i].name, err)
		}
		r.data[i], r.formats[i] = data, format
	}
	return nil
}

// targets finds out what the server takes for each parameter.
func (s *sink) targets(ctx context.Context, conn *pgx.Conn, oids []uint32) ([]target, error) {
	if len(oids) != len(s.statement.parameters) {
		return nil, fmt.Errorf("the server finds %d parameters in the statement, and sluice %d", len(oids), len(s.statement.parameters))
	}
	targets := make([]target, len(oids))
	for i, oid := range oids {
		found, known := builtin(conn.TypeMap(), oid)
		if !known {
			var err error
			if found, err = s.lookUp(ctx, conn, oid); err != nil {
				return nil, fmt.Errorf("the type of :%s: %w", s.statement.parameters[i].name, err)
			}
		}
		targets[i] = found
	}
	return targets, nil
}

// lookUp asks the server about a type: arrays of types of its own, and domains.
func (s *sink) lookUp(ctx context.Context, conn *pgx.Conn, oid uint32) (target, error) {
	s.mu.Lock()
	found, known := s.types[oid]
	s.mu.Unlock()
	if known {
		return found, nil
	}
	var kind, category string
	var base uint32
	err := conn.QueryRow(ctx, "SELECT typtype::text, typcategory::text, typbasetype FROM pg_type WHERE oid = $1", oid).Scan(&kind, &category, &base)
	switch {
	case err != nil:
		return asText, err
	case kind == "d":
		var of bool
		if found, of = builtin(conn.TypeMap(), base); !of {
			if found, err = s.lookUp(ctx, conn, base); err != nil {
				return asText, err
			}
		}
	case category == "A":
		found = asArray
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.types[oid] = found
	return found, nil
}

// runAll runs the statement for all rows in one transaction, in one round trip.
func runAll(ctx context.Context, conn *pgconn.PgConn, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	var batch pgconn.Batch
	for _, r := range rows {
		batch.ExecPrepared(prepared, r.data, r.formats, nil)
	}
	return conn.ExecBatch(ctx, &batch).Close()
}

// runEach runs it for each row in a transaction of its own.
func runEach(ctx context.Context, conn *pgconn.PgConn, rows []row, failed map[int]error) {
	for _, r := range rows {
		if _, err := conn.ExecPrepared(ctx, prepared, r.data, r.formats, nil).Close(); err != nil {
			failed[r.index] = runError(err)
		}
	}
}

// class returns the first two characters of an error's SQLSTATE, or "".
func class(err error) string {
	code := postgresconn.Code(err)
	return code[:min(len(code), 2)]
}

// The classes of errors (PostgreSQL documentation, appendix A).
const (
	classData       = "22"
	classConstraint = "23"
	classStatement  = "42"
	codeTooMany     = "53300"
)

// ofRow tells whether an error may be that of one row, so that others may go.
func ofRow(err error) bool {
	switch class(err) {
	case classData, classConstraint, classStatement, "P0", "44", "21", "54":
		return true
	}
	return false
}

// stale tells whether a prepared statement does not hold any more.
func stale(err error) bool {
	switch postgresconn.Code(err) {
	case "0A000", "26000", "42804":
		return true
	}
	return false
}

// runError says what to do about a statement that has failed.
func runError(err error) error {
	switch {
	case class(err) == classData:
		return sinks.Permanent(fmt.Errorf("the server refuses a value: %w", err))
	case class(err) == classConstraint:
		return sinks.Permanent(fmt.Errorf("a constraint refuses the row%s: %w", constraint(err), err))
	case postgresconn.Code(err) == codeTooMany:
		return &sinks.ThrottledError{Err: postgresconn.Explain(err)}
	case class(err) == classStatement:
		return fmt.Errorf("the statement cannot be run: check it, the tables, and the user's rights: %w", err)
	}
	return postgresconn.Explain(err)
}

// constraint names what has refused a row, without its values.
func constraint(err error) string {
	refused, _ := errors.AsType[*pgconn.PgError](err)
	if refused == nil {
		return ""
	}
	names := strings.Trim(strings.Join([]string{refused.TableName, refused.ColumnName, refused.ConstraintName}, " "), " ")
	if names == "" {
		return ""
	}
	return " (" + names + ")"
}

// connectError says what to do about a connection that was not made.
func connectError(err error) error {
	var refused *sinkhttp.RefusedError
	switch {
	case errors.As(err, &refused):
		return sinks.Permanent(refused)
	case postgresconn.Code(err) == codeTooMany:
		return &sinks.ThrottledError{Err: postgresconn.Explain(err)}
	}
	return postgresconn.Explain(err)
}
