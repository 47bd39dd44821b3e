//go:build integration

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/postgres"
	"sluice/sinks"
	sinkpostgres "sluice/sinks/postgres"
	"sluice/sinks/sinktest"
)

func TestSinkExercise(t *testing.T) {
	server := postgres.Start(t)
	database := server.Database(t)
	sinktest.ExerciseStore(t, sinktest.StoreFixture{
		Name:  "postgres",
		Start: func(tb testing.TB) sinktest.Store { tb.Helper(); return store(tb, server, database) },
		Kill:  adapters.KillSink,
	})
}

func store(tb testing.TB, server *postgres.Server, database string) sinktest.Store {
	tb.Helper()
	table := fmt.Sprintf("stored_%d", made.Add(1))
	server.Exec(tb, database, "CREATE TABLE "+table+" (seq bigserial, delivery text PRIMARY KEY, attempt int, n int, key text, data json, bad bool CHECK (NOT bad))")
	statement := "INSERT INTO " + table + " (delivery, attempt, n, key, data, bad) VALUES (:sluicedelivery, :sluiceattempt, :data.n, :partitionkey, :data, :data.bad) ON CONFLICT (delivery) DO NOTHING"
	wrong := func(name, want string, permanent bool, change func(*sinkpostgres.Config)) sinktest.Wrong {
		return sinktest.Wrong{Name: name, Want: want, Permanent: permanent, Sink: func(tb testing.TB) sinks.Sink {
			tb.Helper()
			return buildSink(tb, server.URL(database), statement, change)
		}}
	}
	to := func(url string) func(*sinkpostgres.Config) {
		return func(c *sinkpostgres.Config) { c.URL = config.NewSecret(url) }
	}
	return sinktest.Store{
		Sink: func(tb testing.TB) sinks.Sink {
			tb.Helper()
			return buildSink(tb, server.URL(database), statement, nil)
		},
		Section: fmt.Sprintf("postgres: {url: %q, statement: %q}", server.URL(database), statement),
		Stored:  func(tb testing.TB) []sinktest.Received { tb.Helper(); return stored(tb, server, database, table) },
		Restart: server.Restart,
		Crash:   server.Crash,
		Hold:    server.Hold,
		Wrong: []sinktest.Wrong{
			wrong("wrong password", "refuses the user's password", false, to("postgres://"+postgres.User+":wrong@"+server.Address+"/"+database)),
			wrong("no such database", "does not exist on this server", false, to(server.URL("none"))),
			wrong("nobody listens", "cannot be reached", false, to("postgres://a:b@127.0.0.1:1/x")),
			wrong("egress", "refused to connect", true, to("postgres://a:b@169.254.169.254:5432/x")),
			wrong("no such table", "the statement cannot be run", false, func(c *sinkpostgres.Config) { c.Statement = "INSERT INTO none VALUES (:id)" }),
			wrong("no statement", "syntax error", false, func(c *sinkpostgres.Config) { c.Statement = "INSERT :id" }),
		},
		Bad: func(n int) *event.Event {
			return &event.Event{ID: fmt.Sprintf("bad%d", n), Source: "/s", Type: "t", DataContentType: "application/json", Data: fmt.Appendf(nil, `{"n":%d,"bad":true}`, n)}
		},
		Once:    true,
		Batches: true,
	}
}

func buildSink(tb testing.TB, url, statement string, change func(*sinkpostgres.Config)) sinks.Sink {
	tb.Helper()
	c := sinkpostgres.NewConfig()
	c.URL, c.Statement = config.NewSecret(url), statement
	if change != nil {
		change(c)
	}
	sink, err := c.Sink(sinks.Env{Name: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	return sink
}

// stored returns the rows; none while the server is away.
func stored(tb testing.TB, server *postgres.Server, database, table string) []sinktest.Received {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	conn, err := pgx.Connect(ctx, server.URL(database))
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SELECT delivery, attempt, data::text, coalesce(key, '') FROM "+table+" ORDER BY seq")
	if err != nil {
		return nil
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[sinktest.Received])
	if err != nil {
		return nil
	}
	return all
}

// TestSinkKeepsTypes writes values of all kinds to columns of all types, by
// statements that are hard to read.
func TestSinkKeepsTypes(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t)
	database := server.Database(t)
	server.Exec(t, database, "CREATE TYPE mood AS ENUM ('sad', 'so so')", "CREATE DOMAIN tags AS text[]", "CREATE DOMAIN doc AS jsonb",
		`CREATE TABLE t (id text PRIMARY KEY, i8 bigint, n numeric, b bool, tz timestamptz, j json, jb doc, raw bytea, ta tags, ma mood[], grid int[], m mood, u uuid, "odd :name" text, total numeric, whole jsonb)`)
	sink := buildSink(t, server.URL(database), `INSERT INTO t -- :not, this
		VALUES (:id, :data.i8, :data.n, :data.b, :time, :data.j, :data.j, :data.raw, :data.ta, :data.ma, :data.grid, :data.m, :data.u, ':id' || $$ :id $$ || :data.text::text, :total, :event)
		ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n;`, func(c *sinkpostgres.Config) {
		c.Params = map[string]string{"total": "{{ [.data.grid[][]] | add }}"}
	})
	defer func() { _ = sink.(sinks.Closer).Close() }()
	e := event.Event{ID: "1'; DROP TABLE t; --", Source: "/s", Type: "t", Data: []byte(`{"i8":9223372036854775807,"n":12345678901234567890.0010,"b":true,"j":{"a": 1.10},"raw":"AP8=","ta":["a,\"b\\","NULL",null,""],
		"ma":["so so"],"grid":[[1,2],[3,4]],"m":"sad","u":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","text":"$1 ' :x"}`)}
	for range 2 {
		if _, err := sink.Deliver(t.Context(), sinks.Attempt{Trigger: "work", Deliveries: []sinks.Delivery{{ID: "i.1.work", Attempt: 1, Event: &e}}}); err != nil {
			t.Fatal(err)
		}
	}
	const want = `1'; DROP TABLE t; --|9223372036854775807|24691357802469135780.0020|true||{"a": 1.10}|{"a": 1.10}|\x00ff|{"a,\"b\\","NULL",NULL,""}|{"so so"}|{{1,2},{3,4}}|sad|6ba7b810-9dad-11d1-80b4-00c04fd430c8|:id :id $1 ' :x|10|i.1.work`
	got := server.Text(t, database, `SELECT concat_ws('|', id, i8, n, b::text, coalesce(tz::text, ''), j, jb, raw, ta, ma, grid, m, u, "odd :name", total, whole->>'sluicedelivery') FROM t`)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestSinkTellsBatchesApart has a batch of many rows of which some are refused, and
// one that nobody may run.
func TestSinkTellsBatchesApart(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t)
	database := server.Database(t)
	server.Exec(t, database, "CREATE TABLE t (id text PRIMARY KEY, n smallint NOT NULL)")
	sink := buildSink(t, server.URL(database), "INSERT INTO t VALUES (:id, :data.n)", nil)
	defer func() { _ = sink.(sinks.Closer).Close() }()
	a := sinks.Attempt{Trigger: "work", Batch: true}
	wants := []string{"", "value", "null", "", "out of range", "duplicate key", ""}
	for i, data := range []string{`{"n":1}`, `{"n":"x"}`, `{}`, `{"n":2}`, `{"n":70000}`, `{"n":3}`, `{"n":4}`} {
		id := strconv.Itoa(i)
		if i == 5 {
			id = "0"
		}
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: "i." + id, Attempt: 1, Event: &event.Event{ID: id, Source: "/s", Type: "t", Data: []byte(data)}})
	}
	_, err := sink.Deliver(t.Context(), a)
	partial, ok := errors.AsType[*sinks.PartialError](err)
	if !ok {
		t.Fatalf("it ended with %v", err)
	}
	for i, want := range wants {
		got := partial.Failed[i]
		if (got == nil) != (want == "") || got != nil && (!sinks.IsPermanent(got) || !strings.Contains(got.Error(), want)) {
			t.Errorf("the row %d: %v, want %q", i, got, want)
		}
	}
	if n := server.Text(t, database, "SELECT string_agg(n::text, ',' ORDER BY n) FROM t"); n != "1,2,4" {
		t.Errorf("stored are %s", n)
	}
	server.Exec(t, database, "ALTER TABLE t ALTER n TYPE text USING n::text")
	if _, err := sink.Deliver(t.Context(), sinks.Attempt{Deliveries: []sinks.Delivery{{ID: "i.9", Attempt: 1, Event: &event.Event{ID: "9", Source: "/s", Type: "t", Data: []byte(`{"n":5}`)}}}}); err != nil {
		t.Errorf("after the table has changed: %v", err)
	}
}
