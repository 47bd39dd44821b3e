// Command adapters measures how fast sources make events durable and sinks have
// them stored, each with its real server: it runs the benchmarks of the packages
// under integration/, and writes a table.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/integration/page"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "adapters:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	f := flag.NewFlagSet("adapters", flag.ContinueOnError)
	events := f.Int("events", 50_000, "how many events of 256 bytes each is measured with")
	only := f.String("only", ".", "a regular expression for the names of the adapters")
	update := f.String("update", "", "a file in Markdown whose table is written anew")
	if err := f.Parse(args); err != nil {
		return err
	}
	measures, err := measure(ctx, *events, *only, stdout)
	if err != nil {
		return err
	}
	text := markdown(measures, strings.TrimSpace("go run ./integration/bench/adapters "+strings.Join(args, " ")))
	if *update == "" {
		_, err = io.WriteString(stdout, text)
		return err
	}
	_, err = page.Update(*update, "adapters", text)
	return err
}

// A measured is what was measured of one adapter.
type measured struct {
	way, name string  // "Source", "Sink/single" or "Sink/batches"; "kafka"
	rate      float64 // events/s
}

// emulated is the package of services whose emulator answers some tens of
// requests a second: so it is measured with one event in two hundred.
const (
	emulated = "sluice/integration/moto"
	fraction = 200
)

// measure runs all benchmarks and shows them as they come.
func measure(ctx context.Context, events int, only string, stdout io.Writer) ([]measured, error) {
	output, err := exec.CommandContext(ctx, "go", "list", "-tags", "integration", "./integration/...").Output()
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(strings.Fields(string(output)), func(pkg string) bool { return pkg == emulated })
	all, err := measurePackages(ctx, events, only, stdout, others...)
	if err != nil {
		return nil, err
	}
	more, err := measurePackages(ctx, max(1, events/fraction), only, stdout, emulated)
	return append(all, more...), err
}

// measurePackages runs the benchmarks of packages, one after the other.
func measurePackages(ctx context.Context, events int, only string, stdout io.Writer, packages ...string) ([]measured, error) {
	args := []string{"test", "-tags", "integration", "-run", "^$", "-p", "1", "-timeout", "1h", "-bench", "^Benchmark(Source|Sink)$/" + only, "-benchtime", strconv.Itoa(events) + "x"}
	command := exec.CommandContext(ctx, "go", append(args, packages...)...)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	var all []measured
	lines := bufio.NewScanner(io.TeeReader(output, stdout))
	for lines.Scan() {
		if m, ok := parse(lines.Text()); ok {
			all = append(all, m)
		}
	}
	return all, errors.Join(lines.Err(), command.Wait())
}

// parse reads a line such as "BenchmarkSink/kafka/batches-2 20000 51234 ns/op
// 19518 events/s".
func parse(line string) (measured, bool) {
	fields := strings.Fields(line)
	at := slices.Index(fields, "events/s")
	if at < 1 {
		return measured{}, false
	}
	way, name, found := strings.Cut(strings.TrimPrefix(fields[0], "Benchmark"), "/")
	if !found {
		return measured{}, false
	}
	rate, err := strconv.ParseFloat(fields[at-1], 64)
	if err != nil {
		return measured{}, false
	}
	name = strings.TrimSuffix(name, "-"+strconv.Itoa(runtime.GOMAXPROCS(0)))
	name, deliveries, sink := strings.Cut(name, "/")
	if sink {
		way += "/" + deliveries
	}
	return measured{way, strings.ReplaceAll(name, "_", " "), rate}, true
}

// markdown renders a row for each adapter.
func markdown(all []measured, command string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s · %s/%s, %d processors · %s · `%s`\n\n", time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), command)
	text.WriteString("| adapter | as a source, events/s | as a sink, one by one | as a sink, batches of 100 |\n|---|---:|---:|---:|\n")
	rates := map[string]map[string]string{}
	var names []string
	for _, m := range all {
		if rates[m.name] == nil {
			rates[m.name] = map[string]string{}
			names = append(names, m.name)
		}
		rates[m.name][m.way] = strconv.FormatFloat(m.rate, 'f', 0, 64)
	}
	slices.Sort(names)
	for _, name := range names {
		rate := rates[name]
		fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", name, rate["Source"], rate["Sink/single"], rate["Sink/batches"])
	}
	return text.String()
}
