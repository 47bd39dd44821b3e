package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats-server/v2/server"

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
}

func (b *bench) result() *result {
	return &result{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Go: runtime.Version(), Server: server.VERSION,
		Command: strings.TrimSpace(b.command), Lines: b.book.close(),
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
	if b.update != "" {
		if _, err := page.Update(b.update, "benchmarks", r.markdown()); err != nil {
			return err
		}
	}
	if b.output == "json" {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	return r.table(stdout)
}

func (r *result) table(w io.Writer) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range r.rows() {
		if _, err := fmt.Fprintln(columns, strings.Join(row, "\t")+"\t"); err != nil {
			return err
		}
	}
	return columns.Flush()
}

// rows are the cells of the table, its head first.
func (r *result) rows() [][]string {
	rows := [][]string{{"what", "unit", "floor", "sluice", "sluice : floor"}}
	for _, l := range r.Lines {
		ratio := ""
		if l.Ratio > 0 {
			ratio = strconv.FormatFloat(l.Ratio, 'f', 2, 64)
		}
		rows = append(rows, []string{l.Name, l.Unit, l.cell(theFloor{}.name()), l.cell(theSluice{}.name()), ratio})
	}
	return rows
}

func (l *line) cell(system string) string {
	value, found := l.Median[system]
	if !found {
		return ""
	}
	return strconv.FormatFloat(value, 'f', l.digits, 64)
}

func (r *result) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s · %s · %s · nats-server %s · `%s`\n\n", r.Date, r.Machine, r.Go, r.Server, r.Command)
	for i, row := range r.rows() {
		fmt.Fprintf(&text, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			text.WriteString("|---|---|---:|---:|---:|\n")
		}
	}
	return text.String()
}
