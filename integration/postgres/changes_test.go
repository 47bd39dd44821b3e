//go:build integration

package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/harness"
	"sluice/integration/postgres"
	"sluice/sources"
	sourcepostgres "sluice/sources/postgres"
	"sluice/sources/sourcetest"
)

// A gathering counts the events that come in batches, by their ids.
type gathering struct {
	server *httptest.Server
	mu     sync.Mutex
	ids    map[string]int
}

func gather(t *testing.T) *gathering {
	t.Helper()
	g := &gathering{ids: map[string]int{}}
	g.server = httptest.NewServer(g)
	t.Cleanup(g.server.Close)
	return g
}

func (g *gathering) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its sender was killed
	}
	events, _, err := event.DecodeHTTP(r.Header, body)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.ids["error: "+err.Error()]++
	}
	for i := range events {
		g.ids[events[i].ID]++
	}
}

func (g *gathering) len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.ids)
}

// TestLargeTransactionUnderKills kills the program while a transaction of 200,000
// rows becomes events: each of them once, in memory that does not grow with it. Of
// the deliveries only the last ones are made.
func TestLargeTransactionUnderKills(t *testing.T) {
	t.Parallel()
	const rows, last, most = 200_000, 100, 400 << 20 // bytes, of the whole program with its bus
	server := postgres.Start(t)
	database := server.Database(t)
	server.Exec(t, database, "CREATE TABLE large (id int PRIMARY KEY, body text)")
	g := gather(t)
	s := harness.New(t, adapters.Program(), fmt.Sprintf("sources:\n  large:\n    postgres: {url: %q, create: true, tables: [public.large]}\n"+
		"triggers:\n  work:\n    on: large\n    when: {data: {key: {id: [{numeric: ['>', %d]}]}}}\n    batch: {size: 1000, window: 10ms}\n    to: {http: {url: %q, mode: batch}}\n",
		server.URL(database), rows-last, g.server.URL))
	s.Up()
	ready(t, server, database)
	server.Exec(t, database, fmt.Sprintf("INSERT INTO large SELECT i, repeat('x', 200) FROM generate_series(1, %d) i", rows))
	peak, kills := int64(0), 0
	for ; g.len() == 0 && kills < 5; kills++ {
		<-time.After(300*time.Millisecond + time.Duration(rand.IntN(400))*time.Millisecond) // a random moment
		peak = max(peak, s.MostMemory())
		s.Kill()
		s.Up()
	}
	harness.Eventually(t, 2*time.Minute, "all events have arrived", func() bool { return g.len() >= last })
	peak = max(peak, s.MostMemory())
	s.Idle(time.Minute)
	audit := s.Conserved()
	t.Logf("%d rows of one transaction over %d kills: the program took %d MiB at most", rows, kills, peak>>20)
	if g.len() != last || audit.Checked != rows {
		t.Errorf("%d of the last events have arrived, want %d; %d events are stored, want %d", g.len(), last, audit.Checked, rows)
	}
	if peak > most {
		t.Errorf("the program took %d MiB", peak>>20)
	}
}

// A copy is what events tell of tables: rows by table and key.
type copied map[string]map[string]map[string]json.RawMessage

// apply does to the copy what an event tells.
func (c copied) apply(t *testing.T, e *event.Event) {
	t.Helper()
	var data struct {
		Key, Old, New map[string]json.RawMessage
		Unchanged     []string
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.Fatal(err)
	}
	rows := c[e.Subject]
	if rows == nil {
		rows = map[string]map[string]json.RawMessage{}
		c[e.Subject] = rows
	}
	before := string(data.Key["id"])
	if data.Old != nil {
		before = string(data.Old["id"])
	}
	known := rows[before]
	switch e.Type {
	case sourcepostgres.TypeTruncated:
		clear(rows)
	case sourcepostgres.TypeDeleted:
		delete(rows, before)
	default:
		for _, name := range data.Unchanged {
			data.New[name] = known[name]
		}
		delete(rows, before)
		rows[string(data.Key["id"])] = data.New
	}
}

func (c copied) text(table string) map[string]string {
	rows := map[string]string{}
	for _, row := range c[table] {
		rows[string(row["id"])] = string(row["v"]) + " " + string(row["body"])
	}
	return rows
}

// TestSnapshotUnderWritesAndKills stops the source at random moments of its
// snapshot and afterwards, while rows change: no event comes twice, and who applies
// them has the tables.
func TestSnapshotUnderWritesAndKills(t *testing.T) {
	t.Parallel()
	const rows, rounds = 3000, 6
	server := postgres.Start(t)
	database := server.Database(t)
	server.Exec(t, database, "CREATE TABLE numbers (id int PRIMARY KEY, v bigint, body text)", "ALTER TABLE numbers ALTER body SET STORAGE EXTERNAL",
		"CREATE TABLE words (id text PRIMARY KEY, v bigint, body text)",
		fmt.Sprintf("INSERT INTO numbers SELECT i, i, repeat('x', CASE WHEN i %% 50 = 0 THEN 3000 ELSE 10 END) FROM generate_series(1, %d) i", rows),
		fmt.Sprintf("INSERT INTO words SELECT 'wörd ' || i, i, 'b' FROM generate_series(1, %d) i", rows))
	configure := func(c *sourcepostgres.Config) {
		c.Create, c.Tables, c.Snapshot = true, []string{"public.numbers", "public.words"}, sourcepostgres.Initial
	}
	writing, stopWriting := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for seed := range uint64(2) {
		writers.Go(func() { write(writing, t, server.URL(database), rand.New(rand.NewPCG(seed, 1)), rows) })
	}
	out := sourcetest.NewOut()
	interrupted := 0
	for round := range rounds {
		blocked := make(chan func(), 1)
		h, stop := run(t, server, database, &blocking{Out: out, left: 1 + rand.IntN(rows/2*(round+1)), blocked: blocked}, configure)
		var unblock func()
		select {
		case unblock = <-blocked: // as a kill would leave it
		case <-time.After(sourcetest.Patience):
			t.Fatal("it has stopped to publish")
		}
		if round%3 == 1 {
			out.LoseAnswers(1, event.ErrUnavailable)
			unblock()
		}
		stop()
		unblock()
		out = out.Restart()
		interrupted += strings.Count(h.log(), "the snapshot was interrupted and goes on")
	}
	stopWriting()
	writers.Wait()
	server.Exec(t, database, "INSERT INTO numbers VALUES (-1, 0, 'the last one')")
	run(t, server, database, out, configure)
	sourcetest.Eventually(t, "the last row", func() bool {
		events := out.Events()
		return len(events) > 0 && events[len(events)-1].PartitionKey() == "public.numbers/-1"
	})
	compare(t, server, database, out.Events())
	reads := 0
	for _, e := range out.Events() {
		if e.Type == sourcepostgres.TypeRead {
			reads++
		}
	}
	t.Logf("%d events, %d of them of the snapshot, which went on %d times, over %d stops", len(out.Events()), reads, interrupted, rounds)
	if interrupted == 0 {
		t.Error("the snapshot was never interrupted")
	}
}

// A blocking Out is blocked after so many events.
type blocking struct {
	*sourcetest.Out

	left    int
	blocked chan func() // with what unblocks it
}

func (b *blocking) PublishAt(ctx context.Context, shard string, data []byte, events ...event.Event) error {
	if b.left <= 0 && b.blocked != nil {
		b.blocked <- b.Block()
		b.blocked = nil
	}
	b.left -= len(events)
	return b.Out.PublishAt(ctx, shard, data, events...)
}

// compare has the tables beside what events tell of them.
func compare(t *testing.T, server *postgres.Server, database string, events []event.Event) {
	t.Helper()
	c, seen := copied{}, map[string]bool{}
	for i := range events {
		if seen[events[i].ID] {
			t.Errorf("the event %s is there twice", events[i].ID)
		}
		seen[events[i].ID] = true
		c.apply(t, &events[i])
	}
	for _, table := range []string{"numbers", "words"} {
		var want map[string]string
		text := server.Text(t, database, "SELECT coalesce(jsonb_object_agg(to_json(id)::text, v || ' ' || to_json(body)), '{}') FROM "+table)
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if got := c.text("public." + table); !maps.Equal(got, want) {
			t.Errorf("%s: %d rows by events, and %d in the table", table, len(got), len(want))
			for id, row := range want {
				if got[id] != row {
					t.Fatalf("%s %s is %.100q by events, and %.100q in the table", table, id, got[id], row)
				}
			}
		}
	}
}

// write changes rows until ctx ends.
func write(ctx context.Context, t *testing.T, url string, random *rand.Rand, rows int) {
	t.Helper()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for ctx.Err() == nil {
		id, other := random.IntN(rows)+1, random.IntN(rows)+1
		statement := []string{
			"UPDATE numbers SET v = v + 1 WHERE id = $1", "DELETE FROM numbers WHERE id = $1", "INSERT INTO numbers VALUES ($1, 0, repeat('y', 2500)) ON CONFLICT (id) DO UPDATE SET v = numbers.v + 10",
			"UPDATE words SET body = body || 'c' WHERE id = 'wörd ' || $1::int", "DELETE FROM words WHERE id = 'wörd ' || $1::int",
			"INSERT INTO words VALUES ('wörd ' || $1::int, 1, 'new') ON CONFLICT DO NOTHING",
		}[random.IntN(6)]
		if _, err := conn.Exec(ctx, statement, id); err != nil && ctx.Err() == nil {
			t.Errorf("%s: %v", statement, err)
		}
		if random.IntN(20) == 0 {
			_, _ = conn.Exec(ctx, "UPDATE numbers SET id = $1, body = 'moved' WHERE id = $2 AND NOT EXISTS (SELECT FROM numbers WHERE id = $1)", id, other)
		}
	}
}

// A limited Out takes no event larger than so many bytes.
type limited struct {
	sources.Out

	most int
}

func (l *limited) PublishAt(ctx context.Context, shard string, cursor []byte, events ...event.Event) error {
	for i := range events {
		if err := event.CheckSize(&events[i], l.most); err != nil {
			return err
		}
	}
	return l.Out.PublishAt(ctx, shard, cursor, events...)
}

func TestSourceIsLoud(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t, "wal_sender_timeout=2s")
	for name, run := range map[string]func(*testing.T, *postgres.Server){
		"lost slot":               lostSlot,
		"another system":          anotherSystem,
		"a cursor beyond the log": cursorBeyondTheLog,
		"a row that is too large": rowTooLarge,
		"publishing hangs":        publishingHangs,
	} {
		t.Run(name, func(t *testing.T) { run(t, server) })
	}
}

// rows returns a database with two rows, and an Out for the source of its table.
func rows(t *testing.T, server *postgres.Server) (database string, out *sourcetest.Out) {
	t.Helper()
	database = server.Database(t)
	server.Exec(t, database, "CREATE TABLE t (id int PRIMARY KEY, body text)", "CREATE TABLE other (body text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
	return database, sourcetest.NewOut()
}

// named is the source of the table of rows.
func named(more func(*sourcepostgres.Config)) func(*sourcepostgres.Config) {
	return func(c *sourcepostgres.Config) {
		creating("public.t")(c)
		if more != nil {
			more(c)
		}
	}
}

// first runs a source until it has published a row.
func first(t *testing.T, server *postgres.Server, database string, out *sourcetest.Out) *sourcetest.Out {
	t.Helper()
	_, stop := run(t, server, database, out, named(nil))
	ready(t, server, database)
	server.Exec(t, database, "INSERT INTO t VALUES (3, 'c')")
	out.Wait(t, 1)
	stop()
	sourcetest.Eventually(t, "nobody reads from the slot", func() bool {
		return server.Text(t, database, "SELECT count(*) FROM pg_replication_slots WHERE active AND database = $1", database) == "0"
	})
	return out.Restart()
}

func lostSlot(t *testing.T, server *postgres.Server) {
	t.Helper()
	database, out := rows(t, server)
	out = first(t, server, database, out)
	server.Exec(t, database, "SELECT pg_drop_replication_slot('sluice_test')")
	h, stop := run(t, server, database, out, named(nil))
	h.wait(t, `the slot "sluice_test" is lost, and changes with it: it is not there any more`)
	stop()
	if n := server.Text(t, database, "SELECT count(*) FROM pg_replication_slots"); n != "0" {
		t.Errorf("there are %s slots", n)
	}
	server.Exec(t, database, "SELECT pg_create_logical_replication_slot('sluice_test', 'pgoutput')")
	out = out.Restart()
	h, stop = run(t, server, database, out, named(nil))
	h.wait(t, "it was made anew, or somebody else has read from it")
	stop()
	out = out.Restart()
	h, _ = run(t, server, database, out, named(func(c *sourcepostgres.Config) { c.OnLostSlot = sourcepostgres.Snapshot }))
	events := out.Wait(t, 4)
	if events[1].Type != sourcepostgres.TypeRead || !strings.Contains(h.log(), "a snapshot follows") {
		t.Errorf("after the slot was lost: %s, and %s", events[1].Type, h.log())
	}
	ready(t, server, database)
	server.Exec(t, database, "UPDATE t SET body = 'd' WHERE id = 1")
	out.Wait(t, 5)
}

func anotherSystem(t *testing.T, server *postgres.Server) {
	t.Helper()
	database, out := rows(t, server)
	out = first(t, server, database, out)
	out.SetCursor("changes", []byte(strings.Replace(string(out.StoredCursor("changes")), `"system":"7`, `"system":"8`, 1)))
	h, _ := run(t, server, database, out.Restart(), named(nil))
	h.wait(t, "this is another database than the source has read so far")
}

func cursorBeyondTheLog(t *testing.T, server *postgres.Server) {
	t.Helper()
	database, out := rows(t, server)
	out = first(t, server, database, out)
	out.SetCursor("changes", regexp.MustCompile(`"lsn":\d+`).ReplaceAll(out.StoredCursor("changes"), []byte(`"lsn":1125899906842624`)))
	h, _ := run(t, server, database, out.Restart(), named(nil))
	h.wait(t, "it was restored from an older copy")
}

func rowTooLarge(t *testing.T, server *postgres.Server) {
	t.Helper()
	database, out := rows(t, server)
	h, _ := run(t, server, database, &limited{Out: out, most: 10_000}, named(nil))
	ready(t, server, database)
	server.Exec(t, database, "INSERT INTO t VALUES (3, 'c'), (4, repeat('x', 20000)), (5, 'e')")
	events := out.Wait(t, 3)
	if got := whole(t, &events[1], "key", "new", "toolarge"); got != `row.inserted public.t public.t/4 key={"id":4} new={"id":4} toolarge=["body"]` {
		t.Errorf("it became %s", got)
	}
	h.wait(t, "a row of public.t (public.t/4) was too large")
	sourcetest.Eventually(t, "everything is confirmed", func() bool {
		return server.Text(t, database, "SELECT confirmed_flush_lsn > pg_current_wal_lsn() - 10000 FROM pg_replication_slots WHERE slot_name = 'sluice_test'") == "true"
	})
}

func publishingHangs(t *testing.T, server *postgres.Server) {
	t.Helper()
	database, out := rows(t, server)
	out = first(t, server, database, out)
	server.Exec(t, database, "INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 3000)")
	unblock := out.Block()
	defer unblock()
	h, _ := run(t, server, database, out, named(func(c *sourcepostgres.Config) { c.WarnLag = 1 << 20 }))
	ready(t, server, database)
	h.wait(t, "more than warn_lag (1MiB)")
	reader := "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'sluice_test'"
	before := server.Text(t, database, reader)
	server.Exec(t, database, "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(10, 20000) i")
	<-time.After(6 * time.Second) // three times what the server waits for a silent one
	if after := server.Text(t, database, reader); after != before || before == "" {
		t.Errorf("the server has ended the replication: %s was reading, and now %q", before, after)
	}
	unblock()
	if n := len(out.Wait(t, 19_992)); n != 19_992 {
		t.Errorf("%d events", n)
	}
	server.Exec(t, database, "SELECT pg_terminate_backend("+before+")", "INSERT INTO t VALUES (-1, '')")
	out.Wait(t, 19_993)
	if n := len(out.Repeats()); n != 0 {
		t.Errorf("%d events were published twice", n)
	}
}
