package postgres

import (
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"sluice/config"
	"sluice/event"
	"sluice/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	for _, test := range []struct{ text, sql, names string }{
		{"INSERT INTO t VALUES (:id, :data.a.b, :id)", "INSERT INTO t VALUES ( $1 ,  $2 ,  $3 )", "id data.a.b id"},
		{"SELECT :data.n::numeric, ':x', \":y\", $$ :z $$, $a$ $$ :z $a$", "SELECT  $1 ::numeric, ':x', \":y\", $$ :z $$, $a$ $$ :z $a$", "data.n"},
		{`SELECT E'\':x', e'a''\\', 'a''b:c', :id`, `SELECT E'\':x', e'a''\\', 'a''b:c',  $1 `, "id"},
		{`SELECT 'a\', :id`, `SELECT 'a\',  $1 `, "id"},
		{"SELECT 1 -- :x ; y\n, :id /* :y /* ; */ :z */", "SELECT 1 -- :x ; y\n,  $1  /* :y /* ; */ :z */", "id"},
		{"SELECT a[1:2], x := 1, :data.items.0.sku ; \n", "SELECT a[1:2], x := 1,  $1   \n", "data.items.0.sku"},
		{"SELECT tag$x, :sluicedelivery, é:type", "SELECT tag$x,  $1 , é $2 ", "sluicedelivery type"},
		{"SELECT :data.", "SELECT  $1 .", "data"},
	} {
		s, err := parse(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		names := make([]string, len(s.parameters))
		for i, p := range s.parameters {
			names[i] = p.name
		}
		if s.sql != test.sql || strings.Join(names, " ") != test.names {
			t.Errorf("%s became\n%q %q, want\n%q %q", test.text, s.sql, names, test.sql, test.names)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		" ":                   "it is missing",
		"SELECT $1":           "found a parameter with a number",
		"SELECT 'a":           "found ' and no other one",
		"SELECT \"a":          "found \" and no other one",
		"SELECT $a$ $$":       "found $a$ and no other one",
		"SELECT /* /* */":     "found /* and no */",
		"SELECT 1; SELECT 2":  "write one statement",
		"SELECT :subject.a":   "only data has one",
		"SELECT \x00":         "NUL",
		"SELECT E'a\\'":       "found ' and no other one",
		"DELETE FROM t;DROP;": "write one statement",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// FuzzParse gives anything as a statement: what is not a name stays as it is.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"SELECT :id, ':x'", "$a$:b$a$", "E'\\''", "/*/**/*/", "a::b", ";;", ":a.b.c", "--:a\n:b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err != nil {
			return
		}
		if !strings.Contains(text, ":") && s.sql != strings.ReplaceAll(text, ";", "") && !strings.ContainsAny(text, "'\"$/-") {
			t.Errorf("%q became %q", text, s.sql)
		}
		if len(s.parameters) == 0 && strings.Count(s.sql, "$") != strings.Count(text, "$") {
			t.Errorf("%q became %q without parameters", text, s.sql)
		}
		again, err := parse(s.sql)
		if len(s.parameters) == 0 && (err != nil || again.sql != s.sql) {
			t.Errorf("%q became %q, and that %+v, %v", text, s.sql, again, err)
		}
	})
}

func filled(t *testing.T, e *event.Event, names string, params map[string]string) (values []string, err error) {
	t.Helper()
	c := NewConfig()
	c.URL = config.NewSecret("postgres://u@127.0.0.1:1/d")
	c.Statement, c.Params = "SELECT :"+strings.ReplaceAll(names, " ", ", :"), params
	built, err := c.Sink(sinks.Env{Name: "t"})
	if err != nil {
		t.Fatal(err)
	}
	s := built.(*sink)
	all, err := s.fill(t.Context(), "work", &sinks.Delivery{ID: "i.1.work", Attempt: 2, Event: e})
	for _, v := range all {
		switch {
		case v.bytes != nil:
			values = append(values, "bytes "+string(v.bytes))
		case v.json == nil:
			values = append(values, "NULL")
		default:
			values = append(values, string(v.json))
		}
	}
	return values, err
}

func TestValuesOfAnEvent(t *testing.T) {
	e := &event.Event{ID: "1", Source: "/s", Type: "t", DataContentType: "application/json", Data: []byte(` {"a":{"b":[1,{"c":12345678901234567890.10}]},"n":null,"s":"x"} `), Extensions: map[string]any{"partitionkey": "k", "flag": true}}
	got, err := filled(t, e, "id source type subject time partitionkey flag none data.a.b.1.c data.a.b.7 data.n data.s data.s.t data sluicedelivery sluiceattempt sluicetrigger total",
		map[string]string{"total": "{{ [.data.a.b[0], .sluicedelivery] }}"})
	const want = `"1"|"/s"|"t"|NULL|NULL|"k"|true|NULL|12345678901234567890.10|NULL|null|"x"|NULL|{"a":{"b":[1,{"c":12345678901234567890.10}]},"n":null,"s":"x"}|"i.1.work"|2|"work"|[1,"i.1.work"]`
	if text := strings.Join(got, "|"); err != nil || text != want {
		t.Errorf("got  %s, %v\nwant %s", text, err, want)
	}
	for _, test := range []struct{ kind, data, want string }{
		{"text/plain", "hi", `"hi"`}, {"image/png", "\xff\x00", "bytes \xff\x00"}, {"application/json", "", "NULL"}, {"application/json", "{", "bytes {"},
	} {
		e := &event.Event{ID: "1", Source: "/s", Type: "t", DataContentType: test.kind, Data: []byte(test.data)}
		if got, err := filled(t, e, "data", nil); err != nil || got[0] != test.want {
			t.Errorf("%s %q became %q, %v", test.kind, test.data, got, err)
		}
		if _, err := filled(t, e, "data.x", nil); (err != nil) != (test.data != "") || err != nil && !sinks.IsPermanent(err) {
			t.Errorf("%s %q has something at a path: %v", test.kind, test.data, err)
		}
	}
}

func TestEncode(t *testing.T) {
	text := func(raw string) value { return value{json: []byte(raw)} }
	for _, test := range []struct {
		v      value
		to     target
		want   string
		format int16
		fails  bool
	}{
		{text(`"a\"b"`), asText, `a"b`, formatText, false},
		{text(`"a"`), asJSON, `"a"`, formatText, false},
		{text(`1.10`), asText, `1.10`, formatText, false},
		{text(`{"a": 1}`), asText, `{"a": 1}`, formatText, false},
		{text(`null`), asJSON, "NULL", formatText, false},
		{value{}, asText, "NULL", formatText, false},
		{text(`"AP8="`), asBytes, "\x00\xff", formatBinary, false},
		{text(`"?"`), asBytes, "", 0, true},
		{value{bytes: []byte("\xff")}, asBytes, "\xff", formatBinary, false},
		{value{bytes: []byte("\xff")}, asText, "", 0, true},
		{value{bytes: []byte("x")}, asJSON, "", 0, true},
		{text(`["a,\"b\\", null, 1, [true]]`), asArray, `{"a,\"b\\",NULL,"1",{"true"}}`, formatText, false},
		{text(`"{a}"`), asArray, `{a}`, formatText, false},
	} {
		data, format, err := test.v.encode(test.to)
		got := string(data)
		if data == nil && err == nil {
			got = "NULL"
		}
		if (err != nil) != test.fails || got != test.want || format != test.format {
			t.Errorf("%s%q to %d became %q, %d, %v", test.v.json, test.v.bytes, test.to, got, format, err)
		}
	}
}

// TestPathsFindWhatIsThere compares paths with what encoding/json reads.
func TestPathsFindWhatIsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SampledFrom([]string{"a", "b", "0", "1"})
		inner := rapid.MapOf(names, rapid.Int())
		whole := rapid.MapOf(names, inner).Draw(t, "data")
		raw, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		d := &document{raw: raw, isJSON: true}
		for range 3 { // what was read before changes nothing
			first, second := names.Draw(t, "first"), names.Draw(t, "second")
			found, err := d.at([]string{first, second})
			want, any := whole[first][second]
			switch {
			case err != nil:
				t.Fatal(err)
			case any:
				text, _ := json.Marshal(want)
				if string(found) != string(text) {
					t.Errorf("%s.%s of %s is %s", first, second, raw, found)
				}
			case found != nil:
				t.Errorf("%s.%s of %s is %s", first, second, raw, found)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Statement = "" }, "statement: it is missing"},
		{func(c *Config) { c.Params = map[string]string{"x": "1"} }, "params.x: the statement does not use it"},
		{func(c *Config) { c.Params = map[string]string{"id": "{{ .a"} }, "params.id: "},
		{func(c *Config) { c.Params, c.Statement = map[string]string{"data": "1"}, "SELECT :data.a" }, "statement: :data.a has a path"},
		{func(c *Config) { c.Params = map[string]string{"a-b": "1"} }, "params.a-b: "},
		{func(c *Config) { c.Connections = 0 }, "connections: expected 1 to 100"},
		{func(c *Config) { c.Egress = "x" }, "egress: "},
		{func(c *Config) { c.URL = config.NewSecret("x") }, "url: "},
	} {
		c := NewConfig()
		c.URL, c.Statement = config.NewSecret("postgres://u@h/d"), "INSERT INTO t VALUES (:id)"
		test.change(c)
		if err := c.Validate(); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}
