package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sluice/connect/postgresconn"
)

// oldest is the oldest version of PostgreSQL that is read: older ones do not tell
// whether a slot is lost.
const oldestVersion = 130000

// A lostError says that changes are gone that the source has not seen.
type lostError struct{ slot, reason, advice string }

func (e *lostError) Error() string {
	return fmt.Sprintf("the slot %q is lost, and changes with it: %s. %s", e.slot, e.reason, e.advice)
}

func (r *run) lost(reason string) error {
	advice := "on_lost_slot: snapshot (with create: true) begins anew with a snapshot; a source under a new name begins without"
	if r.cfg.OnLostSlot == Snapshot {
		advice = "A snapshot follows"
	}
	return &lostError{slot: r.cfg.Slot, reason: reason, advice: advice}
}

// prepare checks that all is there, makes what may be made, and takes the snapshot
// where one is due. It returns a cursor from which changes can be read.
func (r *run) prepare(ctx context.Context, conn *pgconn.PgConn, c *cursor) (*cursor, error) {
	system, err := pglogrepl.IdentifySystem(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("asking the server who it is: %w", err)
	}
	if err := r.checkServer(ctx); err != nil {
		return nil, err
	}
	if err := r.preparePublication(ctx); err != nil {
		return nil, err
	}
	state, err := r.catalog.slot(ctx, r.cfg.Slot)
	if err != nil {
		return nil, fmt.Errorf("the slot %q: %w", r.cfg.Slot, err)
	}
	if err := r.checkSlot(&state); err != nil {
		return nil, err
	}
	if c == nil {
		c, err = r.first(&system, &state)
	} else {
		c, err = r.resume(ctx, conn, c, &system, &state)
	}
	if err == nil && c.Phase == phaseSlot {
		return r.makeSlot(ctx, conn, c)
	}
	if err == nil && c.Phase == phaseSnapshot {
		return r.resumeSnapshot(ctx, conn, c)
	}
	return c, err
}

func (r *run) checkServer(ctx context.Context) (err error) {
	if r.server, err = r.catalog.server(ctx); err != nil {
		return err
	}
	switch {
	case r.server.version < oldestVersion:
		return fmt.Errorf("the server is PostgreSQL %d: 13 or a later one is needed", r.server.version/10000)
	case r.server.walLevel != "logical":
		return fmt.Errorf("the server's wal_level is %s: set wal_level = logical and restart it (on RDS: rds.logical_replication = 1)", r.server.walLevel)
	}
	return nil
}

// checkSlot refuses a slot that is another's.
func (r *run) checkSlot(s *slotState) error {
	switch {
	case !s.exists:
		return nil
	case s.kind != "logical" || s.plugin != "pgoutput":
		return fmt.Errorf("the slot %q is a %s one with the plugin %q: one of pgoutput is needed; take another name in slot", r.cfg.Slot, s.kind, s.plugin)
	case s.database != r.cfg.Database():
		return fmt.Errorf("the slot %q is of the database %q, not of %q: take another name in slot", r.cfg.Slot, s.database, r.cfg.Database())
	}
	return nil
}

// first is the cursor of a source that has none.
func (r *run) first(system *pglogrepl.IdentifySystemResult, s *slotState) (*cursor, error) {
	c := &cursor{System: system.SystemID, Timeline: system.Timeline, Database: system.DBName, Phase: phaseSlot, Snapshot: r.cfg.Snapshot == Initial}
	switch {
	case s.exists && c.Snapshot:
		return nil, fmt.Errorf("the slot %[1]q is there already, and an initial snapshot goes with one that is made at the same moment: remove it by SELECT pg_drop_replication_slot('%[1]s'), take another name in slot, or write snapshot: never", r.cfg.Slot)
	case s.exists && s.walStatus == "lost":
		return nil, r.lost("it was, before the source first started")
	case s.exists:
		c.Phase, c.Point, c.LSN = phaseStream, s.confirmed, s.confirmed
	case !r.cfg.Create:
		return nil, fmt.Errorf("there is no slot %[1]q: write create: true, or make it by SELECT pg_create_logical_replication_slot('%[1]s', 'pgoutput')", r.cfg.Slot)
	}
	return c, nil
}

// resume checks that the server is the one of the cursor, and still has what comes
// after it.
func (r *run) resume(ctx context.Context, conn *pgconn.PgConn, c *cursor, system *pglogrepl.IdentifySystemResult, s *slotState) (*cursor, error) {
	if c.System != system.SystemID || c.Database != system.DBName {
		return nil, fmt.Errorf("this is another database than the source has read so far (system %s, database %q; now system %s, database %q): correct url, or give the source another name, under which it begins anew",
			c.System, c.Database, system.SystemID, system.DBName)
	}
	if c.Phase == phaseSlot {
		return c, nil
	}
	reason, err := r.gone(ctx, conn, c, system, s)
	if err != nil {
		return nil, err
	}
	if reason == "" {
		c.Timeline = system.Timeline
		return c, nil
	}
	if r.cfg.OnLostSlot != Snapshot {
		return nil, r.lost(reason)
	}
	r.env.Logger.Warn("the slot is lost, and changes with it: a snapshot follows", slog.String("slot", r.cfg.Slot), slog.String("reason", reason))
	return &cursor{System: system.SystemID, Timeline: system.Timeline, Database: system.DBName, Phase: phaseSlot, Snapshot: true}, nil
}

// gone says why what comes after the cursor is not to be had; "" when it is.
func (r *run) gone(ctx context.Context, conn *pgconn.PgConn, c *cursor, system *pglogrepl.IdentifySystemResult, s *slotState) (string, error) {
	at := max(c.LSN, c.Change)
	if c.Phase == phaseSnapshot {
		at = c.Point
	}
	switch {
	case !s.exists:
		return "it is not there any more", nil
	case s.walStatus == "lost":
		return "the server has thrown away what it kept for it (max_slot_wal_keep_size)", nil
	case s.confirmed > at:
		return fmt.Sprintf("it stands at %s, beyond %s where the source is: it was made anew, or somebody else has read from it", s.confirmed, at), nil
	case system.XLogPos < at:
		return fmt.Sprintf("the server's log ends at %s, before %s where the source is: it was restored from an older copy, or a replica has taken over that lacks the end", system.XLogPos, at), nil
	case system.Timeline != c.Timeline:
		return r.diverged(ctx, conn, c.Timeline, at, system.Timeline)
	}
	return "", nil
}

// diverged tells whether a timeline branched off before what the source has read.
func (r *run) diverged(ctx context.Context, conn *pgconn.PgConn, known int32, at pglogrepl.LSN, now int32) (string, error) {
	history, err := pglogrepl.TimelineHistory(ctx, conn, now)
	if err != nil {
		return "", fmt.Errorf("the server is on the timeline %d, and its history is not to be had: %w", now, err)
	}
	end, found := branch(string(history.Content), known)
	switch {
	case !found:
		return fmt.Sprintf("the server is on the timeline %d, which does not come from %d where the source was", now, known), nil
	case end < at:
		return fmt.Sprintf("the server is on the timeline %d, which left %d at %s, before %s where the source is", now, known, end, at), nil
	}
	r.env.Logger.Info("the server is on another timeline and goes on where the source is", slog.Int("timeline", int(now)))
	return "", nil
}

// branch finds where a timeline was left in the history of another: lines of its
// number, the position, and a reason.
func branch(history string, timeline int32) (pglogrepl.LSN, bool) {
	for line := range strings.Lines(history) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != strconv.Itoa(int(timeline)) {
			continue
		}
		lsn, err := pglogrepl.ParseLSN(words[1])
		return lsn, err == nil
	}
	return 0, false
}

// makeSlot makes the slot, and takes the snapshot that goes with it. That it is
// about to is stored first: a slot of this name that is found then was not used.
func (r *run) makeSlot(ctx context.Context, conn *pgconn.PgConn, c *cursor) (*cursor, error) {
	if err := r.publish(ctx, c); err != nil {
		return nil, err
	}
	s, err := r.catalog.slot(ctx, r.cfg.Slot)
	if err == nil && s.exists {
		err = pglogrepl.DropReplicationSlot(ctx, conn, r.cfg.Slot, pglogrepl.DropReplicationSlotOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("removing what is left of the slot %q: %w", r.cfg.Slot, explainSlot(err))
	}
	r.env.Logger.Info("the slot is being made; it waits for the transactions that are open", slog.String("slot", r.cfg.Slot))
	action := "NOEXPORT_SNAPSHOT"
	if c.Snapshot {
		action = "EXPORT_SNAPSHOT"
	}
	made, err := pglogrepl.CreateReplicationSlot(ctx, conn, r.cfg.Slot, "pgoutput", pglogrepl.CreateReplicationSlotOptions{SnapshotAction: action})
	if err != nil {
		return nil, fmt.Errorf("making the slot %q: %w", r.cfg.Slot, explainSlot(err))
	}
	if c.Point, err = pglogrepl.ParseLSN(made.ConsistentPoint); err != nil {
		return nil, err
	}
	if !c.Snapshot {
		c.Phase, c.LSN = phaseStream, c.Point
		return c, r.publish(ctx, c)
	}
	c.Phase = phaseSnapshot
	if err := r.publish(ctx, c); err != nil {
		return nil, err
	}
	return c, r.snapshot(ctx, made.SnapshotName, c)
}

// resumeSnapshot goes on with one that was interrupted. The view of then is gone
// with the connection; a slot that ends with this one gives another, which has
// everything before the first one and more.
func (r *run) resumeSnapshot(ctx context.Context, conn *pgconn.PgConn, c *cursor) (*cursor, error) {
	name := r.cfg.Slot[:min(len(r.cfg.Slot), maxName-len(temporary))] + temporary
	made, err := pglogrepl.CreateReplicationSlot(ctx, conn, name, "pgoutput",
		pglogrepl.CreateReplicationSlotOptions{Temporary: true, SnapshotAction: "EXPORT_SNAPSHOT"})
	if err != nil {
		return nil, fmt.Errorf("making a slot to go on with the snapshot: %w", explainSlot(err))
	}
	r.env.Logger.Info("the snapshot was interrupted and goes on", slog.String("table", c.Table))
	if err := r.snapshot(ctx, made.SnapshotName, c); err != nil {
		return nil, err
	}
	return c, pglogrepl.DropReplicationSlot(ctx, conn, name, pglogrepl.DropReplicationSlotOptions{})
}

const temporary = "_snapshot"

// explainSlot says what may be done about a slot that the server refuses.
func explainSlot(err error) error {
	switch postgresconn.Code(err) {
	case "55006":
		return fmt.Errorf("it is in use by another connection: another sluice reads from it, or the server has not noticed yet that the last one has ended: %w", err)
	case "53400":
		return fmt.Errorf("the server has no place for another slot: raise max_replication_slots, or remove one: %w", err)
	case "42501":
		return fmt.Errorf("the user may not replicate: ALTER ROLE its-name REPLICATION: %w", err)
	}
	return err
}

// preparePublication checks that the publication has the tables, and mends it
// where it may.
func (r *run) preparePublication(ctx context.Context) error {
	name := r.cfg.Publication
	exists, err := r.publicationExists(ctx)
	if err == nil && !exists && r.cfg.Create {
		err = r.exec(ctx, "CREATE PUBLICATION "+quote(name)+" WITH (publish_via_partition_root = true)")
		exists = true
	}
	if err == nil && !exists {
		return fmt.Errorf("there is no publication %q: write create: true, or make it by CREATE PUBLICATION %s FOR TABLE …", name, quote(name))
	}
	var has []published
	if err == nil {
		has, err = r.catalog.published(ctx, name, r.server.version)
	}
	var missing []string
	if err == nil {
		missing, err = r.missing(ctx, has)
	}
	if err == nil && len(missing) > 0 && !r.cfg.Create {
		return fmt.Errorf("the publication %q does not have all that tables names: write create: true, or ALTER PUBLICATION %s ADD TABLE %s", name, quote(name), strings.Join(missing, ", "))
	}
	if err == nil && len(missing) > 0 {
		err = r.exec(ctx, "ALTER PUBLICATION "+quote(name)+" ADD TABLE "+strings.Join(missing, ", "))
	}
	if postgresconn.Code(err) == "42501" {
		err = fmt.Errorf("the user needs to own it and the tables, and CREATE on the database; or make it as somebody who does, and write create: false: %w", err)
	}
	if err != nil {
		return fmt.Errorf("the publication %q: %w", name, err)
	}
	return nil
}

func (r *run) publicationExists(ctx context.Context) (exists bool, err error) {
	err = r.catalog.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = $1)", r.cfg.Publication).Scan(&exists)
	})
	return exists, err
}

func (r *run) exec(ctx context.Context, statement string) error {
	return r.catalog.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

func quote(name ...string) string { return pgx.Identifier(name).Sanitize() }

// missing returns what tables names and the publication does not have, quoted.
func (r *run) missing(ctx context.Context, has []published) ([]string, error) {
	var missing []string
	for _, wanted := range r.cfg.Tables {
		schema, name, _ := strings.Cut(wanted, ".")
		found, err := r.tables(ctx, schema, name)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 && name != "*" {
			return nil, fmt.Errorf("there is no table %q in the database: create it, or correct tables", wanted)
		}
		for _, table := range found {
			full := schema + "." + table
			if !slices.ContainsFunc(has, func(p published) bool { return p.name() == full || p.root == full }) {
				missing = append(missing, quote(schema, table))
			}
		}
	}
	return missing, nil
}

// tables returns the tables of a schema that there are: the one of a name, or all
// for *, without partitions, for which what they are of stands.
func (r *run) tables(ctx context.Context, schema, name string) (all []string, err error) {
	err = r.catalog.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relpersistence = 'p' AND c.relkind IN ('r', 'p')
			AND CASE WHEN $2 = '*' THEN NOT c.relispartition ELSE c.relname = $2 END ORDER BY 1`, schema, name)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return all, err
}
