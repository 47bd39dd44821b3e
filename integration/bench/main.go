// Command bench measures sluice beside the floor: the smallest dispatcher that
// is correct. Both run on this machine, on the same embedded server, in turns.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The roles that the program plays in processes of its own.
const (
	roleWorker = "worker"
	roleFloor  = "floor"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case roleWorker:
			return runWorker(ctx, stdout)
		case roleFloor:
			return runFloor(ctx, args[1:], stdout)
		}
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	return measure(ctx, o, stdout, stderr)
}

// options are the sizes of a run, and where its result goes.
type options struct {
	only    string
	rounds  int
	events  int
	seconds int
	clients int
	rate    int
	stored  int
	idle    time.Duration
	sluice  string
	dir     string
	output  string
	update  string
	command string
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{command: "go run ./integration/bench " + strings.Join(args, " ")}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.only, "only", strings.Join(sections, ","), "what to measure")
	f.IntVar(&o.rounds, "rounds", 3, "rounds; the medians are shown")
	f.IntVar(&o.events, "events", 200_000, "events of a backlog to dispatch")
	f.IntVar(&o.seconds, "seconds", 5, "seconds of each measurement under load")
	f.IntVar(&o.clients, "clients", 64, "clients of the ingest")
	f.IntVar(&o.rate, "rate", 500, "events a second when latency is measured")
	f.IntVar(&o.stored, "stored", 300_000, "events stored for a start after kill -9, and to catch up with")
	f.DurationVar(&o.idle, "idle", 10*time.Second, "how long to look at an idle process")
	f.StringVar(&o.sluice, "sluice", "", "the sluice to measure; empty to build it")
	f.StringVar(&o.dir, "dir", "", "where the stores are put; empty for the system's temporary folder")
	f.StringVar(&o.output, "o", "table", "table or json")
	f.StringVar(&o.update, "update", "", "a file in Markdown whose table is written anew")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	return o, o.validate(f.Args())
}

func (o *options) validate(rest []string) error {
	var problems []error
	if len(rest) > 0 {
		problems = append(problems, fmt.Errorf("unexpected argument %q", rest[0]))
	}
	for name, value := range map[string]int{
		"rounds": o.rounds, "events": o.events, "seconds": o.seconds, "clients": o.clients, "rate": o.rate, "stored": o.stored,
	} {
		if value < 1 {
			problems = append(problems, fmt.Errorf("-%s %d: write a number from 1 on", name, value))
		}
	}
	for name := range strings.SplitSeq(o.only, ",") {
		if !slices.Contains(sections, name) {
			problems = append(problems, fmt.Errorf("-only %q: write some of %s", name, strings.Join(sections, ",")))
		}
	}
	if o.output != "table" && o.output != "json" {
		problems = append(problems, fmt.Errorf("-o %q: it is table or json", o.output))
	}
	return errors.Join(problems...)
}

func (o *options) wants(section string) bool {
	return slices.Contains(strings.Split(o.only, ","), section)
}
