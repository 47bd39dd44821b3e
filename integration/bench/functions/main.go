// Command functions measures what a call of a function costs: over sluice's
// pool by runtime, and over HTTP beside Amazon's own emulator.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"

	"sluice/functions"
	"sluice/functions/runtimes"
	"sluice/integration/bench/measures"
	"sluice/integration/page"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "functions:", err)
		os.Exit(1)
	}
}

// thePool is the way of calls in the program, as a trigger makes them.
const thePool = "the pool"

// A bench is one run of the program.
type bench struct {
	calls, cold int
	root        string // of all folders of the run
	update      string
	command     string
	rows        []row
	stderr      io.Writer
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	b := &bench{stderr: stderr}
	f := flag.NewFlagSet("functions", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&b.calls, "calls", 5000, "warm calls, one after the other")
	f.IntVar(&b.cold, "cold", 15, "cold starts")
	f.StringVar(&b.update, "update", "", "a file in Markdown whose table is written anew")
	if err := f.Parse(args); err != nil {
		return err
	}
	b.command = measures.Command("integration/bench/functions", f)
	if b.calls < 1 || b.cold < 1 {
		return fmt.Errorf("-calls %d -cold %d: write numbers from 1 on", b.calls, b.cold)
	}
	if b.root, err = os.MkdirTemp("", "sluice-bench-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(b.root) }()
	programs, err := b.programs(ctx)
	if err != nil {
		return err
	}
	if err := b.measure(ctx, programs); err != nil {
		return err
	}
	if b.update != "" {
		if _, err := page.Update(b.update, "functions", b.markdown()); err != nil {
			return err
		}
		return measures.Update(b.update, []measures.Row{b.warm()})
	}
	_, err = io.WriteString(stdout, b.markdown())
	return err
}

func (b *bench) measure(ctx context.Context, programs []runtimes.Program) error {
	for _, p := range programs {
		_, _ = fmt.Fprintln(b.stderr, "measuring", p.Runtime)
		if err := b.runtime(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.Runtime, err)
		}
	}
	_, _ = fmt.Fprintln(b.stderr, "measuring over HTTP, beside the emulator")
	return b.overHTTP(ctx, programs[0])
}

// A measurement is what the calls of one function took.
type measurement struct {
	cold, warm []float64 // milliseconds
	whole      time.Duration
}

// runtime measures one function through the pool.
func (b *bench) runtime(ctx context.Context, program runtimes.Program) error {
	var m measurement
	if err := b.pool(ctx, program, 1, func(call func() error) error { return m.calls(ctx, &m.cold, b.cold, call) }); err != nil {
		return err
	}
	err := b.pool(ctx, program, 0, func(call func() error) error {
		if err := m.calls(ctx, new([]float64), b.calls/10+1, call); err != nil {
			return err
		}
		return m.calls(ctx, &m.warm, b.calls, call)
	})
	b.rows = append(b.rows, row{program.Runtime, thePool, &m})
	return err
}

// pool runs f with a pool whose workers serve so many calls each.
func (b *bench) pool(ctx context.Context, program runtimes.Program, maxCalls int, f func(call func() error) error) (err error) {
	scratch, err := os.MkdirTemp(b.root, "scratch-")
	if err != nil {
		return err
	}
	p, err := functions.NewPool(functions.Spec{
		Name: functionName, Program: program, Concurrency: 1, Memory: 512 << 20, MaxCalls: maxCalls,
	}, functions.Options{Scratch: scratch})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return f(func() error {
		in := functions.Invocation{RequestID: uuid.NewString(), Payload: []byte(payload), MaxWait: time.Minute}
		result, err := p.Invoke(ctx, in)
		if err == nil && string(result.Payload) != payload {
			err = fmt.Errorf("it was answered %.200q", result.Payload)
		}
		return err
	})
}

// calls measures so many calls, one after the other.
func (m *measurement) calls(ctx context.Context, to *[]float64, n int, call func() error) error {
	began := time.Now()
	for range n {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		start := time.Now()
		if err := call(); err != nil {
			return err
		}
		*to = append(*to, float64(time.Since(start))/float64(time.Millisecond))
	}
	m.whole = time.Since(began)
	return nil
}

const (
	functionName = "function" // the emulator's name for every function
	payload      = `"s3://photos/in/2026/11/26/a-picture-of-a-lighthouse.jpg"`
)

const nodeSource = "export const handler = async (event) => event\n"

const pythonSource = "def handler(event, context):\n    return event\n"

// programs makes the same function in all runtimes.
func (b *bench) programs(ctx context.Context) ([]runtimes.Program, error) {
	echo, err := folder(ctx, "sluice/integration/bench/functions/echo")
	if err != nil {
		return nil, err
	}
	custom := filepath.Join(b.root, "bootstrap")
	if err := goRun(ctx, "build", "-o", custom, "sluice/integration/bench/functions/bootstrap"); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"node.mjs": nodeSource, "python.py": pythonSource} {
		if err := os.WriteFile(filepath.Join(b.root, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	var all []runtimes.Program
	for _, handler := range []string{echo, custom, filepath.Join(b.root, "node.mjs"), filepath.Join(b.root, "python.py")} {
		source, err := runtimes.Find(runtimes.Options{Dir: b.root, Handler: handler})
		if err != nil {
			return nil, err
		}
		program, err := source.Program(ctx, b.root)
		if err != nil {
			return nil, err
		}
		all = append(all, program)
	}
	return all, nil
}
