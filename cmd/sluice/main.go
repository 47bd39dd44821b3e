// Command sluice is an event bus and trigger router: it carries events from
// sources to functions and sinks, with retries, dead letters and replay.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	_ "time/tzdata" // schedules need the time zones, wherever sluice runs

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/admin"
)

// version is set by the linker in releases.
var version string

// An app is what the commands share: the world outside the program.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	// lookup finds an environment variable.
	lookup func(name string) (string, bool)
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go obey(signals, cancel)
	code := run(ctx, &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, lookup: os.LookupEnv}, os.Args[1:])
	cancel()
	os.Exit(code)
}

// obey lets the first signal ask, and the second end the process at once, however
// soon it comes. (A context from signal.NotifyContext loses a second one that
// comes before the handler is taken away.)
func obey(signals <-chan os.Signal, cancel context.CancelFunc) {
	<-signals
	cancel()
	<-signals
	os.Exit(exitInterrupted)
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, app *app, args []string) int {
	root := newRootCommand(app)
	root.SetArgs(args)
	var ran *cobra.Command
	markRuns(root, &ran)
	called, err := root.ExecuteContextC(ctx)
	if err != nil && ran == nil {
		_, _ = fmt.Fprintf(app.stderr, "sluice: %s\nSee '%s --help'.\n", strings.TrimSpace(err.Error()), called.CommandPath())
		return exitUsage
	}
	code, message := exitCode(err)
	if message != "" {
		_, _ = fmt.Fprintf(app.stderr, "sluice: %s\n", message)
	}
	return code
}

// markRuns notes which command has begun to run: an error before that is one
// of usage.
func markRuns(cmd *cobra.Command, ran **cobra.Command) {
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*ran = cmd
			return inner(cmd, args)
		}
	}
	for _, child := range cmd.Commands() {
		markRuns(child, ran)
	}
}

// The groups of commands in the help, in this order.
const (
	groupRun    = "run"
	groupConfig = "config"
	groupLook   = "look"
	groupRepair = "repair"
)

// commands is the one list of commands. Each is in a file of its own.
func commands() []struct {
	group string
	build func(*app) *cobra.Command
} {
	return []struct {
		group string
		build func(*app) *cobra.Command
	}{
		{groupConfig, newInitCommand},
		{groupConfig, newValidateCommand},
		{groupConfig, newTestCommand},
		{groupConfig, newPatternCommand},
		{groupConfig, newCronCommand},
		{groupConfig, newGenerateEventCommand},
		{groupRun, newUpCommand},
		{groupRun, newDevCommand},
		{groupRun, newSendCommand},
		{groupRun, newInvokeCommand},
		{groupLook, newReadyCommand},
		{groupLook, newTailCommand},
		{groupLook, newEventCommand},
		{groupLook, newLogsCommand},
		{groupLook, newUsageCommand},
		{groupLook, newTriggersCommand},
		{groupLook, newAuditCommand},
		{groupRepair, newDLQCommand},
		{groupRepair, newReplayCommand},
	}
}

func newRootCommand(app *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "An event bus and trigger router in one binary",
		Long: `sluice carries events from buckets, clocks and requests to your functions,
with retries, dead letters and replay.

It reads one file, sluice.yaml: its sources, functions and triggers.`,
		Version:                    programVersion(),
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(app.stdin)
	root.SetOut(app.stdout)
	root.SetErr(app.stderr)
	root.SetFlagErrorFunc(flagProblem)
	root.SetVersionTemplate("sluice {{.Version}}\n")
	addCommands(root, app)
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			refuseUnknown(cmd)
		case "help":
			cmd.Run, cmd.RunE = nil, helpOn
		}
	}
	return root
}

// addCommands adds all commands, below the titles of the groups that have any.
func addCommands(root *cobra.Command, app *app) {
	used := map[string]bool{}
	for _, command := range commands() {
		cmd := command.build(app)
		cmd.GroupID = command.group
		used[command.group] = true
		refuseUnknown(cmd)
		root.AddCommand(cmd)
	}
	for _, group := range []*cobra.Group{
		{ID: groupRun, Title: "Run:"},
		{ID: groupConfig, Title: "Write the configuration:"},
		{ID: groupLook, Title: "See what happens:"},
		{ID: groupRepair, Title: "Mend and replay:"},
	} {
		if used[group.ID] {
			root.AddGroup(group)
		}
	}
}

// helpOn prints the help of the command that the words name.
func helpOn(cmd *cobra.Command, args []string) error {
	found, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return exitWithf(exitUsage, "there is no command %q\nSee '%s --help'.", strings.Join(args, " "), cmd.Root().CommandPath())
	}
	found.InitDefaultHelpFlag()
	found.InitDefaultVersionFlag()
	return found.Help()
}

// refuseUnknown makes a command that only holds others refuse a word that is
// none of them, with a suggestion, as the root does.
func refuseUnknown(cmd *cobra.Command) {
	if !cmd.HasSubCommands() || cmd.Runnable() {
		return
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		message := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			message += fmt.Sprintf("; did you mean %q?", cmp.Or(admin.Nearest(args[0], near), near[0]))
		}
		return exitWithf(exitUsage, "%s\nSee '%s --help'.", message, cmd.CommandPath())
	}
}

// programVersion is what the linker has set, else the version of the module.
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
