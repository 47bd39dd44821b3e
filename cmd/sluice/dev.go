package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/service"
	"sluice/config"
)

// devFlags are the flags of "sluice dev".
type devFlags struct {
	config, level string
	noBuckets     bool
}

const (
	devDrain = 5 * time.Second
	devPoll  = 300 * time.Millisecond // between two looks at the file
)

func newDevCommand(app *app) *cobra.Command {
	var flags devFlags
	cmd := &cobra.Command{
		Use: "dev", Short: "Run for development: buckets, reload, and each event's way in a line", Args: noArguments,
		Long: `Runs the configuration as "sluice up" does, and beyond that:
buckets whose endpoint is on this machine, where nothing listens, are served from
a folder in the bus's; the file, and the code of functions, are taken over whenever
they change, and the old ones go on when there are problems; and each event's way
is shown in a line.`,
		Example: "  sluice dev\n  sluice dev -c examples/upload/sluice.yaml",
		RunE:    func(cmd *cobra.Command, _ []string) error { return app.dev(cmd.Context(), &flags) },
	}
	cmd.Flags().StringVarP(&flags.config, "config", "c", defaultFile, "the configuration `FILE`")
	cmd.Flags().StringVar(&flags.level, "log-level", "warn", "what is logged beside the events: debug, info, warn or error")
	cmd.Flags().BoolVar(&flags.noBuckets, "no-buckets", false, "serve no buckets")
	return cmd
}

func (a *app) dev(ctx context.Context, flags *devFlags) error {
	out := newDevLog(a.newPaint(a.stdout), a.stdout)
	logger, err := newLogger(out, "text", flags.level)
	if err != nil {
		return err
	}
	before, _ := os.ReadFile(flags.config)
	file, err := a.loadFile(flags.config)
	if err != nil {
		return err
	}
	stopLog := background(ctx, out.run)
	defer stopLog()
	buckets := &devBuckets{logger: logger, off: flags.noBuckets}
	defer buckets.stop()
	if err := buckets.serve(ctx, file); err != nil {
		return err
	}
	options, err := a.serviceOptions(file, logger, devDrain)
	if err != nil {
		return err
	}
	options.Observe, options.Accepted, options.Functions = out.observe, out.accepted, out
	running, err := service.Open(ctx, options)
	if err != nil {
		return startError(err)
	}
	stopWatch := background(ctx, func(ctx context.Context) {
		select {
		case <-ctx.Done():
			return
		case <-running.Ready():
		}
		out.print(banner(out.paint, file, flags, running, buckets))
		stopFunctions := background(ctx, func(ctx context.Context) { watchFunctions(ctx, running, out) })
		defer stopFunctions()
		a.watch(ctx, flags.config, before, func() { a.devReload(ctx, running, flags.config, buckets, out) })
	})
	defer stopWatch()
	if err := running.Run(ctx); err != nil {
		return startError(err)
	}
	return nil
}

// background runs run until what it returns is called, which waits for its end.
// Its context does not end with ctx, so that what is under way at the end is
// seen too.
func background(ctx context.Context, run func(context.Context)) (stop func()) {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() { defer close(ended); run(inner) }()
	return func() { cancel(); <-ended }
}

// watch calls changed whenever the text of the file has changed.
func (a *app) watch(ctx context.Context, path string, before []byte, changed func()) {
	tick := time.NewTicker(devPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		after, err := os.ReadFile(path)
		// An editor may just be replacing the file.
		if err == nil && !bytes.Equal(before, after) {
			before = after
			changed()
		}
	}
}

// devReload takes the changed file over, and prints what came of it.
func (a *app) devReload(ctx context.Context, running *service.Service, path string, buckets *devBuckets, out *devLog) {
	file, err := config.Load(path, kinds(), a.lookup)
	if err == nil {
		err = buckets.serve(ctx, file)
	}
	var changes service.Changes
	if err == nil {
		changes, err = running.Reload(ctx, file)
	}
	p := out.paint
	var problems *config.Problems
	switch {
	case errors.As(err, &problems):
		out.print(fmt.Sprintf("%s\n%s\n", p.red(fmt.Sprintf("%s has %s; the old configuration goes on:", path, plural(len(problems.List), "problem"))), problems.Error()))
	case err != nil:
		out.print(fmt.Sprintf("%s %v\n", p.red(path+" is not taken over; the old configuration goes on:"), err))
	default:
		out.print(changesText(p, path, &changes))
	}
}

func changesText(p paint, path string, c *service.Changes) string {
	parts := []string{p.green(path + " taken over")}
	if c.Empty() {
		parts = append(parts, "no source or trigger has changed")
	}
	if names := c.Sources.String(); names != "" {
		parts = append(parts, "sources: "+names)
	}
	if names := c.Triggers.String(); names != "" {
		parts = append(parts, "triggers: "+names)
	}
	for _, section := range c.Restart {
		parts = append(parts, p.yellow(section+" takes effect at the next start only"))
	}
	return strings.Join(parts, "; ") + "\n"
}
