package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sluice/integration/bench/measures"
	"sluice/integration/page"
)

// A result is a whole run, as it is written.
type result struct {
	Date    string  `json:"date"`
	Machine string  `json:"machine"`
	Go      string  `json:"go"`
	Server  string  `json:"server"`
	Command string  `json:"command"`
	Lines   []*line `json:"lines"`

	systems []string // in the order of the columns
}

func (b *bench) result() *result {
	return &result{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Go: runtime.Version(), Server: server.VERSION,
		Command: b.command, Lines: b.book.close(), systems: b.names(),
	}
}

// machine says what the run ran on.
func machine() string {
	text := fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if model := processor(); model != "" {
		text += " (" + model + ")"
	}
	return text
}

// processor returns the name of the first processor, where the system tells it.
func processor() string {
	cpus, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(cpus)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// report writes the result to where it was asked for.
func (b *bench) report(stdout io.Writer) error {
	r := b.result()
	if err := errors.Join(b.writePage(r), b.writeFigures(r), b.writePlot(r)); err != nil {
		return err
	}
	if b.output == "json" {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	return r.table(stdout)
}

// writePage writes the tables of the page of benchmarks: that of a run beside
// peers is one of its own.
func (b *bench) writePage(r *result) error {
	if b.page == "" {
		return nil
	}
	block := "benchmarks"
	if b.beside != roleFloor {
		block = "peers"
	}
	if _, err := page.Update(b.page, block, r.markdown(r.Lines)); err != nil {
		return err
	}
	return measures.Update(b.page, b.measures(r.Command))
}

// short are the metrics of the short table and of the plot.
var short = []metric{metricDispatch, metricDispatchCPU, metricWhole50, metricWhole99, metricIngest, metricDispatchMemory}

func (r *result) short() (lines []*line) {
	for _, m := range short {
		if at := slices.IndexFunc(r.Lines, func(l *line) bool { return l.metric == m }); at >= 0 {
			lines = append(lines, r.Lines[at])
		}
	}
	return lines
}

func (b *bench) writeFigures(r *result) error {
	if b.figures == "" {
		return nil
	}
	_, err := page.Update(b.figures, "figures", r.markdown(r.short()))
	return err
}

func (b *bench) writePlot(r *result) error {
	if b.plot == "" {
		return nil
	}
	drawn, err := plot(r.systems, r.short())
	if err != nil {
		return err
	}
	return os.WriteFile(b.plot, drawn, 0o644) //nolint:gosec // a page to read
}

func (r *result) table(w io.Writer) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range r.rows(r.Lines) {
		if _, err := fmt.Fprintln(columns, strings.Join(row, "\t")+"\t"); err != nil {
			return err
		}
	}
	return columns.Flush()
}

// rows are the cells of the table, its head first. Besides the systems it has
// what sluice comes to beside the floor and Bento.
func (r *result) rows(lines []*line) [][]string {
	rows := [][]string{append([]string{"what", "unit"}, r.systems...)}
	var ratios []string
	for _, name := range []string{roleFloor, bento} {
		if slices.Contains(r.systems, name) {
			ratios = append(ratios, name)
			rows[0] = append(rows[0], nameSluice+" : "+name)
		}
	}
	for _, l := range lines {
		row := []string{l.Name, l.Unit}
		for _, name := range r.systems {
			row = append(row, cell(l.Median, name, l.digits))
		}
		for _, name := range ratios {
			row = append(row, cell(l.Ratios, name, 2))
		}
		rows = append(rows, row)
	}
	return rows
}

func cell(values map[string]float64, system string, digits int) string {
	value, found := values[system]
	if !found {
		return ""
	}
	return strconv.FormatFloat(value, 'f', digits, 64)
}

func (r *result) markdown(lines []*line) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s · %s · %s · nats-server %s · `%s`\n\n", r.Date, r.Machine, r.Go, r.Server, r.Command)
	for i, row := range r.rows(lines) {
		fmt.Fprintf(&text, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			text.WriteString("|---|---|" + strings.Repeat("---:|", len(row)-2) + "\n")
		}
	}
	return text.String()
}
