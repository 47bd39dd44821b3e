package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/integration/bench/measures"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestMedianAndPercentile(t *testing.T) {
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("median of three: %v", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("median of four: %v", got)
	}
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for p, want := range map[float64]float64{0: 1, 50: 50, 99: 99, 100: 100} {
		if got := percentile(hundred, p); got != want {
			t.Errorf("percentile %v: %v, want %v", p, got, want)
		}
	}
}

// TestBook shows that a ratio is the median of the rounds' ratios.
func TestBook(t *testing.T) {
	b := newBook()
	for i, floor := range []float64{10, 20, 30} {
		b.add(metricDispatch, "floor", floor)
		b.add(metricDispatch, "sluice", floor*float64(i+1))
	}
	b.add(metricStart, "sluice", 0.05)
	lines := b.close()
	if len(lines) != 2 || lines[0].Ratios["floor"] != 2 || lines[0].Median["sluice"] != 40 || len(lines[1].Ratios) != 0 {
		t.Errorf("%+v, %+v", lines[0], lines[1])
	}
}

func testResult() *result {
	b := newBook()
	b.add(metricDispatch, "floor", 10)
	b.add(metricDispatch, "sluice", 15)
	b.add(metricStart, "sluice", 0.05)
	return &result{
		Date: "2026-01-02", Machine: "m", Go: "go1", Server: "2", Command: "c", Lines: b.close(), systems: []string{"floor", "sluice", "dapr"},
	}
}

func TestMarkdown(t *testing.T) {
	r := testResult()
	const table = "2026-01-02 · m · go1 · nats-server 2 · `c`\n\n| what | unit | floor | sluice | dapr | sluice : floor |\n" +
		"|---|---|---:|---:|---:|---:|\n| dispatch to an HTTP worker | events/s | 10 | 15 |  | 1.50 |\n"
	if got := r.markdown(r.short()); got != table {
		t.Errorf("the table is\n%s\nwant\n%s", got, table)
	}
}

// TestGoals shows that a run tells of what it has measured, and of nothing else.
func TestGoals(t *testing.T) {
	b := &bench{book: newBook()}
	b.book.lines = testResult().Lines
	want := []measures.Row{
		{What: measures.Dispatch, Figure: "1.50 x (15 events/s)", Reached: true, Command: "c"},
		{What: measures.Start, Figure: "0.050 s", Reached: true, Command: "c"},
	}
	if diff := cmp.Diff(want, b.measures("c")); diff != "" {
		t.Error(diff)
	}
}

// TestPlot shows that the drawing is XML, and that a system without a value has
// no bar.
func TestPlot(t *testing.T) {
	r := testResult()
	svg, err := plot(r.systems, r.short())
	if err != nil {
		t.Fatal(err)
	}
	bars := 0
	for tokens := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if element, ok := token.(xml.StartElement); ok && element.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 2 {
		t.Errorf("%d bars:\n%s", bars, svg)
	}
}

func TestParseRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"-rounds 0":    "-rounds 0: write a number from 1 on",
		"-only speed":  `-only "speed": write some of dispatch,latency,ingest,batches,triggers,fanout,fanout-one,backlog,adaptive,retries,life,letters,schedules`,
		"-beside all":  `-beside "all": write some of floor,bento,dapr,watermill`,
		"-o xml":       `-o "xml": it is table or json`,
		"more":         `unexpected argument "more"`,
		"-idle 5":      `invalid value "5" for flag -idle: parse error`,
		"-o json -x 1": "flag provided but not defined: -x",
	} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

// TestEvents shows that the events are as large as they say, and that a worker
// counts each once.
func TestEvents(t *testing.T) {
	var box inbox
	for _, n := range []int{0, 7, 63, 64, 123456} {
		e := makeEvent(n, testTime)
		if len(e.Data) != dataSize || !bytes.HasSuffix(e.Data, []byte(`"}`)) {
			t.Errorf("the data of %d has %d bytes: %s", n, len(e.Data), e.Data)
		}
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
		if !box.isNew(e.ID) || box.isNew(e.ID) {
			t.Errorf("%s is not counted once", e.ID)
		}
	}
	if box.isNew("b-x") || box.isNew("b-99999999999") {
		t.Error("an id that is none of ours is counted")
	}
}

func TestScanIDs(t *testing.T) {
	one := `{"specversion":"1.0","id":"b-1","source":"id","data":{"id":"no","more":["id",{"id":"no"},"a\"b"]},"type":"id"}`
	other := `{"data":"\\","x":1 , "id" : "b-2"}`
	for _, test := range []struct {
		text string
		want []string
	}{
		{one, []string{"b-1"}},
		{" [" + one + ",\n" + other + "]\n", []string{"b-1", "b-2"}},
		{"[]", nil},
	} {
		if ids, err := scanIDs([]byte(test.text)); err != nil || !cmp.Equal(ids, test.want) {
			t.Errorf("%s: %q, %v; want %q", test.text, ids, err, test.want)
		}
	}
	for _, text := range []string{`{}`, `[{"id":"a"},{}]`, `[{"id":"a"}`, `{"id":"a\u0031"}`, `{"id":"a`, `{"id":1}`} {
		if ids, err := scanIDs([]byte(text)); !errors.Is(err, errNoEvents) {
			t.Errorf("%s: %q, %v", text, ids, err)
		}
	}
}

func BenchmarkScanIDs(b *testing.B) {
	var text []byte
	for n := range batchSize {
		e := makeEvent(n, testTime)
		text = append(e.AppendJSON(append(text, ',')), '\n')
	}
	text[0] = '['
	text = append(text, ']')
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if ids, err := scanIDs(text); err != nil || len(ids) != batchSize {
			b.Fatal(len(ids), err)
		}
	}
}
