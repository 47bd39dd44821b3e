// Command bench measures sluice beside the floor, the smallest dispatcher that is
// correct, and beside other programs that do what it can of the same. All run on
// this machine, by turns. It is called in the folder of the repository.
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

	"sluice/integration/bench/measures"
)

// The roles that the program plays in processes of its own.
const (
	roleWorker = "worker"
	roleFloor  = "floor"
	roleBare   = "bare"
	roleServer = "server"
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
		case roleBare:
			return runBare(ctx, args[1:], stdout)
		case roleServer:
			return runServer(ctx, args[1:], stdout)
		}
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	return measure(ctx, o, stdout, stderr)
}

// options are what a run measures, its sizes, and where its result goes.
type options struct {
	only, beside  string
	rounds        int
	events        int
	seconds       int
	clients       int
	rate          int
	fanned        int
	waiting       int
	retried       int
	stored        int
	lettered      int
	idle          time.Duration
	sluice, dir   string
	output        string
	page          string
	figures, plot string
	command       string
}

// The sizes for which the measures are stated, and smaller ones, with which a
// run takes a few minutes.
var (
	fullSizes  = options{events: 200_000, seconds: 5, fanned: 500, waiting: 1_000_000, stored: 1_000_000, lettered: 1_000_000, idle: 10 * time.Second}
	smallSizes = options{events: 100_000, seconds: 3, fanned: 100, waiting: 200_000, stored: 100_000, lettered: 50_000, idle: 5 * time.Second}
)

func parse(args []string, stderr io.Writer) (*options, error) {
	o, full := &options{}, false
	sizes := smallSizes
	if slices.Contains(args, "-full") {
		sizes = fullSizes
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.only, "only", strings.Join(sectionNames(), ","), "what to measure")
	f.StringVar(&o.beside, "beside", roleFloor, "what is measured beside sluice: some of "+strings.Join(others(), ","))
	f.BoolVar(&full, "full", false, "the sizes for which the measures are stated; other flags change them")
	f.IntVar(&o.rounds, "rounds", 3, "rounds; the medians are shown")
	f.IntVar(&o.events, "events", sizes.events, "events of a backlog to dispatch")
	f.IntVar(&o.seconds, "seconds", sizes.seconds, "seconds of each measurement under load")
	f.IntVar(&o.clients, "clients", 64, "clients of the ingest")
	f.IntVar(&o.rate, "rate", 500, "events a second when latency is measured")
	f.IntVar(&o.fanned, "fanned", sizes.fanned, "events that go to 1,000 triggers each")
	f.IntVar(&o.waiting, "waiting", sizes.waiting, "events that wait for a paused trigger")
	f.IntVar(&o.retried, "retries", 10_000, "retries that are due in one second")
	f.IntVar(&o.stored, "stored", sizes.stored, "events stored for a start after kill -9, of which a tenth waits")
	f.IntVar(&o.lettered, "letters", sizes.lettered, "letters to list")
	f.DurationVar(&o.idle, "idle", sizes.idle, "how long to look at an idle process")
	f.StringVar(&o.sluice, "sluice", "", "the sluice to measure; empty to build it")
	f.StringVar(&o.dir, "dir", "", "where the stores are put; empty for the system's temporary folder")
	f.StringVar(&o.output, "o", "table", "table or json")
	f.StringVar(&o.page, "update", "", "a file in Markdown whose tables are written anew")
	f.StringVar(&o.figures, "figures", "", "a file in Markdown whose short table is written anew")
	f.StringVar(&o.plot, "plot", "", "a file in SVG to write")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.command = measures.Command("integration/bench", f)
	return o, o.validate(f.Args())
}

// others are what can be measured beside sluice.
func others() []string { return append([]string{roleFloor}, peerNames()...) }

// names are the systems that are measured.
func (o *options) names() []string {
	names := strings.Split(o.beside, ",")
	at := min(1, len(names)) // the floor, if it is there, is the first
	return slices.Insert(names, at, nameSluice)
}

func (o *options) validate(rest []string) error {
	var problems []error
	if len(rest) > 0 {
		problems = append(problems, fmt.Errorf("unexpected argument %q", rest[0]))
	}
	for name, size := range map[string]struct{ value, least int }{
		"rounds": {o.rounds, 1}, "events": {o.events, 100}, "seconds": {o.seconds, 1}, "clients": {o.clients, 1}, "rate": {o.rate, 1},
		"fanned": {o.fanned, 1}, "waiting": {o.waiting, 100}, "retries": {o.retried, retrySteps}, "stored": {o.stored, 10}, "letters": {o.lettered, rareLetters},
	} {
		if size.value < size.least {
			problems = append(problems, fmt.Errorf("-%s %d: write a number from %d on", name, size.value, size.least))
		}
	}
	problems = append(problems, someOf("only", o.only, sectionNames()), someOf("beside", o.beside, others()))
	if o.output != "table" && o.output != "json" {
		problems = append(problems, fmt.Errorf("-o %q: it is table or json", o.output))
	}
	return errors.Join(problems...)
}

// someOf refuses a list with anything but the given names.
func someOf(flag, list string, names []string) error {
	for name := range strings.SplitSeq(list, ",") {
		if !slices.Contains(names, name) {
			return fmt.Errorf("-%s %q: write some of %s", flag, name, strings.Join(names, ","))
		}
	}
	return nil
}

func (o *options) wants(section string) bool {
	return slices.Contains(strings.Split(o.only, ","), section)
}
