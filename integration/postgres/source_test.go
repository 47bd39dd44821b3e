//go:build integration

package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/postgres"
	"sluice/sources"
	sourcepostgres "sluice/sources/postgres"
	"sluice/sources/sourcetest"
)

// keys is over how many rows the things of the suite are spread.
const keys = 5

func TestSourceExercise(t *testing.T) {
	server := postgres.Start(t)
	database := server.Database(t)
	sourcetest.Exercise(t, sourcetest.Fixture{
		Name:    "postgres",
		Start:   func(tb testing.TB) sourcetest.Upstream { tb.Helper(); return upstream(tb, server, database) },
		Kill:    adapters.KillSource,
		Without: map[string]string{"I5: same id twice": "the server sends nothing again that was confirmed; restarts show that ids hold"},
	})
}

// things are rows whose updates are what happens.
type things struct {
	url   string
	table string

	mu     sync.Mutex
	sent   int64
	places []string // a position in the log before the commit of each
}

// upstream has a table whose changes are the things: each is a transaction. It
// shares its database with the others, as making one takes long.
func upstream(tb testing.TB, server *postgres.Server, database string) sourcetest.Upstream {
	tb.Helper()
	name := fmt.Sprintf("things_%d", made.Add(1))
	server.Exec(tb, database, "CREATE TABLE "+name+" (id int PRIMARY KEY, n bigint, body text)",
		"INSERT INTO "+name+" SELECT i, -1 FROM generate_series(0, "+strconv.Itoa(keys-1)+") i",
		"CREATE PUBLICATION "+name+" FOR TABLE "+name, "SELECT pg_create_logical_replication_slot('"+name+"', 'pgoutput')")
	tb.Cleanup(func() { server.DropSlots(tb, database) })
	made := &things{url: server.URL(database), table: name}
	change := func(c *sourcepostgres.Config) { c.Slot, c.Publication = name, name }
	return sourcetest.Upstream{
		Source:  func(tb testing.TB) sources.Source { tb.Helper(); return build(tb, server, database, change, nil, nil) },
		Section: fmt.Sprintf("postgres: {url: %q, slot: %s, publication: %s}", server.URL(database), name, name),
		Send:    made.send,
		Acked: func() int {
			n, _ := strconv.Atoi(server.Text(tb, database, "SELECT count(*) FROM unnest($2::pg_lsn[]) p JOIN pg_replication_slots s ON s.confirmed_flush_lsn > p WHERE s.slot_name = $1", name, made.all()))
			return n
		},
		Keeps:   true,
		Exact:   true,
		Number:  number,
		Restart: server.Restart,
		Wrong:   wrong(server, database, name),
		Fill: func(ctx context.Context, n, size int) error {
			return execute(ctx, server.URL(database), "INSERT INTO "+name+" SELECT i + 1000, i, repeat('x', $2) FROM generate_series(1, $1) i", n, size)
		},
	}
}

// made counts the upstreams, which are named after it.
var made atomic.Int64

func execute(ctx context.Context, url, statement string, arguments ...any) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, statement, arguments...)
	return err
}

func number(e *event.Event) int {
	var data struct{ New struct{ N int } }
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return -1
	}
	return data.New.N
}

// send makes n changes, and tries again while the server is away; a change whose
// commit nobody has seen is not made twice.
func (w *things) send(ctx context.Context, n int) error {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}()
	for made := 0; made < n; {
		var err error
		if conn == nil || conn.IsClosed() {
			conn, err = pgx.Connect(ctx, w.url)
		}
		if err == nil {
			err = w.one(ctx, conn)
		}
		if err == nil {
			made++
			continue
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (w *things) one(ctx context.Context, conn *pgx.Conn) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var place string
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE "+w.table+" SET n = $1 WHERE id = $2 AND n < $1", w.sent, w.sent%keys); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&place)
	})
	if err == nil {
		w.sent++
		w.places = append(w.places, place)
	}
	return err
}

func (w *things) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.places)
}

// wrong are sources that cannot work.
func wrong(server *postgres.Server, database, name string) []sourcetest.Wrong {
	one := func(title, want string, change func(*sourcepostgres.Config), before ...string) sourcetest.Wrong {
		return sourcetest.Wrong{Name: title, Want: want, Source: func(tb testing.TB, env sources.Env) sources.Source {
			tb.Helper()
			server.Exec(tb, database, before...)
			return build(tb, server, database, func(c *sourcepostgres.Config) {
				c.Slot, c.Publication = name, name
				change(c)
			}, env.Report, env.Logger)
		}}
	}
	as := func(user, password string) func(*sourcepostgres.Config) {
		return func(c *sourcepostgres.Config) {
			c.URL = config.NewSecret("postgres://" + user + ":" + password + "@" + server.Address + "/" + database)
		}
	}
	inUse := one("slot in use", "in use by another connection", func(*sourcepostgres.Config) {})
	source := inUse.Source
	inUse.Source = func(tb testing.TB, env sources.Env) sources.Source {
		tb.Helper()
		sourcetest.Run(tb, source(tb, sourcetest.Env("other", nil)), sourcetest.NewOut())
		sourcetest.Eventually(tb, "the slot is in use", func() bool {
			return server.Text(tb, database, "SELECT active FROM pg_replication_slots WHERE slot_name = $1", name) == "true"
		})
		return source(tb, env)
	}
	return []sourcetest.Wrong{
		one("wrong password", "refuses the user's password", as(postgres.User, "wrong")),
		one("no such user", "refuses the user's password", as("nobody", "x")),
		one("no such database", "does not exist on this server", func(c *sourcepostgres.Config) { c.URL = config.NewSecret(server.URL("none")) }),
		one("nobody listens", "cannot be reached", func(c *sourcepostgres.Config) { c.URL = config.NewSecret("postgres://a:b@127.0.0.1:1/x") }),
		one("publication missing", `there is no publication "none"`, func(c *sourcepostgres.Config) { c.Publication = "none" }),
		one("table not published", `ADD TABLE "public"."more"`, func(c *sourcepostgres.Config) { c.Tables = []string{"public." + name, "public.more"} }, "CREATE TABLE IF NOT EXISTS more (id int)"),
		one("table missing", `there is no table "public.none"`, func(c *sourcepostgres.Config) { c.Tables = []string{"public.none"} }),
		one("slot missing", `there is no slot "none"`, func(c *sourcepostgres.Config) { c.Slot = "none" }),
		one("slot of another plugin", `the plugin "test_decoding"`, func(c *sourcepostgres.Config) { c.Slot = "other_" + name },
			"SELECT pg_create_logical_replication_slot('other_"+name+"', 'test_decoding')"),
		one("slot there before a snapshot", "is there already", func(c *sourcepostgres.Config) {
			c.Create, c.Tables, c.Snapshot = true, []string{"public." + name}, sourcepostgres.Initial
		}),
		one("may not replicate", "ALTER ROLE its-name REPLICATION", as("plain_"+name, "x"), "CREATE ROLE plain_"+name+" LOGIN PASSWORD 'x'"),
		inUse,
	}
}

func build(tb testing.TB, server *postgres.Server, database string, change func(*sourcepostgres.Config), report func(error), logger *slog.Logger) sources.Source {
	tb.Helper()
	c := sourcepostgres.NewConfig()
	c.URL = config.NewSecret(server.URL(database))
	if change != nil {
		change(c)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	source, err := c.Source(sources.Env{Name: "test", Logger: logger, Now: time.Now, Report: report})
	if err != nil {
		tb.Fatal(err)
	}
	return source
}

// A health keeps what a source reports and says.
type health struct {
	mu   sync.Mutex
	last error
	all  []string
	said strings.Builder
}

func (h *health) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said.Write(p)
}

func (h *health) report(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = err
	h.all = append(h.all, fmt.Sprint(err))
}

func (h *health) log() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said.String()
}

// run runs the source of a database until stop is called or the test ends.
func run(t *testing.T, server *postgres.Server, database string, out sources.Out, change func(*sourcepostgres.Config)) (h *health, stop func()) {
	t.Helper()
	h = &health{}
	source := build(t, server, database, change, h.report, slog.New(slog.NewTextHandler(h, nil)))
	stop = sourcetest.Run(t, source, out)
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("reported: %q\nsaid:\n%s", h.all, h.log())
		}
	})
	return h, stop
}

// creating has the source make what it needs for the tables.
func creating(tables ...string) func(*sourcepostgres.Config) {
	return func(c *sourcepostgres.Config) { c.Create, c.Tables = true, tables }
}

// ready waits until the source reads from its slot.
func ready(t *testing.T, server *postgres.Server, database string) {
	t.Helper()
	sourcetest.Eventually(t, "the slot is read from", func() bool {
		return server.Text(t, database, "SELECT count(*) FROM pg_replication_slots WHERE active AND NOT temporary AND database = $1", database) == "1"
	})
}

// whole is an event in one line: its type, subject and key, and the parts of its
// data that are told.
func whole(t *testing.T, e *event.Event, parts ...string) string {
	t.Helper()
	var data map[string]json.RawMessage
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.Fatalf("%s: %v", e.Data, err)
	}
	words := []string{strings.TrimPrefix(e.Type, "postgres."), e.Subject, e.PartitionKey()}
	for _, part := range parts {
		if data[part] != nil {
			words = append(words, part+"="+string(data[part]))
		}
	}
	return strings.Join(words, " ")
}

func TestSourceTellsEveryKindOfChange(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t)
	database := server.Database(t)
	server.Exec(t, database,
		"CREATE TYPE mood AS ENUM ('sad', 'so so')", "CREATE DOMAIN cents AS numeric(12,2)",
		`CREATE TABLE orders (id bigint, region text, total cents, "odd ""name" text, PRIMARY KEY (region, id))`,
		`CREATE TABLE types (id int PRIMARY KEY, b bool, i8 bigint, n numeric, f float8, t text, j json, jb jsonb, raw bytea, tz timestamptz, ts timestamp,
			d date, ti time, iv interval, u uuid, m mood, ia int[], ta text[], ma mood[], ba bytea[], tza timestamptz[], na numeric[], r int4range, ip inet, nothing text)`,
		"CREATE TABLE complete (id int PRIMARY KEY, body text, n int)", "ALTER TABLE complete REPLICA IDENTITY FULL",
		"CREATE TABLE large (id int PRIMARY KEY, body text, n int)", "ALTER TABLE large ALTER body SET STORAGE EXTERNAL",
		"CREATE TABLE keyless (n int)", "CREATE TABLE other (id int PRIMARY KEY)",
		"CREATE TABLE parts (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)",
		"CREATE TABLE parts_2026 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')")
	out := sourcetest.NewOut()
	run(t, server, database, out, creating("public.orders", "public.types", "public.complete", "public.large", "public.keyless", "public.parts"))
	ready(t, server, database)
	server.Exec(t, database,
		`INSERT INTO orders VALUES (9007199254740993, 'eu/1', 12.50, 'x')`,
		`UPDATE orders SET total = 13 WHERE id = 9007199254740993`,
		`UPDATE orders SET region = 'us' WHERE id = 9007199254740993`,
		`DELETE FROM orders`,
		`INSERT INTO types VALUES (1, true, -9223372036854775808, 123456789012345678901234567890.0010, 1e300, E'a"\n\u20ac', '{"a": 1.10}', '{"b": [1, null]}', '\x00ff', '2026-01-02 03:04:05.678901+02', '2026-01-02 03:04:05',
			'2026-01-02', '03:04:05.6', '1 day 2 hours', '6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'so so', '{{1,2},{3,NULL}}', ARRAY['a,b', 'NULL', E'q"\\', ''], '{sad,"so so"}', ARRAY['\x01'::bytea], ARRAY['2026-01-02 00:00:00+00'::timestamptz], '[5:6]={1.10,NaN}', '[1,3)', '10.0.0.1', NULL)`,
		`INSERT INTO types (id, f, n, tz, ts, ia) VALUES (2, 'NaN', 'NaN', 'infinity', '0044-03-15 00:00:00 BC', '{}')`,
		`INSERT INTO complete VALUES (1, 'before', 1)`, `UPDATE complete SET body = 'after'`, `DELETE FROM complete`,
		`INSERT INTO large VALUES (1, repeat('x', 100000), 1)`, `UPDATE large SET n = 2`,
		`INSERT INTO keyless VALUES (1)`, `INSERT INTO other VALUES (1)`,
		`INSERT INTO parts VALUES (1, '2026-05-05')`,
		`TRUNCATE orders, keyless, other RESTART IDENTITY`,
	)
	events := out.Wait(t, 15)
	var got []string
	for i := range events {
		got = append(got, strings.ReplaceAll(whole(t, &events[i], "key", "old", "new", "unchanged", "restart_identity"), strings.Repeat("x", 100000), "x*"))
	}
	want := []string{
		`row.inserted public.orders public.orders/9007199254740993/eu%2F1 key={"id":9007199254740993,"region":"eu/1"} new={"id":9007199254740993,"region":"eu/1","total":12.50,"odd \"name":"x"}`,
		`row.updated public.orders public.orders/9007199254740993/eu%2F1 key={"id":9007199254740993,"region":"eu/1"} new={"id":9007199254740993,"region":"eu/1","total":13.00,"odd \"name":"x"}`,
		`row.updated public.orders public.orders/9007199254740993/us key={"id":9007199254740993,"region":"us"} old={"id":9007199254740993,"region":"eu/1"} new={"id":9007199254740993,"region":"us","total":13.00,"odd \"name":"x"}`,
		`row.deleted public.orders public.orders/9007199254740993/us key={"id":9007199254740993,"region":"us"} old={"id":9007199254740993,"region":"us"}`,
		`row.inserted public.types public.types/1 key={"id":1} new={"id":1,"b":true,"i8":-9223372036854775808,"n":123456789012345678901234567890.0010,"f":1e+300,"t":"a\"\n€","j":{"a": 1.10},"jb":{"b": [1, null]},"raw":"AP8=","tz":"2026-01-02T01:04:05.678901Z","ts":"2026-01-02T03:04:05","d":"2026-01-02","ti":"03:04:05.6","iv":"P1DT2H","u":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","m":"so so","ia":[[1,2],[3,null]],"ta":["a,b","NULL","q\"\\",""],"ma":["sad","so so"],"ba":["AQ=="],"tza":["2026-01-02T00:00:00Z"],"na":[1.10,"NaN"],"r":"[1,3)","ip":"10.0.0.1","nothing":null}`,
		`row.inserted public.types public.types/2 key={"id":2} new={"id":2,"b":null,"i8":null,"n":"NaN","f":"NaN","t":null,"j":null,"jb":null,"raw":null,"tz":"infinity","ts":"0044-03-15 00:00:00 BC","d":null,"ti":null,"iv":null,"u":null,"m":null,"ia":[],"ta":null,"ma":null,"ba":null,"tza":null,"na":null,"r":null,"ip":null,"nothing":null}`,
		`row.inserted public.complete public.complete/1 key={"id":1} new={"id":1,"body":"before","n":1}`,
		`row.updated public.complete public.complete/1 key={"id":1} old={"id":1,"body":"before","n":1} new={"id":1,"body":"after","n":1}`,
		`row.deleted public.complete public.complete/1 key={"id":1} old={"id":1,"body":"after","n":1}`,
		`row.inserted public.large public.large/1 key={"id":1} new={"id":1,"body":"x*","n":1}`,
		`row.updated public.large public.large/1 key={"id":1} new={"id":1,"n":2} unchanged=["body"]`,
		`row.inserted public.keyless public.keyless key={} new={"n":1}`,
		`row.inserted public.parts public.parts/1/2026-05-05 key={"id":1,"day":"2026-05-05"} new={"id":1,"day":"2026-05-05"}`,
		`table.truncated public.orders public.orders restart_identity=true`,
		`table.truncated public.keyless public.keyless restart_identity=true`,
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Errorf("event %d:\n%s\nwant\n%s", i, at(got, i), at(want, i))
		}
	}
}

func at(all []string, i int) string {
	if i < len(all) {
		return all[i]
	}
	return "none"
}

// wait waits until the source is as text says.
func (h *health) wait(tb testing.TB, text string) {
	tb.Helper()
	sourcetest.Eventually(tb, "health "+text, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return strings.Contains(fmt.Sprint(h.last), text)
	})
}
