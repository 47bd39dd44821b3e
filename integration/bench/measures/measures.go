// Package measures keeps the table of what sluice is to reach, and of how far it
// is. Several programs measure its rows: each writes its own and leaves the rest.
package measures

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"sluice/integration/page"
)

// block is the name of the table in a page.
const block = "measures"

// What is measured: the first cell of each row.
const (
	Dispatch      = "dispatch to an HTTP worker, everything on (pattern, retry, ledger, metrics), beside the floor"
	DispatchBento = "the same beside Bento"
	Batches       = "batches of 100 to an HTTP worker"
	Ingest        = "HTTP ingest, 64 clients, synced before it is acknowledged, beside Bento's, which is not"
	Latency       = "latency added at 500 events/s, from accepted to the worker"
	Triggers      = "10,000 triggers, one of which matches, beside one trigger"
	FanOut        = "one event to 1,000 triggers, deliveries beside dispatch with one"
	Retries       = "10,000 retries due in one second, and another trigger's meanwhile"
	Backlog       = "a backlog is delivered, beside dispatch"
	Others        = "meanwhile the other triggers' p99, beside that without"
	Function      = "warm function call through the Runtime API, over the function's own time"
	Start         = "first start, embedded"
	Restart       = "start after kill -9, a tenth of what is stored waits"
	Idle          = "idle"
	Schedules     = "10,000 cron schedules spread over a minute"
	Letters       = "letters listed, filtered and counted"
)

// A Row is what was measured, and how.
type Row struct {
	What, Goal, Figure string
	Reached            bool
	Command            string
}

// goals are all rows in order, with what is to be reached.
var goals = [...][2]string{
	{Dispatch, "1.5 x the floor"},
	{DispatchBento, "4 x Bento"},
	{Batches, "150,000 events/s or 0.6 x bare consumption, whichever is lower"},
	{Ingest, "1 x; with stock atomic batches 0.45 x"},
	{Latency, "p50 and p99 at most the floor's"},
	{Triggers, "0.9 x"},
	{FanOut, "1 x"},
	{Retries, "p99 late by 50 ms, both"},
	{Backlog, "1 x"},
	{Others, "at most 1.2 x"},
	{Function, "0.3 ms p50"},
	{Start, "ready in 0.2 s"},
	{Restart, "with a million stored, ready in 3 s"},
	{Idle, "50 MB resident, under 1 % of a processor"},
	{Schedules, "published within 50 ms at p99"},
	{Letters, "a million in bounded memory"},
}

// Command is how a program is called to measure the same again: with its flags
// but those that say where it writes.
func Command(folder string, flags *flag.FlagSet) string {
	command := "go run ./" + folder
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "update", "figures", "plot":
		case "full":
			command += " -full"
		default:
			command += " -" + f.Name + " " + f.Value.String()
		}
	})
	return command
}

// Update writes rows into the table of a page. Those that the page has of others
// stay.
func Update(path string, rows []Row) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	known := parse(string(text))
	for _, row := range rows {
		known[row.What] = []string{row.Figure, map[bool]string{true: "yes", false: "**no**"}[row.Reached], "`" + row.Command + "`"}
	}
	_, err = page.Update(path, block, render(known))
	return err
}

func render(known map[string][]string) string {
	var text strings.Builder
	text.WriteString("| what | to reach | here | reached | command |\n|---|---|---|---|---|\n")
	for _, goal := range goals {
		rest, found := known[goal[0]]
		if !found {
			rest = []string{"", "", ""}
		}
		fmt.Fprintf(&text, "| %s |\n", strings.Join(append(goal[:], rest...), " | "))
	}
	return text.String()
}

// parse returns the last three cells of each row of the table by the first.
func parse(text string) map[string][]string {
	known := map[string][]string{}
	_, text, _ = strings.Cut(text, "<!-- "+block+": begin -->\n")
	text, _, _ = strings.Cut(text, "<!-- "+block+": end -->\n")
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) == 5 {
			known[cells[0]] = cells[2:]
		}
	}
	return known
}
