package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"golang.org/x/sync/errgroup"

	"sluice/connect/postgresconn"
	"sluice/event"
	"sluice/sources"
)

// A stream is one connection that gives changes. Its fields belong to the goroutine
// that reads; a second one publishes one batch after the other.
type stream struct {
	*run
	conn      *pgconn.PgConn
	start     cursor // what was published when the stream began
	tables    map[uint32]*table
	tx        *begin // the transaction that is being read
	last      position
	batch     *batch
	batches   chan *batch
	handed    uint64        // how many batches the publisher has been given
	done      atomic.Uint64 // and how many of them are durable
	inside    bool          // the last batch ends in the middle of tx
	published atomic.Uint64 // the position that is durable
	end       pglogrepl.LSN // everything before it was read, when nothing is pending
	moved     time.Time     // when the cursor was last moved
	told      time.Time     // when the server was last told
	toldLSN   pglogrepl.LSN
	heard     time.Time
	answered  time.Time // when the server was answered that had asked
	stopping  time.Time // since when it stops; zero while it does not
}

// stream reads changes from where the cursor is until something fails.
func (r *run) stream(ctx context.Context, session *pgx.Conn, c *cursor) error {
	conn := session.PgConn()
	arguments := []string{"proto_version '1'", "publication_names '" + strings.ReplaceAll(quote(r.cfg.Publication), "'", "''") + "'"}
	if err := pglogrepl.StartReplication(ctx, conn, r.cfg.Slot, c.LSN, pglogrepl.StartReplicationOptions{PluginArgs: arguments}); err != nil {
		return fmt.Errorf("reading from the slot %q: %w", r.cfg.Slot, explainSlot(err))
	}
	r.health.set(upstream, nil)
	s := &stream{
		run: r, conn: conn, start: *c, tables: map[uint32]*table{}, batch: &batch{}, end: c.LSN,
		batches: make(chan *batch, 1), moved: time.Now(), heard: time.Now(),
	}
	s.published.Store(uint64(c.LSN))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, s.wake)
	defer stop()
	var workers errgroup.Group
	workers.Go(func() error {
		err := s.publishAll(ctx)
		if err != nil {
			cancel(err)
		}
		return err
	})
	watching, unwatch := context.WithCancel(ctx)
	workers.Go(func() error { r.watch(watching, &s.published); return nil })
	err := s.read(ctx)
	close(s.batches)
	unwatch()
	if ctx.Err() == nil {
		closeConn(ctx, session) // before what is under way is published, which may take long
	}
	if failed := workers.Wait(); failed != nil {
		return failed
	}
	_ = s.tell(ctx, pglogrepl.LSN(s.published.Load()), false) // for the last time, where that can be done
	return err
}

// wake ends a read that is waiting.
func (s *stream) wake() { _ = s.conn.Conn().SetReadDeadline(time.Now()) }

// publishAll publishes batches until there are no more. Once it has a batch, it
// ends only when that is durable or the source stops: so it is known where to go
// on.
func (s *stream) publishAll(ctx context.Context) error {
	c := s.start
	for b := range s.batches {
		c.position = b.after
		s.oldest.Store(b.oldest)
		err := s.publishBatch(ctx, &c, b, func(i int) *cursor {
			at := c
			at.position = b.places[i]
			return &at
		})
		if err != nil {
			return err
		}
		s.oldest.Store(0)
		s.published.Store(uint64(b.after.LSN))
		s.done.Add(1)
		s.wake()
	}
	return nil
}

// read takes messages until one cannot be had.
func (s *stream) read(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.due(ctx); err != nil {
			return err
		}
		m, err := s.receive(ctx)
		if err != nil {
			return err
		}
		if m == nil {
			continue
		}
		if err := s.take(ctx, m); err != nil {
			return err
		}
	}
}

// tick is how long a read waits at most, and soon while the server does not know
// yet what is durable.
const (
	tick = time.Second
	soon = 50 * time.Millisecond
)

// receive returns the next message, or nil when there is none for a while or
// something else is to be done.
func (s *stream) receive(ctx context.Context) (*pgproto3.CopyData, error) {
	wait := min(tick, s.interval())
	if s.toldLSN != pglogrepl.LSN(s.published.Load()) {
		wait = soon
	}
	if err := s.conn.Conn().SetReadDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	if s.overtaken(ctx) {
		return nil, nil //nolint:nilnil // there is something else to do
	}
	m, err := s.conn.Frontend().Receive()
	var network interface{ Timeout() bool }
	if errors.As(err, &network) && network.Timeout() {
		return nil, nil //nolint:nilnil // there was none
	}
	if err != nil {
		return nil, fmt.Errorf("the connection to the server has ended: %w", err)
	}
	s.heard = time.Now()
	switch m := m.(type) {
	case *pgproto3.CopyData:
		return m, nil
	case *pgproto3.ErrorResponse:
		return nil, explainEnd(pgconn.ErrorResponseToPgError(m))
	case *pgproto3.CopyDone:
		return nil, errors.New("the server has ended the replication")
	}
	return nil, nil //nolint:nilnil // a notice, or a parameter that has changed
}

// overtaken tells whether there is something else to do than to wait. It is asked
// when the deadline is set, so that a wake since has not been in vain.
func (s *stream) overtaken(ctx context.Context) bool {
	return ctx.Err() != nil || s.tx == nil && s.isIdle() && len(s.batch.events) > 0
}

// explainEnd says what may be done about a replication that the server has ended.
func explainEnd(err error) error {
	if postgresconn.Code(err) == "42704" {
		return fmt.Errorf("the publication was not there yet when what is to be read now was written, as it was made after the slot, or made anew: remove the slot, and make the publication first: %w", err)
	}
	return fmt.Errorf("the server has ended the replication: %w", err)
}

// interval is how often the server is told where sluice is: well within the time
// after which it takes a silent one for dead.
func (s *stream) interval() time.Duration {
	if t := s.server.senderTimeout; t > 0 {
		return min(s.spans.status, t/4)
	}
	return s.spans.status
}

// isIdle tells whether the publisher has nothing to do.
func (s *stream) isIdle() bool { return s.done.Load() == s.handed }

// due does what is to be done besides reading.
func (s *stream) due(ctx context.Context) error {
	if s.isIdle() && len(s.batch.events) > 0 && s.tx == nil {
		if err := s.hand(ctx); err != nil {
			return err
		}
	}
	s.follow()
	now, durable := time.Now(), pglogrepl.LSN(s.published.Load())
	silent := now.Sub(s.heard)
	if silent > max(3*s.interval(), time.Minute) {
		return fmt.Errorf("the server has been silent for %v, though it was asked to answer", silent.Round(time.Second))
	}
	if !s.stopping.IsZero() && now.Sub(s.stopping) > stopWait && durable < s.end {
		return errors.New("the server is stopping, and is not kept waiting for what cannot be published now")
	}
	if durable != s.toldLSN && now.Sub(s.told) >= soon || now.Sub(s.told) >= s.interval() {
		return s.tell(ctx, durable, silent > s.interval()/2)
	}
	return nil
}

// follow lets the cursor go along with a log in which nothing of the tables
// changes, so that the server need not keep it.
func (s *stream) follow() {
	if s.tx == nil && s.isIdle() && len(s.batch.events) == 0 && s.end > pglogrepl.LSN(s.published.Load()) && time.Since(s.moved) >= s.spans.idle {
		s.batch.after = position{LSN: s.end}
		s.batches <- s.batch // there is room: the publisher has nothing to do
		s.given()
	}
}

// tell tells the server what is durable.
func (s *stream) tell(ctx context.Context, durable pglogrepl.LSN, answer bool) error {
	err := pglogrepl.SendStandbyStatusUpdate(ctx, s.conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: durable, ReplyRequested: answer})
	if err != nil {
		return fmt.Errorf("the connection to the server has ended: %w", err)
	}
	s.told, s.toldLSN = time.Now(), durable
	return nil
}

// hand gives the batch to the publisher, and waits for it as long as the one
// before is waiting. Meanwhile nothing is read, and the server is told that sluice
// lives.
func (s *stream) hand(ctx context.Context) error {
	ticker := time.NewTicker(s.interval())
	defer ticker.Stop()
	for {
		select {
		case s.batches <- s.batch:
			s.given()
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
			s.heard = time.Now() // it is sluice that does not read
			if err := s.tell(ctx, pglogrepl.LSN(s.published.Load()), false); err != nil {
				return err
			}
		}
	}
}

func (s *stream) given() {
	s.handed++
	s.batch, s.moved, s.inside = &batch{}, time.Now(), s.tx != nil
}

// take works on one message of the replication (PostgreSQL documentation, section
// 55.4, streaming replication protocol).
func (s *stream) take(ctx context.Context, m *pgproto3.CopyData) error {
	if len(m.Data) == 0 {
		return errors.New("the server has sent an empty message")
	}
	switch m.Data[0] {
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		alive, err := pglogrepl.ParsePrimaryKeepaliveMessage(m.Data[1:])
		if err != nil {
			return err
		}
		if s.tx == nil && alive.ServerWALEnd > s.end {
			s.end = alive.ServerWALEnd
		}
		if alive.ReplyRequested {
			return s.asked(ctx)
		}
	case pglogrepl.XLogDataByteID:
		data, err := pglogrepl.ParseXLogData(m.Data[1:])
		if err != nil {
			return err
		}
		decoded, err := decodeMessage(data.WALData)
		if err != nil {
			return fmt.Errorf("the server's messages cannot be read: %w", err)
		}
		return s.message(ctx, data.WALStart, decoded)
	}
	return nil
}

// asked answers a server that wants to hear from sluice: one that has been silent
// for a while, or one that stops and waits until the end of its log is durable. The
// latter asks again as soon as it is answered, and is not answered until then.
func (s *stream) asked(ctx context.Context) error {
	s.moved = time.Time{} // the cursor goes to the end
	again := time.Since(s.answered) < askedAgain
	if again && s.stopping.IsZero() {
		s.stopping = time.Now()
	}
	if again {
		return nil
	}
	s.answered, s.stopping = time.Now(), time.Time{}
	return s.tell(ctx, pglogrepl.LSN(s.published.Load()), false)
}

const (
	askedAgain = 200 * time.Millisecond
	// stopWait is how long a server that stops is kept waiting.
	stopWait = 2 * time.Second
)

func (s *stream) message(ctx context.Context, at pglogrepl.LSN, m message) error {
	switch m := m.(type) {
	case *begin:
		s.tx, s.last = m, position{LSN: m.final}
	case *commit:
		s.tx, s.end = nil, max(s.end, m.end)
		s.batch.after = position{LSN: m.end}
		if s.inside && len(s.batch.events) == 0 {
			return s.hand(ctx) // so that the server need not keep it
		}
	case *relation:
		return s.relation(ctx, m)
	case *change:
		return s.change(ctx, at, m)
	case *truncate:
		return s.truncate(ctx, at, m)
	}
	return nil
}

// next counts a change, and tells whether it is yet to be published.
func (s *stream) next(at pglogrepl.LSN) (place, bool, error) {
	if s.tx == nil {
		return place{}, false, errors.New("the server has sent a change outside of a transaction")
	}
	if at == s.last.Change {
		s.last.Index++
	} else {
		s.last.Change, s.last.Index = at, 0
	}
	p := place{system: s.start.System, lsn: at, index: s.last.Index, tx: s.tx}
	return p, !s.start.covers(s.tx.final, at, s.last.Index), nil
}

func (s *stream) change(ctx context.Context, at pglogrepl.LSN, m *change) error {
	p, fresh, err := s.next(at)
	if err != nil || !fresh {
		return err
	}
	t := s.tables[m.relation]
	switch {
	case t == nil:
		return fmt.Errorf("the server has sent a change of the table %d, which it has not described", m.relation)
	case !t.wanted:
		return nil
	}
	return s.add(ctx, t.event(p, m))
}

func (s *stream) truncate(ctx context.Context, at pglogrepl.LSN, m *truncate) error {
	for _, id := range m.relations {
		p, fresh, err := s.next(at)
		if err != nil {
			return err
		}
		if t := s.tables[id]; fresh && t != nil && t.wanted {
			if err := s.add(ctx, t.truncated(p, m)); err != nil {
				return err
			}
		}
	}
	return nil
}

// add puts an event into the batch, and gives that away when it is full.
func (s *stream) add(ctx context.Context, e event.Event) error {
	b := s.batch
	if len(b.events) == 0 {
		b.oldest = s.tx.time.UnixMicro()
	}
	b.events, b.places, b.size = append(b.events, e), append(b.places, s.last), b.size+event.Size(&e)
	b.after = s.last
	if len(b.events) >= sources.MaxBatch || b.size >= maxBytes {
		return s.hand(ctx)
	}
	return nil
}

// relation learns what a table is like from now on.
func (s *stream) relation(ctx context.Context, m *relation) error {
	wanted, err := s.wantsRelation(ctx, m)
	if err != nil {
		return err
	}
	if !wanted {
		s.tables[m.id] = &table{}
		return nil
	}
	keys, byCatalog := []string(nil), m.identity == 'f' // then every column is said to be of the key
	if byCatalog {
		if keys, err = s.catalog.keys(ctx, m.id); err != nil {
			return fmt.Errorf("the key of %s.%s: %w", m.schema, m.table, err)
		}
	}
	columns := make([]tableColumn, len(m.columns))
	for i, c := range m.columns {
		known, err := s.catalog.column(ctx, c.dataType)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", m.schema, m.table, err)
		}
		columns[i] = tableColumn{column: known, name: c.name, key: c.key && !byCatalog || slices.Contains(keys, c.name)}
	}
	t := newTable(s.ceSource(), m.schema, m.table, columns)
	t.wanted, t.bigAsText = true, s.cfg.Numbers == AsText
	s.tables[m.id] = t
	return nil
}

func (s *stream) wantsRelation(ctx context.Context, m *relation) (bool, error) {
	if s.cfg.wants(m.schema, m.table) {
		return true, nil
	}
	schema, name, err := s.catalog.root(ctx, m.id)
	if err != nil {
		return false, fmt.Errorf("what %s.%s is a partition of: %w", m.schema, m.table, err)
	}
	return name != "" && s.cfg.wants(schema, name), nil
}
