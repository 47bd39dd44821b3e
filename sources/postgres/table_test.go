package postgres

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"sluice/config"
	"sluice/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sampleTable() *table {
	return newTable("postgres://shop", "public", "orders", []tableColumn{{name: "id", key: true, column: column{form: formNumber}}, {name: "body"}})
}

func samplePlace() place {
	return place{system: "7300000000000000001", lsn: 0x1_0000_00F0, index: 2, tx: &begin{final: 0x1_0000_0100, time: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC), xid: 7}}
}

func TestEventOfAChange(t *testing.T) {
	m, err := decodeMessage(rawUpdate)
	if err != nil {
		t.Fatal(err)
	}
	e := sampleTable().event(samplePlace(), m.(*change))
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	const want = `{"specversion":"1.0","id":"7300000000000000001/1/F0/2","source":"postgres://shop","type":"postgres.row.updated","subject":"public.orders","time":"2026-01-02T03:04:05.678901Z",` +
		`"datacontenttype":"application/json","partitionkey":"public.orders/2","data":{"schema":"public","table":"orders","key":{"id":2},"old":{"id":1},"new":{"id":2},"unchanged":["body"],` +
		`"lsn":"1/F0","transaction":{"id":7,"lsn":"1/100","time":"2026-01-02T03:04:05.678901Z"}}}`
	if got := string(e.AppendJSON(nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestEventsAreValid makes events of tables with any names and rows with any
// values.
func TestEventsAreValid(t *testing.T) {
	name := rapid.StringN(1, maxName, maxName)
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.SliceOfNDistinct(name, 1, 5, rapid.ID[string]).Draw(t, "columns")
		var described []tableColumn
		var fields []field
		for i, column := range columns {
			described = append(described, tableColumn{name: column, key: i == 0})
			fields = append(fields, field{state: fieldText, text: rapid.SliceOf(rapid.Byte()).Draw(t, "value")})
		}
		made := newTable("postgres://shop", name.Draw(t, "schema"), name.Draw(t, "table"), described)
		e := made.event(samplePlace(), &change{kind: inserted, new: fields})
		if err := e.Validate(); err != nil {
			t.Fatal(err)
		}
		if !json.Valid(e.Data) {
			t.Errorf("its data is %s", e.Data)
		}
		if err := event.CheckSize(&e, math.MaxInt); err != nil {
			t.Error(err)
		}
	})
}

func TestSlim(t *testing.T) {
	columns := []tableColumn{{name: "id", key: true}, {name: "body"}, {name: "n"}}
	long := []byte(strings.Repeat("x", 2000))
	e := newTable("postgres://shop", "public", "orders", columns).
		event(samplePlace(), &change{kind: inserted, new: []field{{fieldText, []byte("1")}, {fieldText, long}, {fieldText, []byte("2")}}})
	small, left, err := slim(&e)
	if err != nil || !reflect.DeepEqual(left, []string{"body"}) {
		t.Fatalf("%q, %v", left, err)
	}
	if !strings.Contains(string(small.Data), `"new":{"id":"1","n":"2"}`) || !strings.Contains(string(small.Data), `"toolarge":["body"]`) || small.ID != e.ID {
		t.Errorf("it became %s %s", small.ID, small.Data)
	}
}

// TestPositionsCoverWhatIsBefore checks the order of changes against that of
// positions written out.
func TestPositionsCoverWhatIsBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.Uint64Range(1, 4)
		draw := func(name string) [3]uint64 {
			return [3]uint64{few.Draw(t, name+" commit"), few.Draw(t, name+" change"), few.Draw(t, name+" index")}
		}
		published, other := draw("published"), draw("other")
		p := position{pglogrepl.LSN(published[0]), pglogrepl.LSN(published[1]), int(published[2])}
		want := fmt.Sprint(other) <= fmt.Sprint(published)
		if got := p.covers(pglogrepl.LSN(other[0]), pglogrepl.LSN(other[1]), int(other[2])); got != want {
			t.Errorf("%+v covers %v: %v", p, other, got)
		}
	})
	whole := position{LSN: 5}
	if whole.covers(5, 3, 0) || !whole.covers(4, 3, 0) {
		t.Error("a position between transactions covers those before it, and no others")
	}
}

func TestCursor(t *testing.T) {
	c := &cursor{System: "1", Timeline: 1, Database: "shop", Phase: phaseSnapshot, Point: 7, Table: "public.orders", Key: []string{"1", "a\x00"}, position: position{1, 2, 3}}
	data, err := c.encode()
	if err != nil {
		t.Fatal(err)
	}
	if read, err := decodeCursor(data); err != nil || !reflect.DeepEqual(read, c) {
		t.Errorf("%s was read as %+v, %v", data, read, err)
	}
	if none, err := decodeCursor(nil); none != nil || err != nil {
		t.Errorf("none was read as %+v, %v", none, err)
	}
	for data, want := range map[string]string{
		"": "cannot be read", `{"v":2}`: "a newer one has written it", `{"v":1,"phase":"x"}`: `the phase "x"`,
	} {
		if _, err := decodeCursor([]byte(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

func TestBranch(t *testing.T) {
	const history = "1\t0/3000000\tno recovery target specified\n\n2\t1/A0\treason\n"
	for timeline, want := range map[int32]pglogrepl.LSN{1: 0x3000000, 2: 0x1_0000_00A0} {
		if got, found := branch(history, timeline); !found || got != want {
			t.Errorf("timeline %d: %v, %v", timeline, got, found)
		}
	}
	if _, found := branch(history, 3); found {
		t.Error("the timeline 3 is found")
	}
}

func TestConfig(t *testing.T) {
	good := func() *Config {
		c := NewConfig()
		c.URL = config.NewSecret("postgres://u:secret@h:5432/shop")
		return c
	}
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Create, c.Tables, c.Snapshot = true, []string{"public.orders", "audit.*"}, Initial }, ""},
		{func(c *Config) { c.URL = config.NewSecret("") }, "url: it is missing"},
		{func(c *Config) { c.URL = config.NewSecret("mysql://u@h/d") }, "url: it is no URL of a PostgreSQL server"},
		{func(c *Config) { c.URL = config.NewSecret("postgres://h/d") }, "url: it has no user"},
		{func(c *Config) { c.URL = config.NewSecret("postgres://u@h") }, "url: it has no database"},
		{func(c *Config) { c.URL = config.NewSecret("postgres://u@/d") }, "url: it has no host"},
		{func(c *Config) { c.URL = config.NewSecret("postgres://u@h/d?sslrootcert=x") }, `url: it has the parameter "sslrootcert"`},
		{func(c *Config) { c.URL = config.NewSecret("postgres://u@h/d?sslmode=secret") }, "url: it cannot be read"},
		{func(c *Config) { c.Password = config.NewSecret("other") }, "password: there is one in url too"},
		{func(c *Config) {
			c.TLS = config.TLS{ServerName: "h"}
			c.URL = config.NewSecret("postgres://u@h/d?sslmode=disable")
		}, "url: it says sslmode=disable"},
		{func(c *Config) { c.Slot = "A-b" }, `slot: "A-b" is no name of a slot`},
		{func(c *Config) { c.Publication = "a'b" }, "publication: "},
		{func(c *Config) { c.Tables = []string{"orders"} }, `tables: "orders" is no table`},
		{func(c *Config) { c.Tables = []string{"public.o*"} }, "has a star that is not known"},
		{func(c *Config) { c.Create = true }, "tables: with create: true"},
		{func(c *Config) { c.Snapshot = Initial }, "snapshot: an initial snapshot goes with"},
		{func(c *Config) { c.OnLostSlot = Snapshot }, "on_lost_slot: a snapshot goes with"},
		{func(c *Config) { c.OnLostSlot = "x" }, `on_lost_slot: "x" is not known: write fail or snapshot`},
		{func(c *Config) { c.Numbers = "x" }, `numbers: "x" is not known`},
		{func(c *Config) { c.WarnLag = 5 }, "warn_lag: "},
	} {
		c := good()
		test.change(c)
		err := c.Validate()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%v", err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("got %v, want %s", err, test.want)
		case err != nil && strings.Contains(strings.ReplaceAll(err.Error(), "sslmode=secret", ""), "secret"):
			t.Errorf("the password is told: %v", err)
		}
	}
	if named := (&Config{}).named("my-orders"); named.Slot != "sluice_my_orders" || named.Publication != "sluice_my_orders" {
		t.Errorf("the names are %q and %q", named.Slot, named.Publication)
	}
}
